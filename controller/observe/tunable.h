// SPDX-License-Identifier: Apache-2.0
// What of a rule's expression can be given another value: the numbers that it compares with, and
// its range windows. Pure and thread-safe.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::controller::observe {

// A part of the expression's text that stands for a number.
struct TunablePart {
  std::size_t at = 0, length = 0;  // bytes of the text
  double value = 0;                // a threshold, or a window's seconds
};

struct Tunable {
  std::string expr;
  // The numbers at which the expression as a whole becomes true: those that are compared with by
  // >, >=, < or <= outside of all functions, also in the parts of `and` and `or`. A calculation
  // with numbers alone (14.4 * 0.001) is one number.
  std::vector<TunablePart> thresholds;
  std::vector<TunablePart> windows;  // the lengths of its ranges and subqueries
  std::vector<std::string> notes;    // what is not varied and why, and what is varied together

  // The value that a list of thresholds or windows gives; all others are multiplied alike. The
  // first that is not 0. Empty: there is none to vary.
  [[nodiscard]] std::optional<double> threshold() const;
  [[nodiscard]] std::optional<double> window() const;
};
[[nodiscard]] Tunable tunable(std::string_view expr);
inline constexpr std::size_t kLongestTunable = 16 << 10;  // bytes; of what is longer nothing varies

// The expression with other values, else byte for byte as it was; what has the value that it has
// stays as it is written. Values of what the expression does not have are passed over.
[[nodiscard]] std::string varied(const Tunable& from, std::optional<double> threshold,
                                 std::optional<double> window);

}  // namespace faultline::controller::observe
