// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "api/detail/instances.h"
#include "api/detail/rules_sweep.h"

FAULTLINE_CODEC_STRUCT(, Sweep)

namespace faultline::api {

namespace detail {
// Our own file: a cell has about 2 KiB, and there are as many as a person had patience for.
template <>
inline constexpr document::Budget kBudgetOf<SweepProgress>{32 << 20, 1'000'000, 64};
}  // namespace detail

FAULTLINE_CODEC(Sweep)

Result<SweepProgress> parse_sweep_progress(std::string_view json) {
  constexpr std::int64_t kLargestCode = 5;
  auto progress = from_json_text<SweepProgress>(json);
  if (!progress) return progress;
  for (std::size_t i = 0; i < progress->cells.size(); ++i) {
    const SweepCell& cell = progress->cells[i];
    const std::string at = "cells[" + std::to_string(i) + "]";
    const auto& rows = progress->document.spec.faults;
    const auto row = std::ranges::find(rows, cell.fault, &SweptFault::name);
    if (row == rows.end())
      return fail(Errc::kInvalid, at + ".fault: \"" + cell.fault + "\" is no row of the document");
    if (!cell_experiment(progress->document, *row, cell.severity, cell.experiment))
      return fail(Errc::kInvalid, at + ".severity: \"" + cell.severity + "\" is none of " +
                                      row->vary + " of this row");
    if (cell.exitCode < 0 || cell.exitCode > kLargestCode)
      return fail(Errc::kInvalid, at + ".exitCode: expected a number from 0 to 5");
  }
  return progress;
}

std::string sweep_progress_text(const SweepProgress& progress) { return to_json_text(progress); }

bool same_document(const Sweep& a, const Sweep& b) { return to_json(a) == to_json(b); }

}  // namespace faultline::api
