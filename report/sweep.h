// SPDX-License-Identifier: Apache-2.0
// What the cells of a sweep showed, and the map of them. Pure and thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/report.h"
#include "api/sweep_progress.h"

namespace faultline::report {

// Fills in what the cell's run showed: alerts, injection, effect, recovery, or why it has no
// result. A fault that was not real, and an alert that fired before it, are gaps and never a
// result.
void judge_cell(const api::Report& report, api::SweepCell& cell);

// Of the alerts that the cell expects the one with the worst verdict; null: it has none.
// Owned by the cell.
[[nodiscard]] const api::CellAlert* worst_alert(const api::SweepCell& cell);

// Whether every expected alert fired within its time and somebody was told. Nothing: the cell has
// no result, or it could not be found out.
[[nodiscard]] std::optional<bool> noticed(const api::SweepCell& cell);

// What the map has for a cell: "detected 4.2 s", "late 31 s", "missed", "not real", "begun".
[[nodiscard]] std::string cell_word(const api::SweepCell& cell);

// A sentence on a bisected row: "not noticed at 90ms, noticed at 100ms (step 10ms)".
struct ThresholdLine {
  std::string fault;
  std::string text;
  bool unmet = false;  // the strongest severity was not noticed, or the results contradict
};

// `width`: columns that a line may take, if words allow that.
[[nodiscard]] std::string sweep_terminal(const api::SweepProgress& progress,
                                         const std::vector<ThresholdLine>& thresholds,
                                         std::size_t width);
[[nodiscard]] std::string sweep_markdown(const api::SweepProgress& progress,
                                         const std::vector<ThresholdLine>& thresholds);
// One self-contained page without a script. Links to the cells' reports are relative: each is in
// the folder that has the name of its experiment.
[[nodiscard]] std::string sweep_html(const api::SweepProgress& progress,
                                     const std::vector<ThresholdLine>& thresholds);

}  // namespace faultline::report
