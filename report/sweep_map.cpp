// SPDX-License-Identifier: Apache-2.0
#include "report/sweep_map.h"

#include <algorithm>

#include "api/strings.h"
#include "base/printable.h"
#include "report/format.h"
#include "report/noticed.h"

namespace faultline::report {

std::vector<MapRow> map_rows(const api::SweepProgress& progress) {
  std::vector<MapRow> rows;
  for (const api::SweptFault& fault : progress.document.spec.faults) {
    MapRow row{.fault = &fault};
    for (const std::string& severity : fault.severities) row.places.push_back({severity, nullptr});
    for (const api::SweepCell& cell : progress.cells) {
      if (cell.fault != fault.name) continue;
      const auto found = std::ranges::find(row.places, cell.severity, &MapRow::Place::severity);
      if (found != row.places.end())
        found->cell = &cell;
      else
        row.places.push_back({cell.severity, &cell});
    }
    std::ranges::stable_sort(row.places, [&](const MapRow::Place& a, const MapRow::Place& b) {
      return api::milder(fault, a.severity, b.severity);
    });
    rows.push_back(std::move(row));
  }
  return rows;
}

api::SweepProgress shown(const api::SweepProgress& progress) {
  api::SweepProgress out = progress;
  out.document.spec.experiment.purpose = printable_prose(out.document.spec.experiment.purpose);
  api::for_each_text(out, [](std::string& text) { text = printable(text); });
  return out;
}

std::string row_words(const api::SweptFault& fault) {
  return std::string(fault.fault.name()) + ", " + fault.vary;
}

constexpr std::size_t kMostOthers = 3;  // false alarms that the details of a cell name

std::string cell_details(const api::SweepCell& cell) {
  std::vector<std::string> parts;
  if (!cell.gap.empty() && cell.gap.find(':') != cell.gap.npos) parts.push_back(cell.gap);
  if (cell.injection == "partial")
    parts.emplace_back("the fault was not as asked, or not everywhere: see its report");
  const api::CellAlert* worst = cell.gap.empty() ? worst_alert(cell) : nullptr;
  std::size_t others = 0;
  for (const api::CellAlert& alert : cell.alerts) {
    const bool expected = alert.verdict != api::DetectionVerdict::false_alarm;
    if (!expected && ++others > kMostOthers) continue;
    if (expected && (!cell.gap.empty() || (&alert == worst && alert.reason.empty()))) continue;
    std::string text = alert.alert + " " + std::string(detection_word(alert.verdict));
    if (alert.seconds) text += " " + seconds_words(*alert.seconds);
    if (!alert.reason.empty()) text += " (" + alert.reason + ")";
    parts.push_back(std::move(text));
  }
  if (others > kMostOthers)
    parts.push_back(plural(others - kMostOthers, "false alarm more", "false alarms more"));
  parts.insert(parts.end(), cell.notes.begin(), cell.notes.end());
  return join(parts, "; ");
}

std::string_view cell_tone(const api::SweepCell* cell) {
  if (cell == nullptr || cell->state != api::CellState::done || !cell->gap.empty()) return "calm";
  const std::optional<bool> seen = noticed(*cell);
  if (!seen) return "calm";
  if (*seen) return cell->injection == "partial" ? "warn" : "good";
  const api::CellAlert* worst = worst_alert(*cell);
  return worst->verdict == api::DetectionVerdict::late ? "warn" : "bad";
}

std::string progress_words(const std::vector<MapRow>& rows) {
  std::size_t asked = 0, results = 0, gaps = 0;
  for (const MapRow& row : rows)
    for (const MapRow::Place& place : row.places) {
      ++asked;
      if (place.cell == nullptr || place.cell->state != api::CellState::done) continue;
      noticed(*place.cell) ? ++results : ++gaps;
    }
  std::string text =
      std::to_string(results) + " of " + plural(asked, "cell has", "cells have") + " a result";
  if (gaps > 0) text += "; " + plural(gaps, "is a gap", "are gaps");
  if (const std::size_t rest = asked - results - gaps; rest > 0)
    text += "; " + plural(rest, "was not run", "were not run");
  return text;
}

}  // namespace faultline::report
