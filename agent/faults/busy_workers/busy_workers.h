// SPDX-License-Identifier: Apache-2.0
// Processes inside a pod's cgroup that use the CPU while their lease is renewed: started, accounted
// for and ended. They are in no namespace of the pod.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/faults/busy_workers/worker.h"
#include "agent/kernel/fd.h"
#include "agent/targets/controller_dirs.h"
#include "base/clock.h"
#include "base/result.h"

namespace faultline::agent {

// Totals in CPU time. asked = got + what the scheduler kept back + halted + dead.
struct WorkersUse {
  std::chrono::nanoseconds asked{0};   // that they were to ask for
  std::chrono::nanoseconds got{0};     // by the kernel's account
  std::chrono::nanoseconds halted{0};  // that those did not ask for that were stopped or frozen
  std::chrono::nanoseconds dead{0};    // that those did not ask for that had been killed
  std::uint64_t not_started = 0;       // workers that could not be started again
  KtimeNs first{}, last{};             // they worked; 0: they have not
};

// Used and destroyed by the thread that started it: with that thread they end.
class BusyWorkers {
 public:
  struct Plan {
    // Of the pod or container: whose processes the workers go with.
    std::string cgroup;
    // Where they are started, in turns. Not empty.
    std::vector<ControllerDirs> places;
    std::uint32_t count = 1;
    double share = 1;  // of one CPU each
  };
  // All of them, waiting for a lease that is renewed. Errors: what the kernel said and which limit
  // it may have been; then none is left. kUnavailable, EBUSY: no process may be in this cgroup,
  // since it gives its controllers to those below it.
  static Result<std::unique_ptr<BusyWorkers>> start(Plan plan, const Clock& clock);
  BusyWorkers(const BusyWorkers&) = delete;
  BusyWorkers& operator=(const BusyWorkers&) = delete;
  ~BusyWorkers();  // end()

  // They work until then. Those that ended because a lease was not renewed are started again, those
  // that were killed are not. When no other process is left in `cgroup`, they are ended, so that it
  // can be removed.
  void renew(KtimeNs deadline);
  [[nodiscard]] WorkersUse read();
  // Kills them and waits. Errors: some have not ended yet, since their cgroup is frozen or
  // throttled; they do nothing more and end when it goes on.
  Result<> end();
  // "clone3" or "cgroup.procs": how they came into the cgroup.
  [[nodiscard]] const char* means() const { return by_clone_ ? "clone3" : "cgroup.procs"; }

 private:
  struct Worker {
    pid_t pid = -1;  // -1: none runs
    Fd process;
    std::size_t number = 0;                      // its slot
    std::chrono::nanoseconds got{0}, waited{0};  // of this process, as read last
    std::chrono::nanoseconds got_before{0};      // of those that had its slot before
    std::chrono::nanoseconds waited_before{0};
    std::chrono::nanoseconds waiting{0};  // now, as far as it is known
    bool waits_known = true;
    bool killed = false;
    std::chrono::nanoseconds acted_when_killed{0};
  };
  struct Shared;

  BusyWorkers(Plan plan, const Clock& clock) : plan_(std::move(plan)), clock_(clock) {}
  Result<> launch(Worker& worker, const ProcessMemory& memory);
  Result<> wait_until_ready();
  void look();  // which have ended, and what the others have used
  void take_end(Worker& worker, int status, std::chrono::nanoseconds cpu);
  bool reap(Worker& worker, std::chrono::milliseconds patience);
  void kill_all();
  [[nodiscard]] bool is_alone() const;
  [[nodiscard]] std::chrono::nanoseconds acted(KtimeNs until) const;
  [[nodiscard]] WorkerSlot& slot(const Worker& worker) const;

  Plan plan_;
  const Clock& clock_;
  Shared* shared_ = nullptr;  // mapped; with one slot for each worker behind it
  std::vector<Worker> workers_;
  bool by_clone_ = true;
  bool had_company_ = false;
  KtimeNs begun_, deadline_;  // of what they act now; begun_ 0: they do not
  std::chrono::nanoseconds acted_before_{0};
  std::uint64_t not_started_ = 0;
  KtimeNs first_;
};

}  // namespace faultline::agent
