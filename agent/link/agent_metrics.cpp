// SPDX-License-Identifier: Apache-2.0
#include "agent/link/agent_metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <utility>
#include <vector>

namespace faultline::agent {
namespace {

using Labels = std::vector<prometheus::ClientMetric::Label>;

// The figures are kept where they arise; this only gives them names.
class Families {
 public:
  void counter(std::string name, std::string help, std::uint64_t value, Labels labels = {}) {
    prometheus::ClientMetric metric;
    metric.counter.value = static_cast<double>(value);
    add(std::move(name), std::move(help), prometheus::MetricType::Counter, std::move(metric),
        std::move(labels));
  }
  void gauge(std::string name, std::string help, std::size_t value) {
    prometheus::ClientMetric metric;
    metric.gauge.value = static_cast<double>(value);
    add(std::move(name), std::move(help), prometheus::MetricType::Gauge, std::move(metric), {});
  }
  [[nodiscard]] std::string text() const {
    return prometheus::TextSerializer().Serialize(families_);
  }

 private:
  void add(std::string name, std::string help, prometheus::MetricType type,
           prometheus::ClientMetric metric, Labels labels) {
    metric.label = std::move(labels);
    if (families_.empty() || families_.back().name != name) {
      families_.emplace_back();
      families_.back().name = std::move(name);
      families_.back().help = std::move(help);
      families_.back().type = type;
    }
    families_.back().metric.push_back(std::move(metric));
  }
  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace

std::string agent_metrics_text(const AgentFigures& f) {
  Families m;
  m.counter("faultline_agent_syncs_total", "exchanges with the controller", f.link.answered,
            {{"result", "answered"}});
  m.counter("faultline_agent_syncs_total", "exchanges with the controller", f.link.failed,
            {{"result", "failed"}});
  m.gauge("faultline_agent_batches_waiting", "batches the controller has not stored yet",
          f.batches_waiting);
  m.gauge("faultline_agent_pods", "pods this agent sees", f.pods);
  m.gauge("faultline_agent_observed_pods", "pods that are measured for these metrics", f.observed);
  m.gauge("faultline_agent_runs", "runs that are up on this node", f.runs);
  m.gauge("faultline_agent_armed_faults", "faults that are armed now, one for each pod", f.armed);
  m.counter("faultline_agent_blocked_faults_total", "faults that could or may not be armed",
            f.counts.blocked);
  m.counter("faultline_agent_leases_expired_total",
            "times a run lost its faults because the controller did not answer in time",
            f.counts.leases_expired);
  m.counter("faultline_agent_pod_restarts_total", "restarts of pods during a run",
            f.counts.pod_restarts);
  m.counter("faultline_agent_helper_errors_total",
            "events on which a kernel helper failed and no fault was injected",
            f.counts.helper_errors);
  m.counter("faultline_agent_lost_events_total",
            "packets that a latency fault lost because its queue was full", f.counts.lost);
  m.counter("faultline_agent_gaps_total", "times something could not be measured", f.counts.gaps);
  m.counter("faultline_agent_windows_dropped_total",
            "windows dropped because the memory for what the controller did not take was full",
            f.windows_dropped);
  m.counter("faultline_agent_residue_total", "kernel objects found after their run was over",
            f.counts.residue);
  return m.text();
}

}  // namespace faultline::agent
