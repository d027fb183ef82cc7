// SPDX-License-Identifier: Apache-2.0
// What is measured of pods, as Prometheus metrics. The names follow from api/metrics.h: the dots
// become underscores, with base unit and _total, e.g. request.latency is
// faultline_pod_request_latency_seconds. Labels: namespace, pod, and those of the sample. Not
// thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/selector.h"
#include "api/sync.h"

namespace faultline::agent {

class PodMetrics {
 public:
  PodMetrics();
  ~PodMetrics();
  PodMetrics(const PodMetrics&) = delete;
  PodMetrics& operator=(const PodMetrics&) = delete;

  // One window's samples: counters and histograms grow, gauges take the newest value.
  void add(const api::PodRef& pod, const std::vector<api::EffectSample>& samples);
  // The pod is not measured any more: its series end.
  void remove(const api::PodRef& pod);
  // The text format of Prometheus.
  [[nodiscard]] std::string text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace faultline::agent
