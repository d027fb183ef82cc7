// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/fault.h"

#include <algorithm>

namespace faultline::agent {

const FaultType* find_fault(std::string_view name) {
  const auto faults = fault_registry();
  const auto found = std::ranges::find(faults, name, &FaultType::name);
  return found == faults.end() ? nullptr : *found;
}

}  // namespace faultline::agent
