// SPDX-License-Identifier: Apache-2.0
// Bounds that a person writes, and the measured value that they are held against.
#include <algorithm>
#include <charconv>
#include <limits>
#include <set>

#include "report/analysis.h"
#include "report/format.h"
#include "report/measured.h"
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

// What the metric of the pods that match was made of.
struct Collected {
  std::vector<Point> points;
  double rates = 0;
  bool measured = false;
};

Collected collect(const api::RunRecord& record, const api::Selector& selector,
                  const api::Metric& metric, api::RunPhase phase) {
  const std::vector<Series> all = all_series(record, metric.name);
  const std::map<std::string, api::PodRef> pods = pods_of(record);
  const std::set<std::string> serving = serving_pods(all, metric.name);
  Collected found;
  for (const Series& series : all) {
    const auto pod = pods.find(series.key.pod);
    if (series.key.metric != metric.name || pod == pods.end() ||
        !selects(selector, pod->second, series.role))
      continue;
    const auto side = series.key.labels.find("side");
    if (side != series.key.labels.end() && side->second != "server" &&
        serving.contains(series.key.pod))
      continue;
    const std::vector<Point> of_phase = series.in(phase);
    found.points.insert(found.points.end(), of_phase.begin(), of_phase.end());
    if (const auto rate = rate_of(metric, of_phase)) {
      found.rates += *rate;
      found.measured = true;
    }
  }
  return found;
}

std::optional<double> value_of(const Collected& found, const api::Metric& metric,
                               std::optional<double> quantile) {
  switch (metric.kind) {
    case api::MetricKind::kHistogram:
      return merged(found.points).quantile(quantile.value_or(0.5));
    case api::MetricKind::kCounter:  // events of all pods and labels together, each over its own
                                     // time
      return found.measured ? std::optional(found.rates) : std::nullopt;
    case api::MetricKind::kGauge:
    case api::MetricKind::kFraction:
      break;
  }
  return rate_of(metric, found.points);
}

// How many were not measured beside `seen` that were. A gap may count other things than the metric
// does (connections, not requests); then its share is what is known.
double not_seen(const Missing& missing, double seen) {
  if (missing.of <= missing.missed) return missing.missed;
  return std::max(missing.missed, seen * missing.missed / (missing.of - missing.missed));
}

// The value if all that was not measured had been on the wrong side of the bound; infinite when no
// measured value decides it any more.
double worst_of(const Collected& found, const api::Metric& metric, std::optional<double> quantile,
                const Missing& missing, bool below, double value) {
  constexpr double kBeyond = std::numeric_limits<double>::infinity();
  if (metric.kind == api::MetricKind::kHistogram) {
    const api::Histogram all = merged(found.points);
    const auto n = static_cast<double>(all.count());
    const double m = not_seen(missing, n);
    const double rank = quantile.value_or(0.5) * (n + m) - (below ? 0 : m);
    if (rank > n) return kBeyond;
    if (rank <= 0) return -kBeyond;
    return all.quantile(rank / n).value_or(value);
  }
  if (metric.kind == api::MetricKind::kFraction) {
    double numerator = 0, denominator = 0;
    for (const Point& point : found.points) {
      numerator += point.numerator;
      denominator += point.denominator;
    }
    const double m = not_seen(missing, denominator);
    return (numerator + (below ? m : 0)) / (denominator + m);
  }
  // What was not counted can only add to a rate.
  if (metric.kind == api::MetricKind::kCounter && below && missing.missed > 0)
    return missing.of > missing.missed ? value * missing.of / (missing.of - missing.missed)
                                       : kBeyond;
  return value;
}

}  // namespace

std::optional<double> metric_value(const api::RunRecord& record, const api::Selector& selector,
                                   std::string_view metric_name, std::optional<double> quantile,
                                   api::RunPhase phase) {
  const api::Metric* metric = api::find_metric(metric_name);
  if (metric == nullptr) return std::nullopt;
  return value_of(collect(record, selector, *metric, phase), *metric, quantile);
}

Judged judge_bound(const api::RunRecord& record, const std::vector<api::Gap>& gaps,
                   const api::ExpectEffect& expect) {
  Judged judged;
  const api::Metric* metric = api::find_metric(expect.metric);
  const bool below = !expect.below.empty();
  const Result<double> bound = parse_bound(expect.metric, below ? expect.below : expect.above);
  if (metric == nullptr || !bound) {  // validate() refuses both; a stored record may be older
    judged.measured = bound ? "no such metric" : bound.error().message;
    return judged;
  }
  const Collected found = collect(record, expect.selector, *metric, api::RunPhase::fault);
  const std::optional<double> value = value_of(found, *metric, expect.quantile);
  const Missing missing = missing_of(record, gaps, expect.selector, expect.metric);
  const std::string seen = value ? value_words(*metric, *value) : "";
  if (!missing.blind.empty()) {
    judged.measured = missing.blind + (value ? " (what was measured: " + seen + ")" : "");
    return judged;
  }
  if (!value) {
    judged.measured = "not measured";
    return judged;
  }
  const auto holds = [&](double v) { return below ? v < *bound : v > *bound; };
  judged.met = holds(worst_of(found, *metric, expect.quantile, missing, below, *value));
  judged.measured = seen;
  if (missing.missed > 0)
    judged.measured = !judged.met && holds(*value) ? missing.partly + " (the rest: " + seen + ")"
                                                   : seen + " (" + missing.partly + ")";
  return judged;
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
    case api::RunVerdict::partial:
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
