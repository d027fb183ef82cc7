// SPDX-License-Identifier: Apache-2.0
#include "agent/link/observer.h"

#include <spdlog/spdlog.h>

#include <set>
#include <utility>

#include "agent/link/run.h"

namespace faultline::agent {

namespace {
const std::string kOwner = "--observe";  // no run is named like this
}

Observer::Observer(const Clock& clock, const FeatureProbe& features,
                   std::span<const CollectorType* const> collectors, ResidueLedger& ledger,
                   api::Selector selector)
    : clock_(clock),
      features_(features),
      collectors_(collectors),
      ledger_(ledger),
      selector_(std::move(selector)) {
  ledger_.begin(kOwner);
}

void Observer::pods(const std::vector<Pod>& pods) {
  std::set<std::string> here;
  waiting_.clear();
  for (const Pod& pod : pods) {
    if (!api::matches(selector_, pod.ref)) continue;
    const std::string id = pod.ref.id();
    here.insert(id);
    const auto it = watched_.find(id);
    if (it != watched_.end()) {
      if (same_attachments(it->second.pod, pod)) continue;
      take(it->second);
      end(it->second);
      watched_.erase(it);
    }
    waiting_.push_back(pod);
  }
  for (auto it = watched_.begin(); it != watched_.end();) {
    if (here.contains(it->first)) {
      ++it;
      continue;
    }
    metrics_.remove(it->second.pod.ref);
    end(it->second);
    it = watched_.erase(it);
  }
  go_on();
}

void Observer::go_on() {
  if (!busy()) return;
  const SteadyTime end = clock_.steady() + Run::kStep;
  const auto goes_on = [&] { return clock_.steady() < end; };
  // Who is measured anew is not measured twice meanwhile.
  while (!ending_.empty()) {
    ending_.pop_back();
    if (!goes_on()) return;
  }
  if (waiting_.empty()) return;
  do {
    Pod pod = std::move(waiting_.front());
    waiting_.pop_front();
    const std::string id = pod.ref.id();
    spdlog::info("observing {}", id);
    auto measurement =
        std::make_unique<Measurement>(pod, collectors_, CollectContext{clock_, features_});
    watched_[id] = {std::move(pod), std::move(measurement)};
  } while (!waiting_.empty() && goes_on());
  ledger_.claim(kOwner, false);
}

void Observer::faults_changed(const std::string& pod) {
  const auto it = watched_.find(pod);
  if (it == watched_.end()) return;
  it->second.measurement->faults_changed();
  ledger_.claim(kOwner, false);
}

void Observer::take(Watched& watched) {
  const Measurement::Window window = watched.measurement->cut();
  gaps_ += window.gaps.size();
  metrics_.add(watched.pod.ref, window.samples);
}

void Observer::tick() {
  for (auto& [id, watched] : watched_) take(watched);
}

}  // namespace faultline::agent
