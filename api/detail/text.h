// SPDX-License-Identifier: Apache-2.0
// Small helpers of the value parsers and the codec. Thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/quoted.h"

namespace faultline::api::detail {

using faultline::in_quotes;

[[nodiscard]] bool starts_with_digit(std::string_view text);

// The shortest decimal that reads back as the same number.
[[nodiscard]] std::string number_text(double value);

// "a, b, c".
template <class Words>
[[nodiscard]] std::string joined(const Words& words) {
  std::string text;
  for (const auto& word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

// All names of the C library with their values, aliases such as EWOULDBLOCK included.
[[nodiscard]] std::span<const std::pair<std::string_view, int>> errno_names();

}  // namespace faultline::api::detail
