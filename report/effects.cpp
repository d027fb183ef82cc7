// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

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

void compare(const Series& series, const std::vector<Point>& baseline,
             const std::vector<Point>& fault, api::EffectReport& effect) {
  const bool histogram = series.metric->kind == api::MetricKind::kHistogram;
  if (!effect.baseline || !effect.fault) return;
  const auto before = histogram ? effect.baseline->p50 : effect.baseline->rate;
  const auto during = histogram ? effect.fault->p50 : effect.fault->rate;
  if (!before || !during) return;
  effect.change = *during - *before;
  if (histogram)
    effect.ci95 = median_change(baseline, fault, seed_of(series.key));
  else if (series.metric->kind == api::MetricKind::kFraction)
    effect.ci95 = fraction_change(baseline, fault, seed_of(series.key));
  else
    effect.ci95 = mean_change(*series.metric, baseline, fault);
}

}  // namespace

std::vector<api::EffectReport> effects_of(const std::vector<Series>& all) {
  std::vector<api::EffectReport> effects;
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
    compare(series, baseline, fault, effect);
    effects.push_back(std::move(effect));
  }
  // Target, observed, control; the metrics in the order of their table.
  const auto place = [](const api::EffectReport& e) {
    return std::tuple(e.role, e.pod, api::find_metric(e.metric), e.labels);
  };
  std::ranges::stable_sort(effects, {}, place);
  return effects;
}

}  // namespace faultline::report
