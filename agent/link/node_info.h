// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "agent/faults/fault.h"

namespace faultline::agent {

// What this node is and can do. Tries every feature: takes a moment, leaves nothing.
[[nodiscard]] api::NodeInfo node_info(std::string name, std::string version,
                                      const FeatureProbe& features,
                                      std::span<const FaultType* const> faults);

}  // namespace faultline::agent
