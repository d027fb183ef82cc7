// SPDX-License-Identifier: Apache-2.0
// The mildest severity that is noticed, by bisection. Pure and thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace faultline::cli {

// What is known of a step; nothing: it was tried and came to no result.
using Known = std::map<std::int64_t, std::optional<bool>>;

enum class BisectEnd {
  kNone,          // `next` is to be tried
  kFound,         // `missed` was not noticed and `noticed`, the step after it, was
  kNotEvenLast,   // the strongest was not noticed
  kAlreadyFirst,  // the mildest was noticed
  kGap            // `gap` came to no result, and nothing else can tell
};

struct Bisection {
  BisectEnd end = BisectEnd::kNone;
  std::int64_t next = 0;
  std::optional<std::int64_t> missed, noticed, gap;
  // A milder step was noticed and a stronger one was not: there is no one threshold. The first is
  // the milder.
  std::optional<std::pair<std::int64_t, std::int64_t>> contradiction;
};

// The strongest step first, then the mildest, then the middle of what is open. `last`: the number
// of the strongest, at least 1.
[[nodiscard]] Bisection bisect(std::int64_t last, const Known& known);

}  // namespace faultline::cli
