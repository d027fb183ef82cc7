// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "report/analysis.h"
#include "report/format.h"
#include "report/noticed.h"
#include "report/report.h"
#include "report/story.h"
#include "report/sweep.h"

namespace faultline::report {
namespace {

using api::DetectionVerdict;

// How build() begins the reason of such a gap.
constexpr std::string_view kMonitoringGap = "the monitoring's source ";

// The greater, the worse. A false alarm is none of those that are expected.
int badness(DetectionVerdict verdict) {
  switch (verdict) {
    case DetectionVerdict::detected:
    case DetectionVerdict::false_alarm:
      return 0;
    case DetectionVerdict::still_firing:
      return 1;
    case DetectionVerdict::flapping:
      return 2;
    case DetectionVerdict::late:
      return 3;
    case DetectionVerdict::not_notified:
      return 4;
    case DetectionVerdict::missed:
      return 5;
    case DetectionVerdict::before_fault:
      return 6;
    case DetectionVerdict::unknown:
      break;
  }
  return 7;
}

// Why an alert of this verdict says nothing, as the monitoring was away in the fault; empty: it was
// not, or that does not matter.
std::string away_of(const api::Report& report, const api::DetectionReport& detection) {
  if (!detection.within || detection.verdict == DetectionVerdict::unknown) return "";
  // It fired in time, and somebody was told.
  if (detection.notifiedAt.set() && detection.verdict != DetectionVerdict::late) return "";
  const auto injected = std::ranges::find(report.timeline, "t2", &api::TimelineEntry::key);
  if (injected == report.timeline.end()) return "";
  for (const api::Gap& gap : report.gaps)
    if (gap.reason.starts_with(kMonitoringGap) && injected->at < gap.to)
      return "the monitoring was away: " + gap.reason;
  return "";
}

// Why the run has no result that could be compared; empty: it has one.
std::string gap_of(const api::Report& report) {
  if (report.verdict == api::RunVerdict::failed) return "the run failed: " + report.stateReason;
  if (report.verdict == api::RunVerdict::aborted) return "aborted: " + report.stateReason;
  for (const api::InjectionReport& row : report.injections)
    if (report.verdict == api::RunVerdict::not_real &&
        row.verdict != api::InjectionVerdict::confirmed &&
        row.verdict != api::InjectionVerdict::partial)
      return "not real: " + row.pod + ": " + row.reason;
  if (report.verdict == api::RunVerdict::not_real) return "not real: no fault acted on any target";
  for (const api::DetectionReport& detection : report.detections)
    if (detection.within && detection.verdict == DetectionVerdict::before_fault)
      return "not comparable: " + alert_words(detection) + " fired before the fault";
  for (const api::DetectionReport& detection : report.detections)
    if (std::string away = away_of(report, detection); !away.empty()) return away;
  return "";
}

// The effect that moved most, or empty.
std::string headline_effect(const api::Report& report) {
  const api::EffectReport* most = nullptr;
  for (const api::EffectReport& effect : report.effects)
    if (effect.role != api::PodRole::control && api::find_metric(effect.metric) != nullptr &&
        weight(effect) > (most == nullptr ? 0 : weight(*most)))
      most = &effect;
  if (most == nullptr) return "";
  const api::Metric& metric = *api::find_metric(most->metric);
  const Telling figure = telling_figure(*most);
  return most->pod + " " + metric_words(*most) + " " + figure_words(figure.before, metric) +
         " -> " + figure_words(figure.during, metric);
}

}  // namespace

void judge_cell(const api::Report& report, api::SweepCell& cell) {
  cell.state = api::CellState::done;
  cell.run = report.run;
  cell.exitCode = exit_code(report);
  cell.gap = gap_of(report);
  cell.injection.clear();
  cell.alerts.clear();
  cell.effect = headline_effect(report);
  cell.recovery = report.recovery.text;
  cell.effectsBack = !report.recovery.text.ends_with(kNotBack);
  for (const api::DetectionReport& detection : report.detections)
    cell.alerts.push_back({.alert = alert_words(detection),
                           .verdict = detection.verdict,
                           .seconds = detection.seconds,
                           .reason = detection.reason});
  const bool all =
      !report.injections.empty() && std::ranges::all_of(report.injections, [](const auto& row) {
        return row.verdict == api::InjectionVerdict::confirmed;
      });
  if (report.verdict != api::RunVerdict::not_real) cell.injection = all ? "confirmed" : "partial";
  if (cell.gap.empty() && worst_alert(cell) == nullptr)
    cell.gap = "the report tells of no expected alert: the controller has no monitoring";
}

const api::CellAlert* worst_alert(const api::SweepCell& cell) {
  const api::CellAlert* worst = nullptr;
  for (const api::CellAlert& alert : cell.alerts)
    if (alert.verdict != DetectionVerdict::false_alarm &&
        (worst == nullptr || badness(alert.verdict) > badness(worst->verdict) ||
         (badness(alert.verdict) == badness(worst->verdict) &&
          alert.seconds.value_or(0) > worst->seconds.value_or(0))))
      worst = &alert;
  return worst;
}

std::optional<bool> noticed(const api::SweepCell& cell) {
  if (cell.state != api::CellState::done || !cell.gap.empty()) return std::nullopt;
  const api::CellAlert* alert = worst_alert(cell);
  if (alert == nullptr) return std::nullopt;
  switch (alert->verdict) {
    case DetectionVerdict::detected:
    case DetectionVerdict::still_firing:
    case DetectionVerdict::flapping:
      return true;
    case DetectionVerdict::late:
    case DetectionVerdict::not_notified:
    case DetectionVerdict::missed:
      return false;
    case DetectionVerdict::false_alarm:
    case DetectionVerdict::before_fault:
    case DetectionVerdict::unknown:
      break;
  }
  return std::nullopt;
}

std::string cell_word(const api::SweepCell& cell) {
  if (cell.state == api::CellState::begun) return "begun";
  if (!cell.gap.empty()) return cell.gap.substr(0, cell.gap.find(':'));
  const api::CellAlert* alert = worst_alert(cell);
  if (alert == nullptr) return "unknown";
  std::string word(detection_word(alert->verdict));
  if (alert->seconds && alert->verdict != DetectionVerdict::missed)
    word += " " + seconds_words(*alert->seconds);
  return word;
}

}  // namespace faultline::report
