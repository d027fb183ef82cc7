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
  const auto label = [&](const char* name) {
    const auto found = effect.labels.find(name);
    return found == effect.labels.end() ? std::string_view() : std::string_view(found->second);
  };
  // Answers that are no failures follow the rate of requests.
  if (metric.ends_with("request.responses") && label("class") != "5xx") return 0.4;
  if (metric.starts_with("request.")) return label("side") == "client" ? 0.7 : 1;
  // What packets tell of the same requests comes first.
  if (metric.starts_with("tls.request.")) return label("side") == "client" ? 0.65 : 0.9;
  if (metric.starts_with("connect.")) return 0.6;
  if (metric.starts_with("tcp.")) return 0.4;
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
    case api::PodRole::connected:
      return 2;
    case api::PodRole::control:
      break;
  }
  return 3;
}

// Where answers are short, how long a request took in all is what its first byte took.
bool repeats(const api::EffectReport& effect, const std::vector<const api::EffectReport*>& chosen) {
  constexpr double kAlike = 0.1;
  if (!effect.metric.ends_with("request.duration") || !effect.fault || !effect.fault->p50)
    return false;
  const std::string latency =
      effect.metric == "request.duration" ? "request.latency" : "tls.request.latency";
  return std::ranges::any_of(chosen, [&](const api::EffectReport* other) {
    return other->metric == latency && other->pod == effect.pod && other->labels == effect.labels &&
           other->fault && other->fault->p50 &&
           *effect.fault->p50 <= *other->fault->p50 * (1 + kAlike);
  });
}

}  // namespace

namespace {

std::optional<double> figure_at(const std::optional<api::PhaseStats>& stats, double quantile) {
  if (!stats) return std::nullopt;
  return quantile == 0.99 ? stats->p99 : quantile == 0.9 ? stats->p90 : stats->p50;
}

double weight_of(const api::EffectReport& effect, const Telling& figure) {
  const api::Metric* metric = api::find_metric(effect.metric);
  if (metric == nullptr || !figure.change || figure.significant == false) return 0;
  if (figure.ci95 && figure.ci95->low <= 0 && figure.ci95->high >= 0) return 0;
  const double g = grain(*metric);
  return nearness(effect) *
         std::abs(std::log((figure.during.value_or(0) + g) / (figure.before.value_or(0) + g)));
}

}  // namespace

Telling telling_figure(const api::EffectReport& effect) {
  const api::Metric* metric = api::find_metric(effect.metric);
  if (metric == nullptr || metric->kind != api::MetricKind::kHistogram) {
    const auto rate = [](const std::optional<api::PhaseStats>& stats) {
      return stats ? stats->rate : std::nullopt;
    };
    return {.before = rate(effect.baseline),
            .during = rate(effect.fault),
            .after = rate(effect.recovery),
            .change = effect.change,
            .ci95 = effect.ci95,
            .significant = effect.significant};
  }
  const auto at = [&](double quantile, const std::optional<double>& change,
                      const std::optional<api::Interval>& ci95,
                      const std::optional<bool>& significant) {
    return Telling{.quantile = quantile,
                   .before = figure_at(effect.baseline, quantile),
                   .during = figure_at(effect.fault, quantile),
                   .after = figure_at(effect.recovery, quantile),
                   .change = change,
                   .ci95 = ci95,
                   .significant = significant};
  };
  Telling middle = at(0.5, effect.change, effect.ci95, effect.significant);
  if (!effect.tailQuantile) return middle;
  Telling tail =
      at(*effect.tailQuantile, effect.changeTail, effect.ci95Tail, effect.significantTail);
  return weight_of(effect, tail) > weight_of(effect, middle) ? tail : middle;
}

double weight(const api::EffectReport& effect) { return weight_of(effect, telling_figure(effect)); }

bool is_change(const api::EffectReport& effect) {
  return telling_figure(effect).significant == true;
}

bool is_felt(const api::EffectReport& effect) {
  return effect.metric.starts_with("request.") || effect.metric.starts_with("tls.request.") ||
         effect.metric.starts_with("connect.");
}

std::vector<const api::EffectReport*> ranked_effects(const api::Report& report) {
  std::vector<const api::EffectReport*> ranked;
  for (const api::EffectReport& effect : report.effects)
    if (api::find_metric(effect.metric) != nullptr) ranked.push_back(&effect);
  const auto place = [](const api::EffectReport* e) {
    const double w = weight(*e);
    return std::tuple(role_order(e->role), w > 0 ? (is_felt(*e) ? 0 : 1) : 2, -w, -nearness(*e));
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
  for (const api::PodRole role :
       {api::PodRole::observed, api::PodRole::target, api::PodRole::connected}) {
    std::size_t of_role = 0;
    const std::size_t most = role == api::PodRole::observed ? (others + 1) * 2 / 3 : others;
    for (const api::EffectReport* effect : ranked) {
      if (effect->role != role || chosen.size() >= others || of_role >= most) continue;
      if (of_role > 0 && weight(*effect) == 0) continue;
      if (repeats(*effect, chosen)) continue;
      chosen.push_back(effect);
      ++of_role;
    }
  }
  for (const api::EffectReport* effect : ranked)
    if (is_control(effect) && chosen.size() < limit && !repeats(*effect, chosen) &&
        static_cast<std::size_t>(std::ranges::count_if(chosen, is_control)) < controls)
      chosen.push_back(effect);
  return chosen;
}

std::string figure_words(std::optional<double> value, const api::Metric& metric) {
  return value ? value_words(metric, *value) : "-";
}

std::string ratio_words(const api::EffectReport& effect, const api::Metric& metric) {
  const Telling figure = telling_figure(effect);
  const double before = figure.before.value_or(0), during = figure.during.value_or(0);
  if (metric.kind == api::MetricKind::kFraction || before <= 0 || during <= 0 ||
      weight(effect) == 0)
    return "";
  const double ratio = during / before;
  if (ratio >= 2) return "x" + number_words(ratio, 2);
  return (ratio > 1 ? "+" : "") + number_words((ratio - 1) * 100, 2) + " %";
}

std::string metric_words(const api::EffectReport& effect) {
  const Telling figure = telling_figure(effect);
  return effect.metric + (figure.quantile ? " " + quantile_words(*figure.quantile) : "");
}

std::string change_word(const std::optional<bool>& significant) {
  return !significant ? "-" : *significant ? "yes" : "no";
}

std::vector<const api::Metric*> metrics_told(const std::vector<const api::EffectReport*>& effects) {
  std::vector<const api::Metric*> told;
  for (const api::Metric& metric : api::kMetrics)
    if (std::ranges::any_of(effects,
                            [&](const api::EffectReport* e) { return e->metric == metric.name; }))
      told.push_back(&metric);
  return told;
}

}  // namespace faultline::report
