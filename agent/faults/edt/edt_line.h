// SPDX-License-Identifier: Apache-2.0
// networkLatency by EDT ("edt"): packets wait in the kernel, in fq on a device of ours
// (bpf/faults/network_latency_edt.bpf.c). What it measures and how it ends is as with the delay
// line; docs/decisions/0011-edt.md says when it is chosen and what it costs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/faults/fault.h"

namespace faultline::agent {

inline constexpr const char* kEdtMechanism = "edt";

// No packet waits longer at once, so all are out that long after the lease has ended.
inline constexpr std::chrono::milliseconds kEdtHop{40};

// `devices`: as DelayLine::open(). In the host's network namespace. Errors: what the kernel said.
Result<std::unique_ptr<ArmedFault>> arm_edt(const api::NetworkLatency& spec,
                                            const std::vector<IfIndex>& devices,
                                            const ArmContext& context);

}  // namespace faultline::agent
