// SPDX-License-Identifier: Apache-2.0
// The collectors of one pod, and the windows they fill. Alive means measuring. Not thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/effects/effect.h"
#include "agent/targets/pod.h"

namespace faultline::agent {

class Measurement {
 public:
  // Starts what can be started; what cannot becomes a gap of each window, because what it would
  // have measured is missing in each of them.
  Measurement(const Pod& place, std::span<const CollectorType* const> types,
              const CollectContext& context);

  struct Window {
    api::Timestamp from, to;
    std::vector<api::EffectSample> samples;
    std::vector<api::Gap> gaps;  // pod and times are set, node is not
  };
  // The window ends at `at`, by the kernel's clock, which may be now or still to come; the newest
  // call counts. A store for each collector.
  void cut_at(KtimeNs at);
  // What happened since the last cut, or the start: until now, or until the time that cut_at() was
  // given, if that has come. The next window begins there.
  [[nodiscard]] Window cut();
  [[nodiscard]] SteadyTime since() const { return since_; }
  void faults_changed();
  // Whom the pod has exchanged packets with, as far as its collectors remember it.
  [[nodiscard]] PeerAddresses peers();
  [[nodiscard]] std::size_t collectors() const { return collectors_.size(); }

 private:
  const Clock& clock_;
  std::string pod_;
  struct Running {
    const CollectorType* type;
    std::unique_ptr<Collector> collector;
  };
  std::vector<Running> collectors_;
  std::vector<api::Gap> missing_;
  SteadyTime since_;
  std::optional<SteadyTime> cut_at_;
};

}  // namespace faultline::agent
