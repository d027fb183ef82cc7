// SPDX-License-Identifier: Apache-2.0
// How a kernel can delay system calls, and on which rung each call of a fault waits. Chosen by what
// the kernel can do, never by its version. No state, thread-safe.
#pragma once

#include <chrono>
#include <string>

#include "agent/faults/syscalls/plan.h"

namespace faultline::agent {

constexpr std::chrono::nanoseconds kLongestSpin = std::chrono::milliseconds(1);

// How programs on the call itself make it wait. Those on security hooks do the same with task work
// and when they spin, else they sleep at the hook.
enum class LatencyWay { kTaskWork, kExit, kSpin };

// What a way needs on each rung.
struct LatencyLadder {
  LatencyWay way;
  RungReasons reasons;
};

struct LatencyPlan {
  LatencyWay way;
  SyscallPlan calls;
};

// For the report: "fentry + task work", and the same of programs on security hooks.
[[nodiscard]] std::string call_words(LatencyWay way);
[[nodiscard]] std::string security_words(LatencyWay way);

// The best way to wait that this kernel has, and how it would hold the CPU instead.
[[nodiscard]] LatencyLadder waiting_ladder(const FeatureProbe& features);
[[nodiscard]] LatencyLadder spinning_ladder(const FeatureProbe& features);

// One way for all calls of the fault. A call is never delayed where the kernel holds a lock for
// which others would wait. Errors: of plan_calls().
Result<LatencyPlan> plan_latency(const api::SyscallLatency& spec, const FeatureProbe& features);

}  // namespace faultline::agent
