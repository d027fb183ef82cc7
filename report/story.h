// SPDX-License-Identifier: Apache-2.0
// What the three renderings share: which effects tell most, and the report in sentences. Pure and
// thread-safe. Pointers point into the report.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/metrics.h"
#include "api/report.h"

namespace faultline::report {

// The effects by how much they tell: observed pods, then targets, then controls, and within them
// what changed most for the users of a service. At most `limit`, of which some are kept for the
// control pods, since "nothing else moved" is half of the evidence.
[[nodiscard]] std::vector<const api::EffectReport*> telling_effects(const api::Report& report,
                                                                    std::size_t limit);
// Every effect in that order.
[[nodiscard]] std::vector<const api::EffectReport*> ranked_effects(const api::Report& report);

// The figure of an effect that tells most: of a histogram its median or its slow end, whichever
// changed more beyond chance; else the rate.
struct Telling {
  std::optional<double> quantile;  // of histograms
  std::optional<double> before, during, after, change;
  std::optional<api::Interval> ci95;
  std::optional<bool> significant;  // null: too few windows to tell
};
[[nodiscard]] Telling telling_figure(const api::EffectReport& effect);
// By how much it changed, on a scale that all metrics share. 0: the interval holds 0, or the change
// does not hold among all that were looked at.
[[nodiscard]] double weight(const api::EffectReport& effect);
// Whether it may be called a change: beyond chance, among all that were looked at.
[[nodiscard]] bool is_change(const api::EffectReport& effect);
// Latency, errors or rate of requests and connects: what callers feel.
[[nodiscard]] bool is_felt(const api::EffectReport& effect);
// The metrics of these effects, in the order of their table, for the definitions beside them.
[[nodiscard]] std::vector<const api::Metric*> metrics_told(
    const std::vector<const api::EffectReport*>& effects);

// "12.1 ms", or "-" when it was not measured.
[[nodiscard]] std::string figure_words(std::optional<double> value, const api::Metric& metric);
// "x5.1", "-38 %"; empty where a ratio says nothing.
[[nodiscard]] std::string ratio_words(const api::EffectReport& effect, const api::Metric& metric);
// "request.latency p99": the figure that tells most
[[nodiscard]] std::string metric_words(const api::EffectReport& effect);

// "yes", "no", or "-" when a phase has too few windows to tell.
[[nodiscard]] std::string change_word(const std::optional<bool>& significant);

// "delayed", "dropped", "failed": what the fault did to an event.
[[nodiscard]] std::string_view done_word(std::string_view fault);
// "7 412 matched, 7 412 delayed, +50.3 ms p50, +54.8 ms p95"
[[nodiscard]] std::string acted_words(const api::InjectionReport& row);

// "9.98 Mbit/s passed while packets waited, asked 10; 12 found the queue full"
[[nodiscard]] std::string link_words(const api::LinkReport& link);

[[nodiscard]] std::string_view verdict_word(api::InjectionVerdict verdict);  // "no-traffic"
[[nodiscard]] std::string_view role_word(api::PodRole role);
// "met", "not real", ...; "running" while the run has not ended.
[[nodiscard]] std::string headline(const api::Report& report);
// One sentence: why this verdict.
[[nodiscard]] std::string verdict_reason(const api::Report& report);
// How long the effects took to go, as well as windows of 1 s can tell: "under 1 s". Empty when it
// is not known.
[[nodiscard]] std::string recovery_words(const api::Report& report);
// Control pods of whose requests something changed beyond chance; each with what changed most.
[[nodiscard]] std::vector<const api::EffectReport*> moved_controls(const api::Report& report);
// One sentence on one of them.
[[nodiscard]] std::string moved_control_words(const api::EffectReport& effect);
// The whole run in one paragraph.
[[nodiscard]] std::string summary(const api::Report& report);

// "several requests at once (312 of 4 100)": why something was not measured, and how much it was
// where that is known.
[[nodiscard]] std::string gap_words(const api::Gap& gap);
[[nodiscard]] std::string residue_words(const api::Report& report);  // "none", "not known", ...

}  // namespace faultline::report
