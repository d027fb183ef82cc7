// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/page_delay/page_helper.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "agent/faults/page_delay/fuse_channel.h"
#include "agent/kernel/helper_process.h"

namespace faultline::agent {
namespace {

constexpr const char* kMount = "/pages";           // in the helper's namespace
constexpr const char* kFile = "/pages/pages";      // kMount / FuseChannel::kFile
constexpr long kCheck = 50'000'000;                // ns between two looks at the server's life
constexpr std::uint64_t kFirstPidNs = 0xEFFFFFFC;  // PROC_PID_INIT_INO, include/linux/proc_ns.h

struct Report {
  std::int32_t error = 0;
  char what[28] = {};
  std::uint64_t base = 0;
};

struct Task {
  int fuse, report;
  const char* mount_options;
  std::uint64_t bytes;
  pid_t parent;
  const std::uint64_t* free_at;
  const MemoryRange* foreign;
  std::size_t n_foreign;
};

// ---- in the helper: after the fork of a process with threads only what is async-signal-safe ----

[[noreturn]] void give_up(const Task& task, const char* what) {
  Report report;
  report.error = errno;
  std::strncpy(report.what, what, sizeof report.what - 1);
  (void)!::write(task.report, &report, sizeof report);
  ::_exit(1);
}

// A namespace with a root of its own, of which the FUSE mount is the only other one: copies of the
// host's mounts would keep busy what the host wants to unmount.
void mount_alone(const Task& task) {
  if (::unshare(CLONE_NEWNS) != 0) give_up(task, "unshare mounts");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    give_up(task, "make mounts private");
  // Over a directory that every root has; only this process sees it.
  if (::mount("fl-delay", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "size=64k,mode=700") != 0)
    give_up(task, "mount a tmpfs");
  if (::chdir("/proc") != 0 || ::mkdir("pages", 0700) != 0) give_up(task, "make the mount point");
  if (::syscall(SYS_pivot_root, ".", ".") != 0) give_up(task, "pivot_root");
  if (::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0)
    give_up(task, "leave the host's mounts");
  if (::mount("fl-delay", kMount, "fuse", MS_NOSUID | MS_NODEV | MS_NOEXEC, task.mount_options) !=
      0)
    give_up(task, "mount FUSE");
}

std::uint64_t map_pages(const Task& task) {
  const int file = ::open(kFile, O_RDONLY | O_CLOEXEC);
  if (file < 0) give_up(task, "open the file of pages");
  void* base = ::mmap(nullptr, task.bytes, PROT_READ, MAP_SHARED, file, 0);
  if (base == MAP_FAILED) give_up(task, "map the file of pages");
  // One page a fault, never its neighbours.
  if (::madvise(base, task.bytes, MADV_RANDOM) != 0) give_up(task, "madvise");
  ::close(file);
  return reinterpret_cast<std::uintptr_t>(base);
}

std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

[[noreturn]] void helper(const Task& task) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != task.parent) ::_exit(1);  // it died before that
  ::prctl(PR_SET_NAME, "fl-delay", 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // khugepaged would take our mmap_lock for writing.
  ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);  // Ctrl-C is for the agent
  ::setsid();
  close_all_but(task.fuse, task.report);
  for (std::size_t i = 0; i < task.n_foreign; ++i)
    ::munmap(task.foreign[i].begin, task.foreign[i].size);
  mount_alone(task);
  Report report;
  report.base = map_pages(task);
  // A copy of the descriptor would keep the connection when the agent dies.
  ::close(task.fuse);
  (void)!::write(task.report, &report, sizeof report);
  ::close(task.report);
  // From now on the end of the agent is a reason to end the connection: another process may have
  // been forked with a copy of its descriptor, which keeps it open.
  ::prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0);
  const timespec check = {0, kCheck};
  while (::getppid() == task.parent &&
         now_ns() < std::atomic_ref(*const_cast<std::uint64_t*>(task.free_at)).load() &&
         ::sigtimedwait(&all, nullptr, &check) < 0) {
  }
  // MNT_FORCE ends the connection first (fuse_umount_begin()); that it then is busy does not
  // matter.
  ::umount2(kMount, MNT_FORCE);
  ::_exit(0);
}

// BPF finds the helper by its number in the first pid namespace.
Result<> check_pid_namespace() {
  struct stat ns {};
  if (::stat("/proc/self/ns/pid", &ns) == 0 && ns.st_ino != kFirstPidNs)
    return fail(Errc::kUnsupported,
                "the agent runs in a pid namespace of its own: give its pod hostPID: true");
  return {};
}

}  // namespace

Result<> PageHelper::launch(int fuse, std::uint64_t bytes, KtimeNs free_at) {
  if (auto done = check_pid_namespace(); !done) return done;
  void* shared = ::mmap(nullptr, sizeof(std::uint64_t), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return fail(from_errno(errno, "shared memory"));
  free_at_ = static_cast<std::uint64_t*>(shared);
  postpone(free_at);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(from_errno(errno, "pipe"));
  report_ = Fd(ends[0]);
  const Fd write_end(ends[1]);
  // In the helper it would outlive the fault.
  const std::vector<MemoryRange> foreign = memory_of_process().bpf;
  const std::string options =
      "fd=" + std::to_string(fuse) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
  const Task task{.fuse = fuse,
                  .report = write_end.get(),
                  .mount_options = options.c_str(),
                  .bytes = bytes,
                  .parent = ::getpid(),
                  .free_at = free_at_,
                  .foreign = foreign.data(),
                  .n_foreign = foreign.size()};
  pid_ = ::fork();
  if (pid_ < 0) return fail(from_errno(errno, "fork"));
  if (pid_ == 0) helper(task);
  process_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!process_.valid()) return fail(from_errno(errno, "pidfd_open"));
  return {};
}

Result<PageHelper::Pages> PageHelper::pages() {
  Report report;
  const ssize_t got = ::read(report_.get(), &report, sizeof report);
  report_.reset();
  if (got != sizeof report) return fail(Errc::kInternal, "the helper process ended early");
  if (report.error != 0)
    return fail(from_errno(report.error, std::string("helper process: ") + report.what));
  return Pages{.base = report.base, .pid = pid_};
}

void PageHelper::end() {
  if (pid_ > 0) ::kill(pid_, SIGUSR1);
}

void PageHelper::postpone(KtimeNs free_at) {
  std::atomic_ref(*free_at_).store(free_at.ns, std::memory_order_relaxed);
}

PageHelper::~PageHelper() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);  // not yet waited for, so the number is still its own
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (free_at_ != nullptr) ::munmap(free_at_, sizeof *free_at_);
}

}  // namespace faultline::agent
