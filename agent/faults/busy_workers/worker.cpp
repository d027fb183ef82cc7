// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/busy_workers/worker.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>

#include "agent/kernel/own_processes.h"

namespace faultline::agent {
namespace {

// Between two looks at the clock while it works, about 20 us.
constexpr int kRounds = 20'000;
constexpr std::uint64_t kWaitNs = 2'000'000;  // between two looks for the first lease
// What the scheduler did not give in time is asked for later, so much of it at most: a worker that
// was throttled for long does not work through all it missed.
constexpr std::uint64_t kMostOwedSlices = 10;

std::uint64_t read_clock(clockid_t which) {
  timespec now{};
  ::clock_gettime(which, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

void sleep_until(std::uint64_t ns) {
  const timespec at = {static_cast<time_t>(ns / 1'000'000'000),
                       static_cast<long>(ns % 1'000'000'000)};
  (void)::syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
}

void set_state(const WorkerTask& task, WorkerState state) {
  std::atomic_ref(task.slot->state)
      .store(static_cast<std::uint32_t>(state), std::memory_order_release);
}

[[noreturn]] void end(int code) {
  for (;;) (void)::syscall(SYS_exit_group, code);
}

[[noreturn]] void give_up(const WorkerTask& task) {
  std::atomic_ref(task.slot->error).store(errno, std::memory_order_relaxed);
  set_state(task, WorkerState::kFailed);
  end(1);
}

void end_with_parent(const WorkerTask& task) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::syscall(SYS_getppid) != task.parent) end(1);  // it ended before that
}

void be_first_to_die() {
  const int file = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  (void)!::write(file, "1000", 4);
  ::close(file);
}

// As a process of the pod would be scheduled, whatever the agent's thread was given.
void be_ordinary() {
  sched_param none{};
  ::sched_setscheduler(0, SCHED_OTHER, &none);
  ::setpriority(PRIO_PROCESS, 0, 0);
  unsigned char every[1024];  // CPUs by 8; a cpuset of the pod holds on
  std::memset(every, 0xff, sizeof every);
  (void)::syscall(SYS_sched_setaffinity, 0, sizeof every, every);
  ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

void drop_capabilities(const WorkerTask& task) {
  // Without CAP_SETPCAP the bounding set stays; a process that can never run a program again gains
  // nothing from it.
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability)
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) give_up(task);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) give_up(task);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

#if defined(__x86_64__)
constexpr std::uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArch = AUDIT_ARCH_AARCH64;
#else
#error "which architecture do system calls of this machine have?"
#endif

// Any other system call kills it. A kernel without seccomp does not know how: then this is left
// out.
void allow_only_its_calls() {
  constexpr std::uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS, kIs = BPF_JMP | BPF_JEQ | BPF_K,
                          kAnswer = BPF_RET | BPF_K;
  constexpr int kCalls[] = {SYS_clock_gettime, SYS_clock_nanosleep, SYS_getppid, SYS_exit_group,
                            SYS_restart_syscall};
  constexpr std::size_t kCount = std::size(kCalls);
  sock_filter code[kCount + 5] = {
      {kLoad, 0, 0, offsetof(seccomp_data, arch)},
      {kIs, 0, kCount + 1, kArch},
      {kLoad, 0, 0, offsetof(seccomp_data, nr)},
  };
  for (std::size_t i = 0; i < kCount; ++i)
    code[3 + i] = {kIs, static_cast<std::uint8_t>(kCount - i), 0,
                   static_cast<std::uint32_t>(kCalls[i])};
  code[3 + kCount] = {kAnswer, 0, 0, SECCOMP_RET_KILL_PROCESS};
  code[4 + kCount] = {kAnswer, 0, 0, SECCOMP_RET_ALLOW};
  const sock_fprog program{.len = std::size(code), .filter = code};
  ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

// From here on nothing may be called that the loader has not looked up before.
void forget(const ProcessMemory& memory) {
  // The list is in memory that goes with it.
  MemoryRange ranges[256];
  std::size_t count = 0;
  for (const MemoryRange& range : memory.heap)
    if (count < std::size(ranges)) ranges[count++] = range;
  for (const MemoryRange& range : memory.bpf) (void)::syscall(SYS_munmap, range.begin, range.size);
  for (std::size_t i = 0; i < count; ++i)
    (void)::syscall(SYS_madvise, ranges[i].begin, ranges[i].size, MADV_DONTNEED);
}

void spin() {
  for (int i = 0; i < kRounds; ++i) asm volatile("" ::: "memory");
}

// The lease as it is at `now`. Does not return when the worker is to end.
bool may_work(const WorkerTask& task, std::uint64_t now, bool has_begun) {
  if (std::atomic_ref(*const_cast<__u32*>(&task.lease->armed)).load(std::memory_order_acquire) == 0)
    end(0);
  const std::uint64_t deadline = std::atomic_ref(*const_cast<__u64*>(&task.lease->deadline_ns))
                                     .load(std::memory_order_relaxed);
  if (now < deadline) return true;
  // Also one that was frozen until the first lease had come and gone.
  if (has_begun || deadline != kNoLeaseNs) {
    set_state(task, WorkerState::kLeaseOver);
    end(0);
  }
  return false;
}

void wait_for_lease(const WorkerTask& task) {
  const std::uint64_t since = read_clock(CLOCK_MONOTONIC);
  for (std::uint64_t now = since; !may_work(task, now, false);) {
    if (now - since > kIdleNs || ::syscall(SYS_getppid) != task.parent) {
      set_state(task, WorkerState::kLeaseOver);
      end(0);
    }
    sleep_until(now + kWaitNs);
    now = read_clock(CLOCK_MONOTONIC);
  }
}

// Slice after slice: works until it has had what is owed to it or until the slice is over, and
// sleeps for the rest. What is owed is CPU time by the thread's own clock, so that the share is
// what it asks of the scheduler, whatever else runs.
[[noreturn]] void work(const WorkerTask& task) {
  const auto a_slice = static_cast<std::uint64_t>(task.share * static_cast<double>(kSliceNs));
  std::uint64_t begin = read_clock(CLOCK_MONOTONIC), owed = 0;
  if (std::atomic_ref(task.slot->first_ns).load(std::memory_order_relaxed) == 0)
    std::atomic_ref(task.slot->first_ns).store(begin, std::memory_order_relaxed);
  for (std::uint64_t now = begin;;) {
    if (::syscall(SYS_getppid) != task.parent) end(1);
    owed = std::min(owed + a_slice, a_slice * kMostOwedSlices);
    const std::uint64_t had = read_clock(CLOCK_THREAD_CPUTIME_ID), over = begin + kSliceNs;
    std::uint64_t used = 0;
    while (used < owed && now < over) {
      spin();
      now = read_clock(CLOCK_MONOTONIC);
      may_work(task, now, true);
      used = read_clock(CLOCK_THREAD_CPUTIME_ID) - had;
    }
    owed -= std::min(owed, used);
    std::atomic_ref(task.slot->last_ns).store(now, std::memory_order_relaxed);
    if (now < over) {
      sleep_until(over);
      now = read_clock(CLOCK_MONOTONIC);
      may_work(task, now, true);
    }
    // The slices that went by while it had no CPU are owed, too.
    for (begin = over; begin + kSliceNs <= now; begin += kSliceNs)
      owed = std::min(owed + a_slice, a_slice * kMostOwedSlices);
  }
}

}  // namespace

void run_worker(const WorkerTask& given) {
  const WorkerTask task = given;  // on the stack, which stays
  end_with_parent(task);
  ::prctl(PR_SET_NAME, kOwnProcessName, 0, 0, 0);
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);  // Ctrl-C is for the agent
  ::setsid();
  be_first_to_die();
  be_ordinary();
  if (::chdir("/") != 0) give_up(task);
  close_all_but(-1, -1);
  drop_capabilities(task);
  end_with_parent(task);  // a change of capabilities may take the signal away
  (void)read_clock(CLOCK_THREAD_CPUTIME_ID);
  forget(*task.memory);
  allow_only_its_calls();
  set_state(task, WorkerState::kReady);
  wait_for_lease(task);
  work(task);
}

}  // namespace faultline::agent
