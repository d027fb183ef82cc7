// SPDX-License-Identifier: Apache-2.0
// Numbers as people read them. Pure and thread-safe. A number has three significant digits unless
// told otherwise; groups of thousands are set apart by a blank.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/metrics.h"
#include "api/report.h"
#include "api/selector.h"
#include "api/sync.h"

namespace faultline::report {

// "12.1", "431", "7 412", "0.0052"; never an exponent.
[[nodiscard]] std::string number_words(double value, int digits = 3);
[[nodiscard]] std::string count_words(std::uint64_t value);
// "35 us", "12.1 ms", "1.02 s", "2 min 5 s".
[[nodiscard]] std::string seconds_words(double seconds, int digits = 3);
// What somebody wrote, without noughts that they did not write: "50 ms", "1.5 s".
[[nodiscard]] std::string exact_seconds_words(double seconds);
// A time since a start, to the millisecond: "40.219 s".
[[nodiscard]] std::string offset_words(double seconds);
// 0.1003 -> "10.03 %".
[[nodiscard]] std::string percent_words(double fraction, int digits = 4);
// In the unit of the metric: "12.1 ms", "412 /s", "1.2 MB/s", "50 %", "0.31 cores".
[[nodiscard]] std::string value_words(const api::Metric& metric, double value);
// The same with a sign: "+50.1 ms", "-12.0 /s"; "+5.00 points" for fractions (of a hundred).
[[nodiscard]] std::string change_words(const api::Metric& metric, double change);
// A change with its interval, all in one unit: "+49.8 ms (+49.2 to +51.3)"; without an interval the
// change alone.
[[nodiscard]] std::string change_words(const api::Metric& metric, double change,
                                       const std::optional<api::Interval>& interval);
// A bound in the metric's unit as somebody wrote it: "1 s", "5 %".
[[nodiscard]] std::string bound_words(const api::Metric& metric, double bound);
// "1 pod", "3 pods".
[[nodiscard]] std::string plural(std::uint64_t n, std::string_view one, std::string_view many);
// "container app", "containers app, log"; empty where whole pods are hit.
[[nodiscard]] std::string container_words(const api::Target& target);
[[nodiscard]] std::string join(const std::vector<std::string>& parts, std::string_view separator);
// "app=checkout in shop", "every measured pod".
[[nodiscard]] std::string selector_words(const api::Selector& selector);
// 0.99 -> "p99", 0.999 -> "p99.9", 1 -> "max".
[[nodiscard]] std::string quantile_words(double quantile);
// "as server, port 8080": the labels of a metric; empty when there are none.
[[nodiscard]] std::string labels_words(const std::map<std::string, std::string>& labels);
// The same where room is short: "server :8080".
[[nodiscard]] std::string short_labels_words(const std::map<std::string, std::string>& labels);

}  // namespace faultline::report
