// SPDX-License-Identifier: Apache-2.0
// Measures the pods of a selector all the time, for /metrics (--observe). Runs measure for
// themselves; the two do not know each other. Not thread-safe.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/link/measurement.h"
#include "agent/link/pod_metrics.h"
#include "agent/link/residue.h"
#include "api/selector.h"

namespace faultline::agent {

class Observer {
 public:
  // All references outlive it. What it holds in the kernel is its own in `ledger`.
  Observer(const Clock& clock, const FeatureProbe& features,
           std::span<const CollectorType* const> collectors, ResidueLedger& ledger,
           api::Selector selector);

  // The pods of this node as they are now; those that restarted are measured anew. Of those that
  // are new only some are begun at once (Run::kStep), and of those that are gone some are ended;
  // go_on() does the next ones.
  void pods(const std::vector<Pod>& pods);
  void go_on();
  [[nodiscard]] bool busy() const { return !waiting_.empty() || !ending_.empty(); }
  void faults_changed(const std::string& pod);
  // Every second: what was measured goes to the metrics.
  void tick();
  [[nodiscard]] std::size_t size() const { return watched_.size(); }
  [[nodiscard]] std::uint64_t gaps() const { return gaps_; }
  [[nodiscard]] const PodMetrics& metrics() const { return metrics_; }

 private:
  struct Watched {
    Pod pod;
    std::unique_ptr<Measurement> measurement;
  };
  void take(Watched& watched);
  void end(Watched& watched) { ending_.push_back(std::move(watched.measurement)); }
  const Clock& clock_;
  const FeatureProbe& features_;
  std::span<const CollectorType* const> collectors_;
  ResidueLedger& ledger_;
  api::Selector selector_;
  std::map<std::string, Watched> watched_;
  std::deque<Pod> waiting_;  // to be measured, and not yet
  std::vector<std::unique_ptr<Measurement>> ending_;
  PodMetrics metrics_;
  std::uint64_t gaps_ = 0;
};

}  // namespace faultline::agent
