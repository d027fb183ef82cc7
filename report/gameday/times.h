// SPDX-License-Identifier: Apache-2.0
// Steps that are done several times on one day. Pure and thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "report/format.h"

namespace faultline::report::gameday {

// How often a step was done before, in all rounds of the groups around it: `known` times are in the
// timeline, and an entry counts those of its round, also where entries before it are missing.
[[nodiscard]] inline std::int64_t time_of(std::size_t known, std::int64_t of_entry) {
  return std::max(static_cast<std::int64_t>(known), of_entry);
}

// " (time 2)" where something was done once before; of the first time nothing.
[[nodiscard]] inline std::string again_words(std::int64_t times) {
  return times <= 0 ? "" : " (time " + count_words(static_cast<std::uint64_t>(times) + 1) + ")";
}

}  // namespace faultline::report::gameday
