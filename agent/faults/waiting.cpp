// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/waiting.h"

#include <algorithm>

#include "agent/faults/edt/edt_line.h"
#include "agent/kernel/tc.h"

namespace faultline::agent {

Result<std::vector<IfIndex>> host_devices(const Pod& pod) {
  std::vector<IfIndex> devices;
  for (const PodInterface& interface : pod.interfaces) {
    if (interface.host_index == IfIndex{})
      return fail(Errc::kUnsupported, "interface " + interface.name + " of " + pod.ref.id() +
                                          " has no host-side device (macvlan, ipvlan or SR-IOV)");
    devices.push_back(interface.host_index);
  }
  if (devices.empty())
    return fail(Errc::kUnsupported, pod.ref.id() + " has no network interface of its own");
  if (devices.size() > FL_DELAY_MAX_DEVICES)
    return fail(Errc::kUnsupported, pod.ref.id() + " has " + std::to_string(devices.size()) +
                                        " interfaces, at most " +
                                        std::to_string(FL_DELAY_MAX_DEVICES) + " are supported");
  return devices;
}

api::FaultSupport waiting_support(std::string_view fault, const FeatureProbe& features) {
  api::FaultSupport answer{.fault = std::string(fault)};
  if (const auto means = tc_means(features); !means) {
    answer.reason = means.error().message;
  } else if (features.has(KernelFeature::kFq)) {
    answer.mechanism = kEdtMechanism;
  } else if (features.has(KernelFeature::kTun)) {
    answer.mechanism = kDelayLineMechanism;
  } else {
    answer.reason = "edt needs the qdisc fq: " + features.reason(KernelFeature::kFq) +
                    "; delay-line needs TAP devices: " + features.reason(KernelFeature::kTun);
  }
  answer.supported = answer.reason.empty();
  return answer;
}

Result<FaultCounters> read_line(const DelayLine& line, DelayLineCounters& counters) {
  auto read = line.counters();
  if (!read) return fail(read.error());
  counters = *read;
  FaultCounters out;
  out.matched = counters.matched;
  out.errors = counters.errors;
  out.lost = counters.lost;
  out.stalled = counters.stalled;
  out.flushed = counters.worker.flushed;
  out.held = counters.taken - std::min(counters.taken, counters.gone());
  out.added_latency = line.added_latency();
  return out;
}

}  // namespace faultline::agent
