// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/abort.h"

#include <algorithm>
#include <charconv>
#include <cmath>

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

// The bound of a query: a number, also below zero.
std::optional<double> number_of(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
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

std::optional<std::string> query_abort_reason(const std::vector<api::AbortCondition>& conditions,
                                              const std::vector<observe::AbortAnswer>& answers,
                                              SteadyTime since, SteadyTime now) {
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    const api::AbortCondition& condition = conditions[i];
    if (condition.promql.empty()) continue;
    const bool above = !condition.above.empty();
    const std::optional<double> bound = number_of(above ? condition.above : condition.below);
    if (!bound) continue;  // refused at start
    const std::string what = "abortWhen " + condition.promql + (above ? " above " : " below ") +
                             (above ? condition.above : condition.below) + ": ";
    const auto newest =
        std::ranges::find(answers, static_cast<std::int64_t>(i), &observe::AbortAnswer::index);
    const bool answered = newest != answers.end() && std::isfinite(newest->value);
    const SteadyTime last = answered ? std::max(since, newest->arrived) : since;
    if (now - last >= kUnasked)
      return what + "the monitoring had no " +
             (answered && newest->arrived < newest->asked ? "whole answer" : "answer") +
             " to it for " + std::to_string(kUnasked.count()) + " s";
    if (!answered || newest->asked < since) continue;
    if (above ? newest->value >= *bound : newest->value <= *bound)
      return what + "it was " + report::number_words(newest->value);
  }
  return std::nullopt;
}

}  // namespace faultline::controller
