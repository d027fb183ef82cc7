// SPDX-License-Identifier: Apache-2.0
// "Did anyone notice?" in words, for the renderings. Pure and thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/detection.h"
#include "api/report.h"

namespace faultline::report {

// "detected", "not notified", "fired before the fault".
[[nodiscard]] std::string_view detection_word(api::DetectionVerdict verdict);
// "agrees", "too coarse", "no data".
[[nodiscard]] std::string_view signal_word(api::SignalVerdict verdict);
// "CheckoutSlow (service=checkout)".
[[nodiscard]] std::string alert_words(const api::DetectionReport& detection);
// "fired after 41.2 s (asked within 60 s) = 3.1 s scrape + 30 s for; floor 35 s; told after 42 s:
// pager", and the reason where there is one.
[[nodiscard]] std::string detection_words(const api::DetectionReport& detection);
// "after 22 s p99 of ... would have been true: PROMQL", one for each hint.
[[nodiscard]] std::vector<std::string> hint_words(const api::DetectionReport& detection);
// "histogram_quantile(...) says 240 ms, the kernel 310 ms (request.latency p99)".
[[nodiscard]] std::string signal_words(const api::SignalReport& signal);
// Seconds from the first injected event to `at`; empty: one of them did not come.
[[nodiscard]] std::optional<double> after_injection(const api::Report& report,
                                                    const api::Timestamp& at);

}  // namespace faultline::report
