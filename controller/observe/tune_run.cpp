// SPDX-License-Identifier: Apache-2.0
// What the record of a run says that its tuning needs.
#include <algorithm>

#include "controller/observe/tune.h"

namespace faultline::controller::observe {
namespace {

Offset offset_in(const api::RunRecord& record, const std::string& source) {
  if (record.monitoring)
    for (const api::MonitoringSource& one : record.monitoring->sources)
      if (one.name == source) return {one.clockOffset, one.clockUncertainty};
  return {};
}

}  // namespace

TunedRun tuned_run(const api::RunRecord& record, const api::AlertRule& rule,
                   api::Timestamp first_injected) {
  TunedRun out{.run = record.run, .first_injected = first_injected};
  const Offset offset = offset_in(record, rule.source);
  const auto theirs = [&](const api::Timestamp& at) {
    return observe::to_theirs(at.value, offset);
  };
  out.asked = {theirs(record.history.front().at), theirs(record.history.back().at)};
  if (!out.first_injected.set()) {
    out.gap = true;
    out.problem = "nothing was injected";
  }
  out.injected = out.gap ? out.asked.from : theirs(out.first_injected);
  for (const api::ExpectAlert& expected : record.experiment.spec.expect.alerts)
    if (expected.name == rule.alert) out.wanted.push_back(expected.labels);
  if (!record.monitoring) return out;
  const api::MonitoringRecord& seen = *record.monitoring;
  for (const api::AlertRule& one : seen.rules)
    if (one.source == rule.source && one.alert == rule.alert && one.group == rule.group &&
        (!out.rule || one.expr == rule.expr))
      out.rule = one;
  for (const api::AlertEvaluation& one : seen.evaluations)
    if (one.onGrid && one.series && one.source == rule.source && one.group == rule.group)
      out.grid.origin = theirs(one.at);
  for (const api::AlertOutcome& one : seen.outcomes)
    if (one.source == rule.source && one.alert == rule.alert && one.seconds &&
        one.verdict != api::DetectionVerdict::before_fault)
      out.measured = std::min(out.measured.value_or(*one.seconds), *one.seconds);
  for (const api::MonitoringGap& gap : seen.gaps)
    if (gap.source == rule.source && out.problem.empty())
      out.problem = "Prometheus could not be asked for some time of it: " + gap.reason;
  return out;
}

}  // namespace faultline::controller::observe
