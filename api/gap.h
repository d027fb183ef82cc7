// SPDX-License-Identifier: Apache-2.0
// What gaps say: of which metrics, and how several become one.
#pragma once

#include <optional>
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

// Gap::metric of packets that did not come by our hooks: no metric is missing, faults were passed
// by (docs/decisions/0006-where-effects-are-seen.md).
inline constexpr std::string_view kBypass = "net.bypass";

// `next` is the same gap in the window that follows. How much is missing adds up; where one of them
// does not know, neither does the sum.
inline void go_on(Gap& gap, const Gap& next) {
  gap.to = next.to;
  const bool known = gap.missed && gap.of && next.missed && next.of;
  gap.missed = known ? std::optional(*gap.missed + *next.missed) : std::nullopt;
  gap.of = known ? std::optional(*gap.of + *next.of) : std::nullopt;
}

}  // namespace faultline::api
