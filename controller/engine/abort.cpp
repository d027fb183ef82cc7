// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/abort.h"

#include "api/metrics.h"
#include "report/format.h"
#include "report/report.h"

namespace faultline::controller {

std::optional<std::string> abort_reason(const api::RunRecord& recent) {
  for (const api::AbortCondition& condition : recent.experiment.spec.abortWhen) {
    const api::Metric* metric = api::find_metric(condition.effect);
    if (metric == nullptr) continue;  // refused at start
    const bool above = !condition.above.empty();
    const std::string& text = above ? condition.above : condition.below;
    const Result<double> bound = report::parse_bound(condition.effect, text);
    const std::optional<double> value = report::metric_value(
        recent, {}, condition.effect, condition.quantile, api::RunPhase::fault);
    if (!bound || !value) continue;
    if (above ? *value <= *bound : *value >= *bound) continue;
    std::string what = condition.effect;
    if (metric->kind == api::MetricKind::kHistogram)
      what += " " + report::quantile_words(condition.quantile.value_or(0.5));
    return "abortWhen " + what + (above ? " above " : " below ") +
           report::value_words(*metric, *bound) + ": it was " +
           report::value_words(*metric, *value);
  }
  return std::nullopt;
}

}  // namespace faultline::controller
