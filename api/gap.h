// SPDX-License-Identifier: Apache-2.0
// Of which metrics a gap speaks.
#pragma once

#include <string_view>

#include "api/sync.h"

namespace faultline::api {

// Gap::metric is a metric, empty for all, or all that begin alike: "request.*".
[[nodiscard]] inline bool covers(const Gap& gap, std::string_view metric) {
  std::string_view told = gap.metric;
  if (!told.ends_with(".*")) return told.empty() || told == metric;
  told.remove_suffix(1);
  return metric.starts_with(told);
}

}  // namespace faultline::api
