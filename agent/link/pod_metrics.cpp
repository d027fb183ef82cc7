// SPDX-License-Identifier: Apache-2.0
#include "agent/link/pod_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "api/metrics.h"
#include "base/printable.h"

namespace faultline::agent {
namespace {

// Seconds. Half a millisecond to ten seconds is where requests live; the first two are for round
// trips within a data centre.
const std::vector<double> kBounds = {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025,
                                     0.005,   0.01,   0.025,   0.05,   0.1,   0.25,
                                     0.5,     1,      2.5,     5,      10};

std::string name_of(const api::Metric& metric, std::string_view suffix) {
  std::string name = "faultline_pod_" + std::string(metric.name);
  std::replace(name.begin(), name.end(), '.', '_');
  if (metric.unit == "s") name += "_seconds";
  if (metric.unit == "B" && !name.ends_with("_bytes")) name += "_bytes";
  if (metric.unit == "cores") name += "_cores";
  return name + std::string(suffix);
}

// Our buckets are 3 % wide, so the one a bound falls into is counted by its middle.
std::vector<double> by_bounds(const api::Histogram& histogram) {
  std::vector<double> counts(kBounds.size() + 1, 0);
  for (const auto& [index, n] : histogram.buckets) {
    const double middle = api::Histogram::bucket_mid(index);
    const auto at = std::lower_bound(kBounds.begin(), kBounds.end(), middle);
    counts[static_cast<std::size_t>(at - kBounds.begin())] += static_cast<double>(n);
  }
  return counts;
}

}  // namespace

struct PodMetrics::Impl {
  prometheus::Registry registry;
  // How to end the series of a pod.
  std::map<std::string, std::map<std::string, std::function<void()>>> series;

  prometheus::Counter& counter(const std::string& name, std::string_view help,
                               const prometheus::Labels& labels, const std::string& pod) {
    auto& family = prometheus::BuildCounter().Name(name).Help(std::string(help)).Register(registry);
    auto& one = family.Add(labels);
    remember(pod, name, labels, [&family, &one] { family.Remove(&one); });
    return one;
  }
  prometheus::Gauge& gauge(const std::string& name, std::string_view help,
                           const prometheus::Labels& labels, const std::string& pod) {
    auto& family = prometheus::BuildGauge().Name(name).Help(std::string(help)).Register(registry);
    auto& one = family.Add(labels);
    remember(pod, name, labels, [&family, &one] { family.Remove(&one); });
    return one;
  }
  prometheus::Histogram& histogram(const std::string& name, std::string_view help,
                                   const prometheus::Labels& labels, const std::string& pod) {
    auto& family =
        prometheus::BuildHistogram().Name(name).Help(std::string(help)).Register(registry);
    auto& one = family.Add(labels, kBounds);
    remember(pod, name, labels, [&family, &one] { family.Remove(&one); });
    return one;
  }
  void remember(const std::string& pod, const std::string& name, const prometheus::Labels& labels,
                std::function<void()> end) {
    std::string key = name;
    for (const auto& [label, value] : labels) key += '\n' + label + '=' + value;
    series[pod].try_emplace(std::move(key), std::move(end));
  }
};

PodMetrics::PodMetrics() : impl_(std::make_unique<Impl>()) {}
PodMetrics::~PodMetrics() = default;

void PodMetrics::add(const api::PodRef& pod, const std::vector<api::EffectSample>& samples) {
  for (const api::EffectSample& sample : samples) {
    const api::Metric* metric = api::find_metric(sample.metric);
    if (metric == nullptr) continue;
    prometheus::Labels labels;
    for (const auto& [label, value] : sample.labels) labels[label] = printable(value);
    labels["namespace"] = printable(pod.namespace_);
    labels["pod"] = printable(pod.name);
    const std::string id = pod.id();
    switch (metric->kind) {
      case api::MetricKind::kHistogram:
        if (sample.histogram)
          impl_->histogram(name_of(*metric, ""), metric->help, labels, id)
              .ObserveMultiple(by_bounds(*sample.histogram), sample.histogram->sum);
        break;
      case api::MetricKind::kCounter:
        impl_->counter(name_of(*metric, "_total"), metric->help, labels, id)
            .Increment(sample.value);
        break;
      case api::MetricKind::kGauge:
        impl_->gauge(name_of(*metric, ""), metric->help, labels, id).Set(sample.value);
        break;
      case api::MetricKind::kFraction:
        // A ratio of two counters, so that it can be taken over any time.
        impl_->counter(name_of(*metric, "_total"), metric->help, labels, id)
            .Increment(sample.numerator);
        impl_
            ->counter(name_of(*metric, "_base_total"),
                      std::string(metric->help) + ": what it is a part of", labels, id)
            .Increment(sample.denominator);
        break;
    }
  }
}

void PodMetrics::remove(const api::PodRef& pod) {
  const auto it = impl_->series.find(pod.id());
  if (it == impl_->series.end()) return;
  for (const auto& [key, end] : it->second) end();
  impl_->series.erase(it);
}

std::string PodMetrics::text() const {
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace faultline::agent
