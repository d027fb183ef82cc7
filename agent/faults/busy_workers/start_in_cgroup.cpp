// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/busy_workers/start_in_cgroup.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "agent/kernel/helper_process.h"
#include "agent/kernel/own_processes.h"

namespace faultline::agent {
namespace {

constexpr int kToEndMs = 500;

struct Leftovers {
  std::mutex mutex;
  std::vector<pid_t> pids;
};
Leftovers& leftovers() {
  static Leftovers all;
  return all;
}

void reap_leftovers() {
  Leftovers& all = leftovers();
  const std::scoped_lock lock(all.mutex);
  std::erase_if(all.pids, [](pid_t pid) {
    rusage use{};
    const pid_t ended = ::wait4(pid, nullptr, WNOHANG, &use);
    if (ended == 0) return false;
    OwnProcesses::here().ended(
        pid, std::chrono::seconds(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                 std::chrono::microseconds(use.ru_utime.tv_usec + use.ru_stime.tv_usec));
    return true;
  });
}

// Where cgroup2 is mounted with nsdelegate, a process of a cgroup namespace moves nobody beyond it;
// an agent in a container has such a namespace. While this lives, the thread is in that of the
// node's first process, and so is who it clones.
class NodeCgroupNs {
 public:
  NodeCgroupNs() {
    struct stat own {
    }, node{};
    if (::stat("/proc/self/ns/cgroup", &own) != 0 || ::stat("/proc/1/ns/cgroup", &node) != 0 ||
        own.st_ino == node.st_ino)
      return;
    Fd home(::open("/proc/thread-self/ns/cgroup", O_RDONLY | O_CLOEXEC));
    const Fd there(::open("/proc/1/ns/cgroup", O_RDONLY | O_CLOEXEC));
    if (home.valid() && there.valid() && ::setns(there.get(), CLONE_NEWCGROUP) == 0)
      home_ = std::move(home);
  }
  NodeCgroupNs(const NodeCgroupNs&) = delete;
  NodeCgroupNs& operator=(const NodeCgroupNs&) = delete;
  ~NodeCgroupNs() {
    if (home_.valid() && ::setns(home_.get(), CLONE_NEWCGROUP) != 0)
      spdlog::error("cannot go back to the agent's cgroup namespace: {}", std::strerror(errno));
  }

 private:
  Fd home_;
};

// The kernel, or a filter of system calls that we run under, has no CLONE_INTO_CGROUP.
bool is_unknown(int error) { return error == ENOSYS || error == EINVAL || error == E2BIG; }

Error why_not(int error, const std::string& cgroup) {
  const std::string what = "cannot start a process in " + cgroup;
  if (error == EAGAIN)
    return from_errno(error, what + ": the pod's limit of processes (pids.max) or the agent's");
  if (error == EBUSY)
    return {Errc::kUnavailable, what + ": it gives its controllers to the cgroups below it", error};
  return from_errno(error, what);
}

Result<StartedProcess> clone_process(const std::string& cgroup, const std::function<void()>& body) {
  const Fd directory(::open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return fail(from_errno(errno, "cannot open cgroup " + cgroup));
  int pidfd = -1;
  pid_t pid = clone_into_cgroup(directory.get(), pidfd);
  const bool by_clone = !(pid < 0 && is_unknown(errno));
  if (!by_clone) pid = ::fork();
  if (pid < 0) return fail(why_not(errno, cgroup));
  if (pid == 0) {
    body();
    ::_exit(1);
  }
  StartedProcess started{.pid = pid, .process = Fd(pidfd), .by_clone = by_clone};
  OwnProcesses::here().add(started.pid, cgroup);
  if (!by_clone) started.process = Fd(static_cast<int>(::syscall(SYS_pidfd_open, started.pid, 0)));
  return started;
}

Result<> move_into(const std::string& cgroup, pid_t pid) {
  const Fd file(::open((cgroup + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  const std::string text = std::to_string(pid);
  if (!file.valid() ||
      ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail(why_not(errno, cgroup));
  return {};
}

Result<> put_in_place(const ControllerDirs& place, const StartedProcess& started) {
  if (!started.process.valid()) return fail(from_errno(errno, "pidfd_open"));
  if (!started.by_clone)
    if (auto moved = move_into(place.v2.path, started.pid); !moved) return moved;
  for (const std::string& cgroup : place.v1_paths())
    if (auto moved = move_into(cgroup, started.pid); !moved) return moved;
  // Who is moved is counted and not refused.
  if (!started.by_clone || place.is_v1("pids"))
    if (const std::string over = over_pids_limit(place); !over.empty())
      return fail(why_not(EAGAIN, over));
  return {};
}

}  // namespace

Result<StartedProcess> start_in_cgroup(const ControllerDirs& place,
                                       const std::function<void()>& body) {
  reap_leftovers();
  const NodeCgroupNs node;
  auto started = clone_process(place.v2.path, body);
  if (!started) return started;
  if (auto placed = put_in_place(place, *started); !placed) {
    ::kill(started->pid, SIGKILL);
    reap_later(started->pid);
    pollfd ended{.fd = started->process.get(), .events = POLLIN, .revents = 0};
    ::poll(&ended, 1, kToEndMs);
    reap_leftovers();
    return fail(placed.error());
  }
  return started;
}

void reap_later(pid_t pid) {
  const std::scoped_lock lock(leftovers().mutex);
  leftovers().pids.push_back(pid);
}

}  // namespace faultline::agent
