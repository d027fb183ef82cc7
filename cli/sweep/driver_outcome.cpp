// SPDX-License-Identifier: Apache-2.0
// What a sweep has come to: its thresholds and its exit code.
#include <algorithm>

#include "cli/sweep/driver.h"

namespace faultline::cli {

Known SweepDriver::known_of(const api::SweptFault& row, const api::SeveritySteps& steps) const {
  Known known;
  for (const api::SweepCell& cell : progress_.cells)
    if (cell.fault == row.name && is_done(&cell))
      if (const auto step = steps.step_of(cell.severity)) known[*step] = report::noticed(cell);
  return known;
}

// The worst of what `faultline run` would have said of the cells that were asked for. Of a bisected
// row a miss is what was looked for.
int SweepDriver::code() const {
  int worst = kExitMet;
  for (const api::SweptFault* row : rows()) {
    std::optional<api::SeveritySteps> steps;
    if (task_.threshold)
      if (auto found = api::SeveritySteps::of(*row, resolution_of(*row))) steps = *found;
    for (const api::SweepCell& cell : progress_.cells) {
      if (cell.fault != row->name) continue;
      const bool asked =
          steps ? steps->step_of(cell.severity).has_value()
                : std::ranges::find(row->severities, cell.severity) != row->severities.end();
      if (!asked) continue;
      int one = static_cast<int>(cell.exitCode);
      if (!report::noticed(cell)) one = std::max(one, kExitNotReal);
      if (steps && one == kExitMissed) one = kExitMet;
      worst = std::max(worst, one);
    }
  }
  // The folder may know thresholds of other rows, too.
  for (const report::ThresholdLine& line : thresholds())
    for (const api::SweptFault* row : rows())
      if (task_.threshold && line.unmet && line.fault == row->name)
        worst = std::max(worst, kExitMissed);
  return worst;
}

std::vector<report::ThresholdLine> SweepDriver::thresholds() const {
  std::vector<report::ThresholdLine> lines;
  for (const api::AskedThreshold& asked : progress_.thresholds) {
    const auto& all = progress_.document.spec.faults;
    const auto row = std::ranges::find(all, asked.fault, &api::SweptFault::name);
    if (row == all.end()) continue;
    const auto steps = api::SeveritySteps::of(*row, asked.resolution);
    if (!steps) continue;
    const Bisection found = bisect(steps->last(), known_of(*row, *steps));
    const auto at = [&](const std::optional<std::int64_t>& step) { return steps->text(*step); };
    report::ThresholdLine line{.fault = row->name};
    switch (found.end) {
      case BisectEnd::kFound:
        line.text = "not noticed at " + at(found.missed) + ", noticed at " + at(found.noticed) +
                    " (step " + asked.resolution + ")";
        break;
      case BisectEnd::kNotEvenLast:
        line.text = "not noticed even at " + at(found.missed);
        line.unmet = true;
        break;
      case BisectEnd::kAlreadyFirst:
        line.text = "noticed already at " + at(found.noticed);
        break;
      case BisectEnd::kNone:
      case BisectEnd::kGap:
        line.text = found.end == BisectEnd::kGap
                        ? "not found: " + at(found.gap) + " came to no result"
                        : std::string("not found yet");
        if (found.missed && found.noticed)
          line.text += "; it lies between " + at(found.missed) + " and " + at(found.noticed);
        break;
    }
    if (found.contradiction) {
      line.text += "; the results contradict each other: noticed at " +
                   at(found.contradiction->first) + ", not noticed at " +
                   at(found.contradiction->second) + ", which is stronger";
      line.unmet = true;
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace faultline::cli
