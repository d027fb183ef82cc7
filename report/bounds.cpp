// SPDX-License-Identifier: Apache-2.0
// Bounds that a person writes, and the measured value that they are held against.
#include <charconv>
#include <set>

#include "report/format.h"
#include "report/report.h"
#include "report/windows.h"

namespace faultline::report {
namespace {

// A request is seen by the pod that answers it and by the pod that asks. A pod that serves is
// judged by what its callers see of it; only a pod that serves nothing, by what it sees itself.
std::set<std::string> serving_pods(const std::vector<Series>& all, std::string_view metric) {
  std::set<std::string> pods;
  for (const Series& series : all) {
    const auto side = series.key.labels.find("side");
    if (series.key.metric == metric && side != series.key.labels.end() && side->second == "server")
      pods.insert(series.key.pod);
  }
  return pods;
}

bool chosen(const Series& series, const api::Selector& selector,
            const std::map<std::string, api::PodRef>& pods) {
  if (selector == api::Selector{}) return series.role != api::PodRole::control;
  const auto pod = pods.find(series.key.pod);
  return pod != pods.end() && api::matches(selector, pod->second);
}

std::map<std::string, api::PodRef> pods_of(const api::RunRecord& record) {
  std::map<std::string, api::PodRef> pods;
  for (const api::NodeRecord& node : record.nodes)
    for (const api::EffectWindow& window : node.windows)
      pods.try_emplace(window.pod.id(), window.pod);
  for (const api::RunPod& pod : record.pods) pods.insert_or_assign(pod.pod.id(), pod.pod);
  return pods;
}

}  // namespace

std::optional<double> metric_value(const api::RunRecord& record, const api::Selector& selector,
                                   std::string_view metric_name, std::optional<double> quantile,
                                   api::RunPhase phase) {
  const api::Metric* metric = api::find_metric(metric_name);
  if (metric == nullptr) return std::nullopt;
  const std::vector<Series> all = all_series(record, metric_name);
  const std::map<std::string, api::PodRef> pods = pods_of(record);
  const std::set<std::string> serving = serving_pods(all, metric_name);

  std::vector<Point> points;
  double rates = 0;
  bool measured = false;
  for (const Series& series : all) {
    if (series.key.metric != metric_name || !chosen(series, selector, pods)) continue;
    const auto side = series.key.labels.find("side");
    if (side != series.key.labels.end() && side->second != "server" &&
        serving.contains(series.key.pod))
      continue;
    const std::vector<Point> of_phase = series.in(phase);
    points.insert(points.end(), of_phase.begin(), of_phase.end());
    if (const auto rate = rate_of(*metric, of_phase)) {
      rates += *rate;
      measured = true;
    }
  }
  switch (metric->kind) {
    case api::MetricKind::kHistogram:
      return merged(points).quantile(quantile.value_or(0.5));
    case api::MetricKind::kCounter:  // events of all pods and labels together, each over its own
                                     // time
      return measured ? std::optional(rates) : std::nullopt;
    case api::MetricKind::kGauge:
    case api::MetricKind::kFraction:
      break;
  }
  return rate_of(*metric, points);
}

Result<double> parse_bound(std::string_view metric_name, std::string_view text) {
  const api::Metric* metric = api::find_metric(metric_name);
  if (metric == nullptr)
    return fail(Errc::kInvalid, "no metric is called \"" + std::string(metric_name) + "\"");
  if (metric->unit == "s") {
    auto duration = api::Duration::parse(text);
    if (!duration) return fail(std::move(duration.error()));
    return duration->seconds();
  }
  if (metric->kind == api::MetricKind::kFraction) {
    auto share = api::Probability::parse(text);
    if (!share) return fail(std::move(share.error()));
    return share->value;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= 0) || value > 1e18)
    return fail(Errc::kInvalid, "expected a number like \"10\" for " + std::string(metric_name) +
                                    ", got \"" + std::string(text) + "\"");
  return value;
}

int exit_code(const api::Report& report) {
  switch (report.verdict) {
    case api::RunVerdict::met:
      return 0;
    case api::RunVerdict::missed:
      return 1;
    case api::RunVerdict::not_real:
      return 2;
    case api::RunVerdict::aborted:
      return 4;
    case api::RunVerdict::failed:
      break;
  }
  return 5;
}

}  // namespace faultline::report
