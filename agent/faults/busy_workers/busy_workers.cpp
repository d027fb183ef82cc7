// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/busy_workers/busy_workers.h"

#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <thread>
#include <utility>

#include "agent/faults/busy_workers/start_in_cgroup.h"
#include "agent/kernel/lease.h"
#include "agent/kernel/own_processes.h"

namespace faultline::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// A cgroup that is throttled lets them go on once in a period, which is 100 ms mostly.
constexpr milliseconds kToEnd{500};
constexpr milliseconds kToBeReady{1000};
constexpr KtimeNs kOver{kNoLeaseNs};

nanoseconds of(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

nanoseconds times(double share, nanoseconds time) {
  return nanoseconds(static_cast<std::int64_t>(share * static_cast<double>(time.count())));
}

}  // namespace

struct BusyWorkers::Shared {
  fl_lease lease;
  // Those of the workers follow it.
  WorkerSlot* slots() { return reinterpret_cast<WorkerSlot*>(this + 1); }
};

WorkerSlot& BusyWorkers::slot(const Worker& worker) const { return shared_->slots()[worker.number]; }

Result<std::unique_ptr<BusyWorkers>> BusyWorkers::start(Plan plan, const Clock& clock) {
  std::unique_ptr<BusyWorkers> all(new BusyWorkers(std::move(plan), clock));
  const std::size_t bytes = sizeof(Shared) + all->plan_.count * sizeof(WorkerSlot);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail(from_errno(errno, "shared memory"));
  all->shared_ = static_cast<Shared*>(memory);
  arm_lease(all->shared_->lease, kOver);
  all->had_company_ = !all->is_alone();
  all->workers_.resize(all->plan_.count);
  const ProcessMemory own = memory_of_process();
  for (std::size_t i = 0; i < all->workers_.size(); ++i) {
    all->workers_[i].number = i;
    if (auto launched = all->launch(all->workers_[i], own); !launched)
      return fail(launched.error());
  }
  if (auto ready = all->wait_until_ready(); !ready) return fail(ready.error());
  return all;
}

BusyWorkers::~BusyWorkers() {
  if (auto ended = end(); !ended) spdlog::warn("cpuPressure: {}", ended.error().message);
  for (const Worker& worker : workers_)
    if (worker.pid > 0) reap_later(worker.pid);
  // A worker that has not ended yet has a mapping of its own.
  if (shared_ != nullptr) ::munmap(shared_, sizeof(Shared) + plan_.count * sizeof(WorkerSlot));
}

Result<> BusyWorkers::launch(Worker& worker, const ProcessMemory& memory) {
  const ControllerDirs& place = plan_.places[worker.number % plan_.places.size()];
  WorkerSlot& own = slot(worker);
  std::atomic_ref(own.state).store(0, std::memory_order_release);
  const WorkerTask task{.parent = ::getpid(),
                        .slot = &own,
                        .lease = &shared_->lease,
                        .share = plan_.share,
                        .memory = &memory};
  auto started = start_in_cgroup(place, [&task] { run_worker(task); });
  if (!started) return fail(started.error());
  worker.pid = started->pid;
  worker.process = std::move(started->process);
  by_clone_ = by_clone_ && started->by_clone;
  return {};
}

Result<> BusyWorkers::wait_until_ready() {
  const SteadyTime end = clock_.steady() + kToBeReady;
  for (Worker& worker : workers_) {
    for (;;) {
      const auto state = static_cast<WorkerState>(
          std::atomic_ref(slot(worker).state).load(std::memory_order_acquire));
      if (state == WorkerState::kReady) break;
      if (reap(worker, milliseconds(1))) {
        if (state == WorkerState::kFailed)
          return fail(from_errno(slot(worker).error, "a worker cannot do without what it has"));
        return fail(Errc::kUnavailable,
                    "a worker was killed when it started: does the memory limit of the pod leave "
                    "no room?");
      }
      // A pod that is throttled lets it come to that later.
      if (clock_.steady() > end) return {};
    }
  }
  return {};
}

// Waits for its end so long. True: it has ended, or there was none.
bool BusyWorkers::reap(Worker& worker, milliseconds patience) {
  if (worker.pid < 0) return true;
  pollfd ended{.fd = worker.process.get(), .events = POLLIN, .revents = 0};
  if (::poll(&ended, 1, static_cast<int>(patience.count())) <= 0) return false;
  TaskTimes times;
  if (read_times("/proc", worker.pid, times)) worker.waited = times.waited;
  int status = 0;
  rusage use{};
  if (::wait4(worker.pid, &status, WNOHANG, &use) != worker.pid) return false;
  take_end(worker, status, of(use.ru_utime) + of(use.ru_stime));
  return true;
}

void BusyWorkers::take_end(Worker& worker, int status, nanoseconds cpu) {
  OwnProcesses::here().ended(worker.pid, cpu);
  worker.got_before += std::max(cpu, worker.got);
  worker.waited_before += worker.waited;
  worker.got = worker.waited = worker.waiting = {};
  worker.pid = -1;
  worker.process.reset();
  const auto state =
      static_cast<WorkerState>(std::atomic_ref(slot(worker).state).load(std::memory_order_acquire));
  if (WIFEXITED(status) && state == WorkerState::kLeaseOver) return;
  worker.killed = true;
  // From its latest sign of life on nobody asked for its share.
  worker.acted_when_killed =
      acted({std::atomic_ref(slot(worker).last_ns).load(std::memory_order_relaxed)});
}

nanoseconds BusyWorkers::acted(KtimeNs until) const {
  if (begun_.ns == 0) return acted_before_;
  const KtimeNs end = std::min(until, deadline_);
  return acted_before_ + nanoseconds(end.ns - std::min(end.ns, begun_.ns));
}

bool BusyWorkers::is_alone() const {
  const auto pids = processes_below(plan_.cgroup);
  return std::ranges::all_of(pids, [](pid_t pid) { return OwnProcesses::here().has(pid); });
}

void BusyWorkers::renew(KtimeNs deadline) {
  const KtimeNs now = clock_.ktime();
  if (begun_.ns != 0 && (now >= deadline_ || now >= deadline)) {
    acted_before_ = acted(now);
    begun_ = {};
  }
  if (now < deadline && begun_.ns == 0) begun_ = now;
  deadline_ = deadline;
  renew_lease(shared_->lease, deadline);
  if (now >= deadline) return;
  if (had_company_ ? is_alone() : !is_alone()) {
    if (had_company_) return kill_all();
    had_company_ = true;
  }
  for (Worker& worker : workers_) {
    const auto state = static_cast<WorkerState>(
        std::atomic_ref(slot(worker).state).load(std::memory_order_acquire));
    if (worker.killed || state != WorkerState::kLeaseOver || !reap(worker, milliseconds(50)))
      continue;
    if (worker.killed) continue;
    if (auto launched = launch(worker, memory_of_process()); !launched) {
      if (not_started_++ == 0)
        spdlog::warn("cpuPressure: a worker cannot be started again: {}", launched.error().message);
      worker.killed = true;
      worker.acted_when_killed = acted(now);
    }
  }
}

void BusyWorkers::look() {
  for (Worker& worker : workers_) {
    if (worker.pid < 0 || reap(worker, milliseconds(0))) continue;
    TaskTimes times;
    worker.waits_known = read_times("/proc", worker.pid, times);
    if (!worker.waits_known) continue;
    worker.got = std::max(worker.got, times.ran);
    worker.waited = std::max(worker.waited, times.waited);
    // Since its latest sign of life, if it wants to go on and cannot.
    const std::uint64_t last =
        std::atomic_ref(slot(worker).last_ns).load(std::memory_order_relaxed);
    const std::uint64_t now = clock_.ktime().ns;
    worker.waiting = read_state("/proc", worker.pid) == "R" && last != 0 && last < now
                         ? nanoseconds(now - last)
                         : nanoseconds(0);
  }
}

WorkersUse BusyWorkers::read() {
  look();
  const nanoseconds acted_now = acted(clock_.ktime());
  const nanoseconds each = times(plan_.share, acted_now);
  WorkersUse use{.not_started = not_started_};
  for (const Worker& worker : workers_) {
    const WorkerSlot& own = slot(worker);
    const nanoseconds got = worker.got_before + worker.got;
    const nanoseconds waited = worker.waited_before + worker.waited + worker.waiting;
    const nanoseconds dead =
        worker.killed
            ? times(plan_.share, std::max(acted_now - worker.acted_when_killed, nanoseconds(0)))
            : nanoseconds(0);
    use.asked += each;
    use.got += got;
    use.dead += dead;
    if (worker.waits_known) use.halted += std::max(each - got - waited - dead, nanoseconds(0));
    const KtimeNs first{
        std::atomic_ref(const_cast<std::uint64_t&>(own.first_ns)).load(std::memory_order_relaxed)};
    const KtimeNs last{
        std::atomic_ref(const_cast<std::uint64_t&>(own.last_ns)).load(std::memory_order_relaxed)};
    if (first.ns != 0 && (first_.ns == 0 || first < first_)) first_ = first;
    use.last = std::max(use.last, last);
  }
  use.first = first_;
  return use;
}

void BusyWorkers::kill_all() {
  for (const Worker& worker : workers_)
    if (worker.pid > 0) ::kill(worker.pid, SIGKILL);  // not yet waited for: the number is its own
}

Result<> BusyWorkers::end() {
  if (shared_ == nullptr) return {};
  renew(kOver);  // ends what they act
  disarm_lease(shared_->lease);
  look();
  kill_all();
  const SteadyTime until = clock_.steady() + kToEnd;
  std::size_t left = 0;
  for (Worker& worker : workers_) {
    const auto killed = worker.killed;
    const auto rest = std::chrono::duration_cast<milliseconds>(until - clock_.steady());
    if (!reap(worker, std::max(rest, milliseconds(0)))) ++left;
    worker.killed = killed;  // by us: nothing was missed
  }
  if (left == 0) return {};
  return fail(Errc::kUnavailable,
              std::to_string(left) +
                  " workers that were killed have not ended yet: the pod's cgroup is frozen or "
                  "throttled");
}

}  // namespace faultline::agent
