// SPDX-License-Identifier: Apache-2.0
// From what was measured to what a person reads. Pure functions of a RunRecord; used by the
// controller (which serves reports) and the command (which writes them into a folder). Thread-safe.
#pragma once

#include <string>

#include "api/report.h"
#include "api/run_record.h"

namespace faultline::report {

// Windows compared, verdicts, timeline, expectations, recovery. Never fails: what is missing
// becomes a gap.
[[nodiscard]] api::Report build(const api::RunRecord& record);

[[nodiscard]] std::string to_markdown(const api::Report& report);
// One self-contained file: styles, uPlot and data inlined; works from disk without a network, light
// and dark.
[[nodiscard]] std::string to_html(const api::Report& report, const api::RunRecord& record);
// The lines that end `faultline run`: verdicts, effects, recovery, residue. `color`: ANSI.
[[nodiscard]] std::string to_terminal(const api::Report& report, bool color);

// 0 met, 1 an expectation missed, 2 a fault was not real or only in part, 4 aborted, 5 failed.
[[nodiscard]] int exit_code(const api::Report& report);

// "50 ms +- 5 ms, both directions, port 8080": what a fault asks, in plain words.
[[nodiscard]] std::string asked_words(const api::Fault& fault);
// What applications will see and how the fault is made, a sentence or two: `faultline explain`.
[[nodiscard]] std::string explain_words(const api::Fault& fault);

// Why a report of these phases will call nothing a change, or empty: a phase has too few windows to
// tell one from chance.
[[nodiscard]] std::string too_short_words(const api::Phases& phases);

// Value of a metric in a phase over all windows of pods that match; used by expectations and by
// abortWhen, which passes the record of a running experiment. Empty when not measured.
// Histograms: `quantile` (else the median) of all values. Counters: events per second, summed over
// pods and labels, each over the time it was measured. Gauges: the mean over time. Fractions: the
// ratio of sums. An empty selector means every target and observed pod, no control pod. A pod that
// answers requests is judged as a server, any other as a client, so that a proxy is not counted
// twice.
[[nodiscard]] std::optional<double> metric_value(const api::RunRecord& record,
                                                 const api::Selector& selector,
                                                 std::string_view metric,
                                                 std::optional<double> quantile,
                                                 api::RunPhase phase);
// "1s", "50%", "10" in the metric's unit.
[[nodiscard]] Result<double> parse_bound(std::string_view metric, std::string_view text);

}  // namespace faultline::report
