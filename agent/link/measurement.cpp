// SPDX-License-Identifier: Apache-2.0
#include "agent/link/measurement.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace faultline::agent {

Measurement::Measurement(const Pod& place, std::span<const CollectorType* const> types,
                         const CollectContext& context)
    : clock_(context.clock), pod_(place.ref.id()) {
  for (const CollectorType* type : types) {
    const SteadyTime begin = clock_.steady();
    auto started = type->start(place, context);
    spdlog::debug("{}: collector {} took {:.0f} ms to begin", pod_, type->name,
                  std::chrono::duration<double, std::milli>(clock_.steady() - begin).count());
    if (started) {
      if (*started) collectors_.push_back({type, std::move(*started)});
      continue;
    }
    spdlog::warn("{}: collector {} does not run: {}", pod_, type->name, started.error().message);
    api::Gap gap;
    gap.reason =
        "collector " + std::string(type->name) + " does not run: " + started.error().message;
    missing_.push_back(std::move(gap));
  }
  // The first collectors counted while the last were loaded: that belongs to no window.
  std::vector<api::EffectSample> samples;
  std::vector<api::Gap> gaps;
  for (const Running& running : collectors_) running.collector->take(samples, gaps);
  since_ = clock_.steady();
}

void Measurement::cut_at(KtimeNs at) {
  cut_at_ = SteadyTime(std::chrono::nanoseconds(at.ns));
  for (const Running& running : collectors_) running.collector->cut_at(at);
}

Measurement::Window Measurement::cut() {
  Window window;
  const SteadyTime now = clock_.steady();
  const UtcTime utc = clock_.utc();
  SteadyTime end = now;
  if (cut_at_ && *cut_at_ <= now) {
    end = std::max(since_, *std::exchange(cut_at_, std::nullopt));
    for (const Running& running : collectors_) running.collector->cut_has_come();
  }
  const auto ago = [&](SteadyTime t) {
    return api::Timestamp{utc - std::chrono::duration_cast<std::chrono::nanoseconds>(now - t)};
  };
  // By the steady clock: a wall clock that is set meanwhile must not make a window longer, or
  // negative.
  window.to = ago(end);
  window.from = ago(since_);
  since_ = end;
  for (const Running& running : collectors_) running.collector->take(window.samples, window.gaps);
  window.gaps.insert(window.gaps.end(), missing_.begin(), missing_.end());
  for (api::Gap& gap : window.gaps) {
    gap.pod = pod_;
    gap.from = window.from;
    gap.to = window.to;
  }
  return window;
}

PeerAddresses Measurement::peers() {
  PeerAddresses peers;
  for (const Running& running : collectors_) running.collector->add_peers(peers);
  return peers;
}

void Measurement::faults_changed() {
  for (const Running& running : collectors_)
    if (auto done = running.collector->faults_changed(); !done)
      spdlog::warn("{}: collector {} after a change of faults: {}", pod_, running.type->name,
                   done.error().message);
}

}  // namespace faultline::agent
