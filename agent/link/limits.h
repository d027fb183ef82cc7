// SPDX-License-Identifier: Apache-2.0
// The rules of the blast radius, checked again where the faults are armed: a controller that errs,
// or is not ours, cannot make this agent break them. Pure.
#pragma once

#include <optional>
#include <string>

#include "agent/targets/pod.h"
#include "api/sync.h"

namespace faultline::agent {

// Which rule forbids every fault of the run, in one line; empty: none.
[[nodiscard]] std::optional<std::string> run_refusal(const api::DesiredRun& run);

// Which rule forbids faults on this pod. `pod` as this node sees it, not as the controller says.
// `host_netns`: the namespace of the node itself, 0 when unknown.
[[nodiscard]] std::optional<std::string> pod_refusal(const api::DesiredRun& run, const Pod& pod,
                                                     NetnsId host_netns);

}  // namespace faultline::agent
