// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "report/analysis.h"
#include "report/stats.h"

namespace faultline::report {
namespace {

std::optional<api::PhaseStats> stats_of(const api::Metric& metric,
                                        const std::vector<Point>& points) {
  if (points.empty()) return std::nullopt;
  api::PhaseStats stats;
  stats.rate = rate_of(metric, points);
  double events = 0, trials = 0;
  for (const Point& point : points) {
    events += point.value;
    trials += point.denominator;
  }
  switch (metric.kind) {
    case api::MetricKind::kHistogram: {
      const api::Histogram all = merged(points);
      stats.count = all.count();
      stats.p50 = all.quantile(0.5);
      stats.p90 = all.quantile(0.9);
      stats.p99 = all.quantile(0.99);
      if (stats.count > 0) stats.max = all.max > 0 ? std::optional(all.max) : all.quantile(1);
      break;
    }
    case api::MetricKind::kCounter:
      stats.count = static_cast<std::uint64_t>(std::max(events, 0.0));
      break;
    case api::MetricKind::kGauge:
      stats.count = points.size();
      break;
    case api::MetricKind::kFraction:
      stats.count = static_cast<std::uint64_t>(std::max(trials, 0.0));
      break;
  }
  return stats;
}

// With fewer values in a phase its p99 is the accident of a few of them.
constexpr std::uint64_t kEnoughForP99 = 500;

// One interval of the report that may be called a change when it holds together with all others.
struct Test {
  std::size_t effect = 0;
  bool tail = false;
  double p = 1;
};

bool excludes_zero(const std::optional<api::Interval>& interval) {
  return interval && (interval->low > 0 || interval->high < 0);
}

std::size_t full_windows(const api::Metric& metric, const std::vector<Point>& points) {
  return static_cast<std::size_t>(std::ranges::count_if(points, [&](const Point& point) {
    if (point.seconds() < kSliver) return false;
    if (metric.kind == api::MetricKind::kHistogram) return point.histogram != nullptr;
    return metric.kind != api::MetricKind::kFraction || point.denominator > 0;
  }));
}

void compare_quantiles(const Series& series, const std::vector<Point>& baseline,
                       const std::vector<Point>& fault, std::size_t index, bool judged,
                       api::EffectReport& effect, std::vector<Test>& tests) {
  if (!effect.baseline->p50 || !effect.fault->p50) return;
  const bool many = std::min(effect.baseline->count, effect.fault->count) >= kEnoughForP99;
  const double tail = many ? 0.99 : 0.9;
  const auto slow = many ? &api::PhaseStats::p99 : &api::PhaseStats::p90;
  effect.change = *effect.fault->p50 - *effect.baseline->p50;
  effect.tailQuantile = tail;
  effect.changeTail = *((*effect.fault).*slow) - *((*effect.baseline).*slow);
  const std::vector<Change> changes =
      quantile_changes(baseline, fault, {0.5, tail}, seed_of(series.key));
  if (changes.empty()) return;
  effect.ci95 = changes[0];
  effect.ci95Tail = changes[1];
  if (!judged) return;
  tests.push_back({index, false, changes[0].p});
  tests.push_back({index, true, changes[1].p});
}

void compare(const Series& series, const std::vector<Point>& baseline,
             const std::vector<Point>& fault, std::size_t index, api::EffectReport& effect,
             std::vector<Test>& tests) {
  if (!effect.baseline || !effect.fault) return;
  const api::Metric& metric = *series.metric;
  const bool judged =
      std::min(full_windows(metric, baseline), full_windows(metric, fault)) >= kFewestWindows;
  if (metric.kind == api::MetricKind::kHistogram)
    return compare_quantiles(series, baseline, fault, index, judged, effect, tests);
  if (!effect.baseline->rate || !effect.fault->rate) return;
  effect.change = *effect.fault->rate - *effect.baseline->rate;
  const std::optional<Change> change = metric.kind == api::MetricKind::kFraction
                                           ? fraction_change(baseline, fault, seed_of(series.key))
                                           : mean_change(metric, baseline, fault);
  if (!change) return;
  effect.ci95 = *change;
  if (judged) tests.push_back({index, false, change->p});
}

void judge_together(const std::vector<Test>& tests, std::vector<api::EffectReport>& effects) {
  std::vector<double> p;
  for (const Test& test : tests) p.push_back(test.p);
  const std::vector<bool> hold = hold_together(p, kFalseChanges);
  for (std::size_t i = 0; i < tests.size(); ++i) {
    api::EffectReport& effect = effects[tests[i].effect];
    const bool zero = !excludes_zero(tests[i].tail ? effect.ci95Tail : effect.ci95);
    (tests[i].tail ? effect.significantTail : effect.significant) = hold[i] && !zero;
  }
}

std::string side_of(const api::EffectReport& effect) {
  const auto side = effect.labels.find("side");
  return side == effect.labels.end() ? "" : side->second;
}

// Difference in differences: what changed beyond what changed on the control pods. Not of counters:
// the rates of two services do not add up. The interval is made of those of both (Zou and Donner,
// Statistics in Medicine 27, 2008).
void compare_with_controls(std::vector<api::EffectReport>& effects) {
  for (api::EffectReport& effect : effects) {
    const api::Metric& metric = *api::find_metric(effect.metric);
    if (effect.role == api::PodRole::control || metric.kind == api::MetricKind::kCounter ||
        !effect.change || !effect.ci95)
      continue;
    double change = 0, below = 0, above = 0, n = 0;
    for (const api::EffectReport& control : effects) {
      if (control.role != api::PodRole::control || control.metric != effect.metric ||
          side_of(control) != side_of(effect) || !control.change || !control.ci95)
        continue;
      ++n;
      change += *control.change;
      below += std::pow(*control.change - control.ci95->low, 2);
      above += std::pow(control.ci95->high - *control.change, 2);
    }
    if (n == 0) continue;
    const double difference = *effect.change - change / n;
    effect.changeAgainstControls = difference;
    effect.ci95AgainstControls = api::Interval{
        difference - std::hypot(*effect.change - effect.ci95->low, std::sqrt(above) / n),
        difference + std::hypot(effect.ci95->high - *effect.change, std::sqrt(below) / n)};
  }
}

}  // namespace

std::vector<api::EffectReport> effects_of(const std::vector<Series>& all) {
  std::vector<api::EffectReport> effects;
  std::vector<Test> tests;
  for (const Series& series : all) {
    const std::vector<Point> baseline = series.in(api::RunPhase::baseline);
    const std::vector<Point> fault = series.in(api::RunPhase::fault);
    api::EffectReport effect{.pod = series.key.pod,
                             .role = series.role,
                             .metric = series.key.metric,
                             .labels = series.key.labels,
                             .unit = std::string(series.metric->unit)};
    effect.baseline = stats_of(*series.metric, baseline);
    effect.fault = stats_of(*series.metric, fault);
    effect.recovery = stats_of(*series.metric, series.in(api::RunPhase::recovery));
    compare(series, baseline, fault, effects.size(), effect, tests);
    effects.push_back(std::move(effect));
  }
  judge_together(tests, effects);
  compare_with_controls(effects);
  // Target, observed, control; the metrics in the order of their table.
  const auto place = [](const api::EffectReport& e) {
    return std::tuple(e.role, e.pod, api::find_metric(e.metric), e.labels);
  };
  std::ranges::stable_sort(effects, {}, place);
  return effects;
}

}  // namespace faultline::report
