// SPDX-License-Identifier: Apache-2.0
// cpuPressure by processes of ours inside the pod's cgroup (busy_workers/), so that the pod's own
// limits act on them as on the pod: where it is throttled, it is throttled with them.
//
// What is counted is CPU time in milliseconds: matched was to be asked for, injected was got by the
// kernel's account, lost is what workers that were killed did not ask for, stalled what stopped or
// frozen ones did not. What is missing beside these is what the scheduler kept back, or the pod's
// limit: the pressure itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/faults/fault.h"
#include "agent/targets/controller_dirs.h"

namespace faultline::agent {

struct PressurePlan {
  std::uint32_t workers = 1;
  double share = 1;  // of one CPU each
  // "2 workers at 40 % of a CPU = 80 % of its limit of 1 CPU"
  std::string words;
};

// `limit`: that holds for the pod. `cpus`: of the node. As few workers as can ask for that much.
// Errors: kUnsupported where more than 1024 would be needed.
Result<PressurePlan> plan_pressure(const api::CpuPressure& spec,
                                   const std::optional<CpuLimit>& limit, double cpus);

extern const FaultType kCpuPressure;

}  // namespace faultline::agent
