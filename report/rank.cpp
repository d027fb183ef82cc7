// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "report/format.h"
#include "report/story.h"

namespace faultline::report {
namespace {

// How near a metric is to what a user of the service feels.
double nearness(const api::EffectReport& effect) {
  const std::string_view metric = effect.metric;
  const auto side = effect.labels.find("side");
  const bool client = side != effect.labels.end() && side->second == "client";
  if (metric.starts_with("request.")) return client ? 0.7 : 1;
  if (metric.starts_with("connect.")) return 0.8;
  if (metric.starts_with("tcp.")) return 0.5;
  return 0.2;
}

// Added to both sides of a ratio, so that a step from 0 to next to nothing does not rank first.
double grain(const api::Metric& metric) {
  switch (metric.kind) {
    case api::MetricKind::kHistogram:
      return 100e-6;
    case api::MetricKind::kFraction:
      return 0.01;
    case api::MetricKind::kCounter:
      return metric.unit == "B" ? 1000 : 1;
    case api::MetricKind::kGauge:
      break;
  }
  return metric.unit == "s" ? 100e-6 : 0.05;
}

int role_order(api::PodRole role) {
  switch (role) {
    case api::PodRole::observed:
      return 0;
    case api::PodRole::target:
      return 1;
    case api::PodRole::control:
      break;
  }
  return 2;
}

}  // namespace

std::optional<double> main_figure(const std::optional<api::PhaseStats>& stats,
                                  const api::Metric& metric) {
  if (!stats) return std::nullopt;
  return metric.kind == api::MetricKind::kHistogram ? stats->p50 : stats->rate;
}

double weight(const api::EffectReport& effect) {
  const api::Metric* metric = api::find_metric(effect.metric);
  if (metric == nullptr || !effect.change) return 0;
  if (effect.ci95 && effect.ci95->low <= 0 && effect.ci95->high >= 0) return 0;
  const double before = main_figure(effect.baseline, *metric).value_or(0);
  const double during = main_figure(effect.fault, *metric).value_or(0);
  const double g = grain(*metric);
  return nearness(effect) * std::abs(std::log((during + g) / (before + g)));
}

std::vector<const api::EffectReport*> ranked_effects(const api::Report& report) {
  std::vector<const api::EffectReport*> ranked;
  for (const api::EffectReport& effect : report.effects)
    if (api::find_metric(effect.metric) != nullptr) ranked.push_back(&effect);
  const auto place = [](const api::EffectReport* e) {
    return std::tuple(role_order(e->role), -weight(*e), -nearness(*e));
  };
  std::ranges::stable_sort(ranked, {}, place);
  return ranked;
}

std::vector<const api::EffectReport*> telling_effects(const api::Report& report,
                                                      std::size_t limit) {
  constexpr std::size_t kControls = 2;
  const std::vector<const api::EffectReport*> ranked = ranked_effects(report);
  const auto is_control = [](const api::EffectReport* e) {
    return e->role == api::PodRole::control;
  };
  const auto controls = std::min<std::size_t>(
      kControls, static_cast<std::size_t>(std::ranges::count_if(ranked, is_control)));
  std::vector<const api::EffectReport*> chosen;
  const std::size_t others = limit - std::min(controls, limit);
  // Without a change beyond chance a row of a target or observed pod tells nothing, unless it is
  // the best of its role: then that is the news.
  for (const api::PodRole role : {api::PodRole::observed, api::PodRole::target}) {
    std::size_t of_role = 0;
    const std::size_t most = role == api::PodRole::observed ? (others + 1) * 2 / 3 : others;
    for (const api::EffectReport* effect : ranked) {
      if (effect->role != role || chosen.size() >= others || of_role >= most) continue;
      if (of_role > 0 && weight(*effect) == 0) continue;
      chosen.push_back(effect);
      ++of_role;
    }
  }
  for (const api::EffectReport* effect : ranked)
    if (is_control(effect) && chosen.size() < limit &&
        static_cast<std::size_t>(std::ranges::count_if(chosen, is_control)) < controls)
      chosen.push_back(effect);
  return chosen;
}

std::string figure_words(std::optional<double> value, const api::Metric& metric) {
  return value ? value_words(metric, *value) : "-";
}

std::string ratio_words(const api::EffectReport& effect, const api::Metric& metric) {
  const double before = main_figure(effect.baseline, metric).value_or(0);
  const double during = main_figure(effect.fault, metric).value_or(0);
  if (metric.kind == api::MetricKind::kFraction || before <= 0 || during <= 0 ||
      weight(effect) == 0)
    return "";
  const double ratio = during / before;
  if (ratio >= 2) return "x" + number_words(ratio, 2);
  return (ratio > 1 ? "+" : "") + number_words((ratio - 1) * 100, 2) + " %";
}

std::string metric_words(const api::Metric& metric) {
  return std::string(metric.name) + (metric.kind == api::MetricKind::kHistogram ? " p50" : "");
}

}  // namespace faultline::report
