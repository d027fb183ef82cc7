// SPDX-License-Identifier: Apache-2.0
// What the text of a PromQL expression says without being evaluated. Pure and thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::report {

struct PromqlText {
  double longest_window = 0;  // seconds, of range selectors and subqueries; 0: there is none
  double longest_offset = 0;  // seconds, of `offset`; one that looks ahead counts as none
  bool fixed_time = false;    // a selector is of one time for good: `@`
  // Its selectors as they stand there, without range and offset, each once.
  std::vector<std::string> selectors;
  std::vector<std::string> metrics;  // names that its selectors read, each once, as they came
  // A selector names its metric by a regular expression, or not at all: `metrics` is not complete.
  bool incomplete = false;
};

// Never fails: what is not understood is passed over. Text that is no PromQL gives words of no use.
[[nodiscard]] PromqlText scan_promql(std::string_view text);

// "1h30m", "15s", "500ms", "1w", also a bare number of seconds; empty: it is none. In seconds.
[[nodiscard]] std::optional<double> parse_promql_duration(std::string_view text);
// The same backwards, as Prometheus prints it: 90 -> "1m30s".
[[nodiscard]] std::string promql_duration_words(double seconds);

}  // namespace faultline::report
