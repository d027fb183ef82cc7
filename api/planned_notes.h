// SPDX-License-Identifier: Apache-2.0
// Of PlannedAlert::notes those that a program reads.
#pragma once

#include <algorithm>
#include <string_view>

#include "api/plan.h"

namespace faultline::api {

inline constexpr std::string_view kFiresAlready = "it fires already";

// Whether the monitoring held the alert when the plan was made.
[[nodiscard]] inline bool fires_already(const PlannedAlert& alert) {
  return std::ranges::find(alert.notes, kFiresAlready) != alert.notes.end();
}

}  // namespace faultline::api
