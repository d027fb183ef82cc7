// SPDX-License-Identifier: Apache-2.0
// The programs of syscallLatency on this node, and what answers those who wait, which all its armed
// faults share: one set of programs a system call or security hook, however many pods.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/faults/delay_line/delay_model.h"
#include "agent/faults/page_delay/page_delay.h"
#include "agent/faults/syscalls/latency_plan.h"
#include "agent/kernel/node_programs.h"
#include "syscall_latency_abi.h"
// After the types of its globals.
#include "syscall_latency.skel.h"

namespace faultline::agent {

// Thread-safe.
class SyscallLatencyNode : public NodePrograms<syscall_latency_bpf, fl_call_fault> {
 public:
  // Has the programs at each place that these calls need, in the plan's way, and joins them; those
  // that are there already are used. Errors: with the name of what could not be loaded or attached;
  // then nothing has changed.
  Result<Places> join(const LatencyPlan& plan);
  // As ProgramPlaces::missed(), but without the programs of which several take turns at a call's
  // end: who finds all of them busy is counted by the one behind them.
  [[nodiscard]] std::uint64_t missed(const Places& places) const;

  // What a slot has beside its fault. An object is loaded.
  [[nodiscard]] fl_latency_slot& latency(std::uint32_t slot) const {
    return first()->bss->fl_latencies[slot];
  }
  // How long its calls waited, of those that did not end early.
  [[nodiscard]] api::Histogram waits(std::uint32_t slot) const {
    return served(latency(slot).served);
  }
  // Fills it for a fault whose calls take longer by the model, from now on. The slot is on nobody.
  void fill(std::uint32_t slot, LatencyWay way, DelayModel model);
  // From now on those who wait for the slot are answered when their delay is over, and no later
  // than its lease. If answering has ended (PageDelay::check()), it begins anew, for all.
  // Errors: PageDelay::start().
  Result<> serve(std::uint32_t slot, DelayModel model);
  // The fault in the slot has ended, its lease too: who waits is freed, and nobody waits any more.
  void end(std::uint32_t slot);
  // Errors: nobody is delayed any more, and why.
  [[nodiscard]] Result<> check() const;

 private:
  Result<> load_missing(const LatencyPlan& plan);
  Result<> load_calls(LatencyWay way, const std::vector<PlannedCall>& calls);

  // By way: the object with the programs on calls, of which copies are made.
  std::map<LatencyWay, syscall_latency_bpf*> on_call_;
  std::unique_ptr<PageDelay> delay_;  // nullptr: nobody had to wait yet
};

}  // namespace faultline::agent
