// SPDX-License-Identifier: Apache-2.0
#include "cli/sweep/bisect.h"

#include <algorithm>

namespace faultline::cli {
namespace {

std::optional<std::pair<std::int64_t, std::int64_t>> contradiction_in(const Known& known) {
  std::optional<std::int64_t> mildest;
  for (const auto& [step, noticed] : known) {
    if (!noticed) continue;
    if (*noticed && !mildest) mildest = step;
    if (!*noticed && mildest) return std::pair(*mildest, step);
  }
  return std::nullopt;
}

}  // namespace

Bisection bisect(std::int64_t last, const Known& known) {
  Bisection out;
  out.contradiction = contradiction_in(known);
  std::int64_t low = 0, high = last;
  // Notes what is known of a step; false: it decides nothing, and `out` says why.
  const auto look = [&](std::int64_t step) -> std::optional<bool> {
    const auto found = known.find(step);
    if (found == known.end()) {
      out.next = step;
    } else if (!found->second) {
      out.end = BisectEnd::kGap;
      out.gap = step;
    } else {
      (*found->second ? out.noticed : out.missed) = step;
      return found->second;
    }
    return std::nullopt;
  };
  const auto strongest = look(last);
  if (!strongest) return out;
  if (!*strongest) {
    out.end = BisectEnd::kNotEvenLast;
    return out;
  }
  const auto mildest = look(0);
  if (!mildest) return out;
  if (*mildest) {
    out.end = BisectEnd::kAlreadyFirst;
    return out;
  }
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    const auto noticed = look(middle);
    if (!noticed) return out;
    (*noticed ? high : low) = middle;
  }
  out.end = BisectEnd::kFound;
  return out;
}

}  // namespace faultline::cli
