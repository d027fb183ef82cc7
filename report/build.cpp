// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include "report/analysis.h"
#include "report/detections.h"
#include "report/format.h"
#include "report/noticed.h"
#include "report/report.h"
#include "report/spans.h"

namespace faultline::report {
namespace {

std::vector<api::ReportNode> nodes_of(const api::RunRecord& record,
                                      const std::vector<api::InjectionReport>& injections) {
  std::vector<api::ReportNode> nodes;
  for (const api::NodeRecord& node : record.nodes) {
    api::ReportNode out{.name = node.node,
                        .kernel = node.info.kernel,
                        .arch = node.info.arch,
                        .agentVersion = node.info.agentVersion,
                        .clockOffset = node.clockOffset,
                        .clockUncertainty = node.clockUncertainty};
    for (const api::InjectionReport& row : injections)
      if (row.node == node.node && !row.mechanism.empty() &&
          std::ranges::find(out.mechanisms, row.mechanism) == out.mechanisms.end())
        out.mechanisms.push_back(row.mechanism);
    nodes.push_back(std::move(out));
  }
  return nodes;
}

// Known only when every node of the run said how it ended.
std::optional<std::vector<std::string>> residue_of(const api::RunRecord& record) {
  std::set<std::string> nodes;
  for (const api::RunPod& pod : record.pods) nodes.insert(pod.pod.node);
  std::vector<std::string> residue;
  for (const api::NodeRecord& node : record.nodes) {
    if (!node.closed) return std::nullopt;
    nodes.erase(node.node);
    for (const api::RunEvent& event : node.events)
      if (event.kind == api::RunEventKind::closed)
        for (const std::string& left : event.residue) residue.push_back(node.node + ": " + left);
  }
  if (!nodes.empty()) return std::nullopt;
  return residue;
}

bool measured_anything(const std::vector<Series>& all) {
  return std::ranges::any_of(all, [](const Series& series) { return !series.points.empty(); });
}

// Each fault must have acted somewhere.
bool every_fault_acted(const api::RunRecord& record,
                       const std::vector<api::InjectionReport>& rows) {
  using enum api::InjectionVerdict;
  const std::size_t faults = record.experiment.spec.faults.size();
  if (faults > 0 && rows.empty()) return false;
  std::vector<bool> acted(faults, false);
  for (std::size_t i = 0; i < rows.size(); ++i)  // rows come pod by pod, in the faults' order
    if (rows[i].verdict != blocked && rows[i].verdict != no_traffic && rows[i].injected > 0)
      acted[i % faults] = true;
  return std::ranges::all_of(acted, std::identity{});
}

// A fault that ended long before its phase did is not the one that was asked for, whatever it did
// until then.
void weaken_short(const api::RunRecord& record, std::vector<api::InjectionReport>& rows) {
  constexpr double kLeastShare = 0.9;                  // of the phase
  if (record.state == api::RunState::Aborted) return;  // who stops a run ends its phase
  const std::map<std::string, FaultSpan> spans = fault_spans(record);
  const std::optional<double> phase = fault_seconds(record);
  for (api::InjectionReport& row : rows) {
    const auto span = spans.find(row.pod);
    if (row.verdict != api::InjectionVerdict::confirmed || span == spans.end() || !phase ||
        span->second.to == UtcTime::max() || span->second.seconds() >= kLeastShare * *phase)
      continue;
    const auto pod =
        std::ranges::find(record.pods, row.pod, [](const api::RunPod& p) { return p.pod.id(); });
    if (pod != record.pods.end() && (pod->joinedAt.set() || pod->leftAt.set())) continue;
    row.verdict = api::InjectionVerdict::partial;
    row.reason = "it acted for " + seconds_words(span->second.seconds(), 2) + " of " +
                 seconds_words(*phase, 2) +
                 (span->second.ended_by.empty() ? "" : ": " + span->second.ended_by);
  }
}

// The controller ends a run early when every agent reported every fault as blocked: that is not a
// run that broke, but a fault that was not real.
bool nothing_could_be_armed(const api::RunRecord& record) {
  std::size_t blocked = 0, targets = 0;
  for (const api::NodeRecord& node : record.nodes)
    for (const api::InjectionStatus& status : node.injections) {
      if (status.state != api::InjectionState::blocked) return false;
      ++blocked;
    }
  for (const api::RunPod& pod : record.pods)
    if (pod.role == api::PodRole::target) ++targets;
  return blocked > 0 && blocked >= targets * record.experiment.spec.faults.size();
}

api::RunVerdict verdict_of(const api::RunRecord& record, const api::Report& report, bool measured) {
  if (record.state == api::RunState::Aborted) return api::RunVerdict::aborted;
  if (record.state == api::RunState::Failed && nothing_could_be_armed(record))
    return api::RunVerdict::not_real;
  if (record.state != api::RunState::Completed) return api::RunVerdict::failed;
  if (!every_fault_acted(record, report.injections)) return api::RunVerdict::not_real;
  if (!std::ranges::all_of(report.injections, [](const api::InjectionReport& row) {
        return row.verdict == api::InjectionVerdict::confirmed;
      }))
    return api::RunVerdict::partial;
  if (!std::ranges::all_of(report.expectations, &api::ExpectationReport::met))
    return api::RunVerdict::missed;
  if (record.experiment.spec.faults.empty() && !measured) return api::RunVerdict::failed;
  return api::RunVerdict::met;
}

api::ExpectationReport judge_effect(const api::RunRecord& record, const std::vector<api::Gap>& gaps,
                                    const api::ExpectEffect& expect) {
  api::ExpectationReport out;
  const api::Metric* metric = api::find_metric(expect.metric);
  const bool below = !expect.below.empty();
  const std::string& bound_text = below ? expect.below : expect.above;
  out.text = expect.metric;
  if (metric && metric->kind == api::MetricKind::kHistogram)
    out.text += " " + quantile_words(expect.quantile.value_or(0.5));
  out.text += " of " + selector_words(expect.selector) + (below ? " below " : " above ");
  const Result<double> bound = parse_bound(expect.metric, bound_text);
  out.text += metric && bound ? bound_words(*metric, *bound) : bound_text;
  Judged judged = judge_bound(record, gaps, expect);
  out.met = judged.met;
  out.measured = std::move(judged.measured);
  return out;
}

}  // namespace

std::vector<api::ExpectationReport> expectations_of(const api::RunRecord& record,
                                                    const std::vector<api::Gap>& gaps) {
  std::vector<api::ExpectationReport> out;
  for (const api::ExpectEffect& expect : record.experiment.spec.expect.effects)
    out.push_back(judge_effect(record, gaps, expect));
  return out;
}

namespace {

std::vector<api::ExpectationReport> monitoring_expectations(
    const api::RunRecord& record, const std::vector<api::DetectionReport>& detections,
    const std::vector<api::SignalReport>& signals) {
  const api::Expect& expect = record.experiment.spec.expect;
  const std::string unasked = "not measured: no monitoring was asked";
  std::vector<api::ExpectationReport> out;
  for (std::size_t i = 0; i < expect.alerts.size(); ++i) {
    const std::string text = "alert " + expect.alerts[i].name + " within " +
                             exact_seconds_words(expect.alerts[i].within.seconds());
    if (!record.monitoring || i >= detections.size()) {
      out.push_back({text, false, unasked});
      continue;
    }
    // The steps are told with the alert itself.
    const api::DetectionReport& found = detections[i];
    std::string measured(detection_word(found.verdict));
    if (found.seconds) measured += " after " + seconds_words(*found.seconds);
    if (!noticed(found.verdict) && !found.reason.empty()) measured += ": " + found.reason;
    out.push_back({text, noticed(found.verdict), std::move(measured)});
  }
  for (std::size_t i = 0; i < expect.signals.size(); ++i) {
    const std::string text = expect.signals[i].promql + " equals " + expect.signals[i].equals;
    if (!record.monitoring || i >= signals.size())
      out.push_back({text, false, unasked});
    else
      out.push_back(
          {text, signals[i].verdict == api::SignalVerdict::agrees,
           std::string(signal_word(signals[i].verdict)) + ": " + signal_words(signals[i])});
  }
  return out;
}

// What of the monitoring could not be asked is a gap as any other.
void add_monitoring_gaps(const api::MonitoringRecord& monitoring, std::vector<api::Gap>& gaps) {
  constexpr std::size_t kMostGaps = 50;
  for (std::size_t i = 0; i < monitoring.gaps.size() && i < kMostGaps; ++i) {
    const api::MonitoringGap& gap = monitoring.gaps[i];
    gaps.push_back({.from = gap.from,
                    .to = gap.to,
                    .reason = "the monitoring's source " + gap.source + ": " + gap.reason});
  }
  for (const std::string& note : monitoring.notes)
    gaps.push_back({.reason = "the monitoring: " + note});
}

RunPods run_pods(const api::RunRecord& record) {
  RunPods out;
  for (const api::RunPod& one : record.pods)
    if (one.role == api::PodRole::target || one.role == api::PodRole::observed)
      out.push_back(one.pod);
  return out;
}

}  // namespace

api::Report build(const api::RunRecord& record) {
  const std::vector<Series> all = all_series(record);
  api::Report report{.run = record.run,
                     .state = record.state,
                     .stateReason = record.stateReason,
                     .experiment = record.experiment};
  report.injections = injections_of(record);
  weaken_short(record, report.injections);
  report.gaps = gaps_of(record);
  report.nodes = nodes_of(record, report.injections);
  report.effects = effects_of(all);
  const auto first = first_injected(report.injections), last = last_injected(report.injections);
  const BandResult bands = watch_bands(all, first, last);
  report.timeline = timeline_of(record, report.injections, bands);
  report.recovery = recovery_of(bands, !record.experiment.spec.faults.empty(), last,
                                unseen_words(record, report.gaps));
  report.expectations = expectations_of(record, report.gaps);
  const DetectionTimes times{
      .first_injected = {first.value_or(UtcTime{})},
      .last_injected = {last.value_or(UtcTime{})},
      .end = measured_until(record),
      .begin = record.history.empty() ? api::Timestamp{} : record.history.front().at};
  if (record.monitoring) {
    report.detections =
        detections_of(*record.monitoring, record.experiment.spec.expect, times, run_pods(record));
    add_hints(*record.monitoring, times, report);
    report.signals = signals_of(record, times);
    add_monitoring_gaps(*record.monitoring, report.gaps);
    add_detections(report.detections, report.timeline);
  }
  for (api::ExpectationReport& e :
       monitoring_expectations(record, report.detections, report.signals))
    report.expectations.push_back(std::move(e));
  report.residue = residue_of(record);
  report.verdict = verdict_of(record, report, measured_anything(all));
  return report;
}

}  // namespace faultline::report
