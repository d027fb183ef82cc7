// SPDX-License-Identifier: Apache-2.0
// Words in the reasons of a record's gaps that mean more than that a source was away. Words and no
// field, so that a controller of an older version reads such a record, too.
#pragma once

#include <string_view>

#include "api/monitoring_record.h"

namespace faultline::api {

// The source answered and said that a part of what it asks itself did not.
inline constexpr std::string_view kPartialAnswer = "a part of what it asks did not answer: ";

[[nodiscard]] inline bool is_partial(const MonitoringGap& gap) {
  return gap.reason.starts_with(kPartialAnswer);
}

// Of "rule NAME of SOURCE": it is not known whether the rule is the one that the record has.
inline constexpr std::string_view kRuleInDoubt = "whether rule ";

[[nodiscard]] inline bool is_doubt(const MonitoringGap& gap) {
  return gap.reason.starts_with(kRuleInDoubt);
}

// MonitoringGap::source of a time in which it was not known whom an Alertmanager led alerts to.
inline constexpr std::string_view kGapOfRoutes = "routes of ";

[[nodiscard]] inline bool is_of_routes(const MonitoringGap& gap) {
  return gap.source.starts_with(kGapOfRoutes);
}

// How a reason ends where another controller took over, and nobody followed the monitoring of the
// run meanwhile.
inline constexpr std::string_view kUnfollowed = ": nobody followed the monitoring";

[[nodiscard]] inline bool is_unfollowed(const MonitoringGap& gap) {
  return gap.reason.ends_with(kUnfollowed);
}

}  // namespace faultline::api
