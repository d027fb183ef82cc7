// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/write_guard.h"

#include <algorithm>
#include <cmath>

namespace faultline::controller {
namespace {

constexpr std::uint64_t kMostEvents = std::uint64_t{1} << 53;  // exact in every JSON reader
constexpr std::size_t kMostNames = 512;  // errnos, calls, labels, objects left
constexpr double kLongestValue = 1e18;   // of a metric: bytes, seconds, counts

bool short_text(const std::string& text) { return text.size() <= WriteGuard::kLongestText; }

bool sane(double value) { return std::isfinite(value) && std::abs(value) <= kLongestValue; }

bool sane(const api::Histogram& histogram) {
  return histogram.buckets.size() <= WriteGuard::kMostBuckets && sane(histogram.sum) &&
         sane(histogram.max) && std::ranges::all_of(histogram.buckets, [](const auto& bucket) {
           return bucket.second <= kMostEvents;
         });
}

bool sane(const api::EventCount& count) {
  return count.matched <= kMostEvents && count.injected <= kMostEvents;
}

template <class Map, class Fine>
bool sane_names(const Map& map, Fine fine) {
  return map.size() <= kMostNames && std::ranges::all_of(map, [&](const auto& entry) {
           return short_text(entry.first) && fine(entry.second);
         });
}

bool sane(const api::InjectionStatus& i) {
  return short_text(i.mechanism) && short_text(i.reason) && i.matched <= kMostEvents &&
         i.injected <= kMostEvents && i.errors <= kMostEvents && i.lost <= kMostEvents &&
         sane_names(i.byErrno, [](std::uint64_t n) { return n <= kMostEvents; }) &&
         sane_names(i.byCall, [](const api::EventCount& n) { return sane(n); }) &&
         sane(i.addedLatency) &&
         (!i.link || (i.link->dropped <= kMostEvents && i.link->bytes <= kMostEvents &&
                      sane(i.link->seconds)));
}

bool sane(const api::EffectSample& sample) {
  return short_text(sample.metric) && sane(sample.value) && sane(sample.numerator) &&
         sane(sample.denominator) &&
         sane_names(sample.labels, [](const std::string& value) { return short_text(value); }) &&
         (!sample.histogram || sane(*sample.histogram));
}

std::uint64_t size_of(const api::Histogram& histogram) {
  return 40 + 12 * histogram.buckets.size();
}

// These move a run on; the others are only told.
bool moves(api::RunEventKind kind) {
  return kind == api::RunEventKind::measuring || kind == api::RunEventKind::armed ||
         kind == api::RunEventKind::disarmed || kind == api::RunEventKind::lease_expired ||
         kind == api::RunEventKind::closed;
}

}  // namespace

void Refused::add(const char* reason, std::size_t n) {
  if (n == 0) return;
  if (entries == 0) why = reason;
  entries += n;
}

WriteGuard::WriteGuard(const api::RunRecord& head, Instant now)
    : began_utc_(head.history.empty() ? now.utc : head.history.front().at.value),
      began_(now.steady) {
  for (const api::Fault& fault : head.experiment.spec.faults) faults_.emplace_back(fault.name());
  know(head);
}

void WriteGuard::know(const api::RunRecord& head) {
  if (head.pods.size() == pods_known_ && head.nodes.size() == nodes_known_) return;
  for (const api::NodeRecord& node : head.nodes) nodes_.try_emplace(node.node);
  for (const api::RunPod& pod : head.pods)
    if (const auto node = nodes_.find(pod.pod.node); node != nodes_.end())
      node->second.pods[pod.pod.id()] = pod;
  pods_known_ = head.pods.size();
  nodes_known_ = head.nodes.size();
}

void WriteGuard::over(Instant now) { over_ = std::min(over_, now.steady); }

std::uint64_t WriteGuard::allowance(const Node& node, Instant now) const {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
      std::max(std::min(now.steady, over_) - began_, std::chrono::nanoseconds(0)));
  return kBurst + kRate * static_cast<std::uint64_t>(seconds.count()) * node.pods.size();
}

Refused WriteGuard::keep_own(const std::string& name, api::RunBatch& batch, Instant now) const {
  Refused refused;
  const auto found = nodes_.find(name);
  if (found == nodes_.end()) {
    refused.add("the node has no part in this run",
                std::max<std::size_t>(1, batch.injections.size() + batch.windows.size() +
                                             batch.gaps.size() + batch.events.size()));
    batch.injections.clear();
    batch.windows.clear();
    batch.gaps.clear();
    batch.events.clear();
    return refused;
  }
  const Node& node = found->second;
  const UtcTime earliest = began_utc_ - kClockError,
                latest = std::max(now.utc, began_utc_) + kClockError;
  const auto possible = [&](const api::Timestamp& t) {
    return !t.set() || (t.value >= earliest && t.value <= latest);
  };
  const auto own = [&](const std::string& pod) { return pod.empty() || node.pods.contains(pod); };
  const auto take_out = [&](auto& entries, const char* why, auto bad) {
    refused.add(why, std::erase_if(entries, bad));
  };

  if (node.used >= allowance(node, now)) {
    take_out(batch.windows, "it sent more than a node may in a run",
             [](const auto&) { return true; });
    take_out(batch.injections, "it sent more than a node may in a run",
             [](const auto&) { return true; });
  }
  take_out(batch.injections, "a pod that is no target of this run on this node",
           [&](const api::InjectionStatus& i) {
             const auto pod = node.pods.find(i.pod.id());
             return pod == node.pods.end() || pod->second.role != api::PodRole::target;
           });
  take_out(batch.injections, "a fault that this run does not have",
           [&](const api::InjectionStatus& i) {
             return i.index < 0 || static_cast<std::size_t>(i.index) >= faults_.size() ||
                    faults_[static_cast<std::size_t>(i.index)] != i.fault;
           });
  take_out(batch.injections, "a time that cannot be", [&](const api::InjectionStatus& i) {
    return !possible(i.armedAt) || !possible(i.disarmedAt) || !possible(i.firstInjectedAt) ||
           !possible(i.lastInjectedAt);
  });
  take_out(batch.injections, "a number or a text that is too large",
           [](const api::InjectionStatus& i) { return !sane(i); });

  take_out(batch.windows, "a pod that is not of this run on this node",
           [&](const api::EffectWindow& w) {
             const auto pod = node.pods.find(w.pod.id());
             return pod == node.pods.end() || pod->second.role != w.role;
           });
  take_out(batch.windows, "a time that cannot be", [&](const api::EffectWindow& w) {
    return !w.from.set() || !w.to.set() || !possible(w.from) || !possible(w.to) || w.from > w.to;
  });
  take_out(batch.windows, "a number or a text that is too large", [](const api::EffectWindow& w) {
    return w.samples.size() > kMostSamples ||
           std::ranges::any_of(w.samples, [](const auto& sample) { return !sane(sample); });
  });

  take_out(batch.gaps, "a pod that is not of this run on this node",
           [&](const api::Gap& gap) { return !own(gap.pod); });
  take_out(batch.gaps, "a time that cannot be", [&](const api::Gap& gap) {
    return !possible(gap.from) || !possible(gap.to) || (gap.to.set() && gap.from > gap.to);
  });
  take_out(batch.gaps, "a number or a text that is too large",
           [](const api::Gap& gap) { return !short_text(gap.reason) || !short_text(gap.metric); });
  take_out(batch.events, "a pod that is not of this run on this node",
           [&](const api::RunEvent& event) { return !own(event.pod); });
  take_out(batch.events, "a time that cannot be",
           [&](const api::RunEvent& event) { return !possible(event.at); });
  take_out(batch.events, "a number or a text that is too large", [](const api::RunEvent& event) {
    return !short_text(event.text) || event.residue.size() > kMostNames ||
           !std::ranges::all_of(event.residue, short_text);
  });
  if (node.remarks + batch.gaps.size() + batch.events.size() > kMostRemarks) {
    take_out(batch.gaps, "more gaps and events than a node may tell of a run",
             [](const auto&) { return true; });
    // What moves the run on goes through as long as twice as many are not reached.
    const bool far_beyond = node.remarks > 2 * kMostRemarks;
    take_out(batch.events, "more gaps and events than a node may tell of a run",
             [&](const api::RunEvent& event) { return far_beyond || !moves(event.kind); });
  }
  // Which pod that is, is known here: its labels are not the agent's to write.
  for (api::InjectionStatus& i : batch.injections) i.pod = node.pods.at(i.pod.id()).pod;
  for (api::EffectWindow& w : batch.windows) w.pod = node.pods.at(w.pod.id()).pod;
  return refused;
}

void WriteGuard::charge(const std::string& name, const api::RunBatch& batch) {
  const auto node = nodes_.find(name);
  if (node == nodes_.end()) return;
  node->second.used += estimate(batch);
  node->second.remarks += batch.gaps.size() + batch.events.size();
}

std::uint64_t WriteGuard::estimate(const api::RunBatch& batch) {
  std::uint64_t bytes = 0;
  for (const api::InjectionStatus& i : batch.injections) {
    bytes += 600 + i.reason.size() + i.mechanism.size() + size_of(i.addedLatency);
    for (const auto& [name, n] : i.byErrno) bytes += 30 + name.size();
    for (const auto& [name, n] : i.byCall) bytes += 60 + name.size();
  }
  for (const api::EffectWindow& window : batch.windows) {
    bytes += 300;
    for (const api::EffectSample& sample : window.samples) {
      bytes += 120 + sample.metric.size();
      for (const auto& [name, value] : sample.labels) bytes += 8 + name.size() + value.size();
      if (sample.histogram) bytes += size_of(*sample.histogram);
    }
  }
  for (const api::Gap& gap : batch.gaps) bytes += 200 + gap.reason.size();
  for (const api::RunEvent& event : batch.events) {
    bytes += 150 + event.text.size();
    for (const std::string& left : event.residue) bytes += 4 + left.size();
  }
  return bytes;
}

}  // namespace faultline::controller
