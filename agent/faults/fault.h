// SPDX-License-Identifier: Apache-2.0
// What every fault is. One folder-mate pair <fault>.{h,cpp} defines `const FaultType k<Fault>` and
// is entered into the generated registry by one CMake line, add_fault(<fault>).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/kernel/feature_probe.h"
#include "agent/kernel/peer_sets.h"
#include "agent/targets/pod.h"
#include "api/fault.h"
#include "api/sync.h"
#include "base/clock.h"
#include "base/result.h"

struct fl_counters;  // bpf/include/fault_abi.h

namespace faultline::agent {

// What arm() is given. References outlive the armed fault.
// What a pod sent and received, a second, in the busiest window before its faults.
struct PodTraffic {
  struct Way {
    double packets = 0, bytes = 0;  // of the wire
  };
  Way to, from;  // as api::Direction
};

struct ArmContext {
  const Clock& clock;
  const FeatureProbe& features;
  std::uint64_t seed;  // of this fault on this pod: derived from the run's seed, pod and index
  KtimeNs deadline;    // first lease; may be over: renew() begins it then
  PeerSets peers;      // what the selectors of its NetworkFilter stand for
  std::optional<PodTraffic> before{};  // nullopt: it was not measured
};

// What a fault says of itself; the agent adds pod, index and times of arming.
struct FaultCounters {
  std::uint64_t matched = 0, injected = 0, errors = 0, lost = 0;
  std::uint64_t stalled = 0;  // matched, and passed because our own process could not take it
  // Packets: in the line now, and those that left it early because the fault ended. The latter are
  // not in added_latency.
  std::uint64_t held = 0, flushed = 0;
  KtimeNs first_injected, last_injected;  // 0: none yet
  std::map<std::string, std::uint64_t> by_errno;
  std::map<std::string, api::EventCount> by_call;  // of system-call faults
  api::Histogram added_latency;
  std::optional<api::LinkUse> link;  // of networkBandwidth
};

// What a fault's programs counted.
[[nodiscard]] FaultCounters counted_by(const fl_counters& programs);
// 0: never.
[[nodiscard]] KtimeNs earliest(KtimeNs a, KtimeNs b);
// Of two that counted different events.
[[nodiscard]] FaultCounters sum(const FaultCounters& a, const FaultCounters& b);

// Alive means injected, destroyed means reverted: the destructor detaches everything and logs what
// it could not. Used from one thread; may own worker threads of its own.
class ArmedFault {
 public:
  virtual ~ArmedFault() = default;
  // Moves the kernel's deadline; a plain store.
  virtual void renew(KtimeNs deadline) = 0;
  // The selectors of its NetworkFilter stand for these peers now. Changes the armed programs' sets
  // in place: nothing is detached, no counter begins anew (FilterMaps::follow). Errors:
  // kUnsupported when the fault has no sets to change, so that it must be armed anew; what the
  // kernel said.
  virtual Result<> follow(const PeerSets& peers);
  // Totals since arm().
  [[nodiscard]] virtual Result<FaultCounters> read() const = 0;
  // Ends injection, reports what went wrong; read() still works after it. Called once, before
  // destruction.
  virtual Result<> disarm() = 0;
  [[nodiscard]] virtual std::string mechanism() const = 0;
};

struct FaultType {
  std::string_view name;  // networkLatency, as Fault::name()
  // Can this kernel do it at all, and by which mechanism? Loads nothing that stays.
  api::FaultSupport (*support)(const FeatureProbe& features);
  // Errors: kUnsupported with the reason in one line, else what the kernel said.
  Result<std::unique_ptr<ArmedFault>> (*arm)(const api::Fault& fault, const Pod& pod,
                                             const ArmContext& context);
  // It acts by the pod's cgroup and nothing else, so that arm() may be given a container as a pod
  // (held_to()). False: an experiment that names containers is refused.
  bool by_container = false;
};

// The fault on some containers of the pod, not none, told as one: each has an ArmedFault of its
// own, with dice and bounds (count, every, after) of its own. Errors: of arm(), with the
// container's name; then none is armed.
Result<std::unique_ptr<ArmedFault>> arm_in_containers(const FaultType& type,
                                                      const api::Fault& fault, const Pod& pod,
                                                      const std::vector<Container>& containers,
                                                      const ArmContext& context);

// Generated from add_fault() lines. Order of the lines.
[[nodiscard]] std::span<const FaultType* const> fault_registry();
[[nodiscard]] const FaultType* find_fault(std::string_view name);

}  // namespace faultline::agent
