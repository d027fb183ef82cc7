// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/abort.h"

#include <algorithm>

#include "api/metrics.h"
#include "controller/engine/run.h"
#include "report/format.h"
#include "report/measured.h"
#include "report/report.h"

namespace faultline::controller {
namespace {

// "abortWhen request.latency p99 above 1 s"
std::string words_of(const api::AbortCondition& condition, const api::Metric& metric,
                     double bound) {
  std::string what = "abortWhen " + condition.effect;
  if (metric.kind == api::MetricKind::kHistogram)
    what += " " + report::quantile_words(condition.quantile.value_or(0.5));
  return what + (condition.above.empty() ? " below " : " above ") +
         report::value_words(metric, bound);
}

Result<double> bound_of(const api::AbortCondition& condition) {
  return report::parse_bound(condition.effect,
                             condition.above.empty() ? condition.below : condition.above);
}

std::optional<double> value_of(const api::RunRecord& recent, const api::AbortCondition& condition) {
  return report::metric_value(recent, {}, condition.effect, condition.quantile,
                              api::RunPhase::fault);
}

}  // namespace

std::optional<std::string> abort_reason(const api::RunRecord& recent) {
  for (const api::AbortCondition& condition : recent.experiment.spec.abortWhen) {
    const api::Metric* metric = api::find_metric(condition.effect);
    if (metric == nullptr) continue;  // refused at start
    const Result<double> bound = bound_of(condition);
    const std::optional<double> value = value_of(recent, condition);
    if (!bound || !value) continue;
    if (condition.above.empty() ? *value >= *bound : *value <= *bound) continue;
    return words_of(condition, *metric, *bound) + ": it was " +
           report::value_words(*metric, *value);
  }
  return std::nullopt;
}

std::vector<api::Gap> unmeasured_conditions(const api::RunRecord& recent, UtcTime now) {
  std::vector<api::Gap> out;
  if (recent.history.empty() || recent.history.back().state != api::RunState::Injecting ||
      now - recent.history.back().at.value < Run::kRecent)
    return out;
  std::vector<api::Gap> gaps = recent.gaps;
  for (const api::NodeRecord& node : recent.nodes)
    gaps.insert(gaps.end(), node.gaps.begin(), node.gaps.end());
  for (const api::AbortCondition& condition : recent.experiment.spec.abortWhen) {
    const api::Metric* metric = api::find_metric(condition.effect);
    const Result<double> bound = bound_of(condition);
    if (metric == nullptr || !bound) continue;
    std::string why =
        report::missing_of(recent, gaps, {}, condition.effect, now - Run::kRecent).blind;
    if (why.empty() && !value_of(recent, condition)) why = "no pod has a value of it";
    if (why.empty()) continue;
    api::Gap gap{.metric = condition.effect, .from = {now}, .to = {now}};
    gap.reason = words_of(condition, *metric, *bound) + " cannot hold: " + why;
    out.push_back(std::move(gap));
  }
  return out;
}

}  // namespace faultline::controller
