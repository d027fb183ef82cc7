// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/fault.h"

#include <algorithm>

#include "agent/kernel/counters.h"

namespace faultline::agent {

FaultCounters counted_by(const fl_counters& programs) {
  FaultCounters out;
  out.matched = programs.matched;
  out.injected = programs.injected;
  out.errors = programs.errors;
  out.first_injected = {programs.first_ns};
  out.last_injected = {programs.last_ns};
  return out;
}

KtimeNs earliest(KtimeNs a, KtimeNs b) {
  if (a.ns == 0) return b;
  if (b.ns == 0) return a;
  return std::min(a, b);
}

Result<> ArmedFault::follow(const PeerSets&) {
  return fail(Errc::kUnsupported, "its peers cannot change while it is armed");
}

const FaultType* find_fault(std::string_view name) {
  const auto faults = fault_registry();
  const auto found = std::ranges::find(faults, name, &FaultType::name);
  return found == faults.end() ? nullptr : *found;
}

FaultCounters sum(const FaultCounters& a, const FaultCounters& b) {
  FaultCounters s = a;
  s.matched += b.matched;
  s.injected += b.injected;
  s.errors += b.errors;
  s.lost += b.lost;
  s.stalled += b.stalled;
  s.held += b.held;
  s.flushed += b.flushed;
  s.first_injected = earliest(a.first_injected, b.first_injected);
  s.last_injected = std::max(a.last_injected, b.last_injected);
  for (const auto& [name, n] : b.by_errno) s.by_errno[name] += n;
  for (const auto& [name, n] : b.by_call) {
    s.by_call[name].matched += n.matched;
    s.by_call[name].injected += n.injected;
  }
  s.added_latency.merge(b.added_latency);
  if (b.link) {
    api::LinkUse link = s.link.value_or(api::LinkUse{});
    link.dropped += b.link->dropped;
    link.bytes += b.link->bytes;
    link.seconds += b.link->seconds;
    s.link = link;
  }
  return s;
}

}  // namespace faultline::agent
