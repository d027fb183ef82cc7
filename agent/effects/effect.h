// SPDX-License-Identifier: Apache-2.0
// What every collector is: it measures some metrics (api/metrics.h) of one pod, and costs nothing
// to other pods. One pair <effect>.{h,cpp} each, entered by add_effect(<effect>).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "agent/kernel/feature_probe.h"
#include "agent/targets/pod.h"
#include "api/sync.h"
#include "base/clock.h"
#include "base/result.h"

namespace faultline::agent {

// A probe on a library costs every process of the node that uses the same file, whosever it is. So
// there are some only where the run names metrics of tls.request.* and whoever started the agent
// has allowed it.
enum class TlsProbes { kNotAskedFor, kForbidden, kAllowed };

struct CollectContext {
  const Clock& clock;
  const FeatureProbe& features;
  // Of the run's faults, as in SyscallFilter: only these are measured, because a program on a call
  // costs every process of the node.
  std::vector<std::string> syscalls{};
  TlsProbes tls = TlsProbes::kNotAskedFor;
};

// 16 bytes in network order, IPv4 as ::ffff:a.b.c.d.
using PeerAddresses = std::set<std::array<std::uint8_t, 16>>;

// Alive means measuring. Used from one thread.
class Collector {
 public:
  virtual ~Collector() = default;
  // What happened since the last take(), appended to `samples`; what could not be measured, to
  // `gaps` (reason and metric set, the caller sets node, pod and times). Never invents: a metric
  // with no data in the window may be left out when it is a histogram, and is 0 when it is a
  // counter.
  virtual void take(std::vector<api::EffectSample>& samples, std::vector<api::Gap>& gaps) = 0;
  // A window of this pod ends at `at`, by the kernel's clock, which may be now or still to come:
  // what happens from then on is counted apart. The newest call counts.
  virtual void cut_at(KtimeNs /*at*/) {}
  // That time has come: the next take() gives only what happened before it, the one after it the
  // rest. A collector that reads what others count cannot do so: its take() gives all until now.
  virtual void cut_has_come() {}
  // Adds the addresses of those that the pod has exchanged packets with, as far as this collector
  // remembers them; nothing where it cannot read them.
  virtual void add_peers(PeerAddresses& /*peers*/) {}
  // Faults were armed or disarmed on this pod: hooks that must stay behind a fault's hook attach
  // again here.
  virtual Result<> faults_changed() { return {}; }
};

struct CollectorType {
  std::string_view name;
  // nullptr: of what it measures nothing was asked for.
  Result<std::unique_ptr<Collector>> (*start)(const Pod& pod, const CollectContext& context);
};

// Generated from add_effect() lines.
[[nodiscard]] std::span<const CollectorType* const> collector_registry();

}  // namespace faultline::agent
