// SPDX-License-Identifier: Apache-2.0
// What the faults that make packets wait (networkLatency, networkBandwidth) have in common: where
// they take packets, and how a kernel may hold them.
#pragma once

#include <vector>

#include "agent/faults/delay_line/delay_line.h"
#include "agent/faults/fault.h"

namespace faultline::agent {

inline constexpr const char* kDelayLineMechanism = "delay-line";

// Of each of the pod's interfaces, the device on the host's side. Errors: kUnsupported for a pod
// that has none, or more than there is room for.
Result<std::vector<IfIndex>> host_devices(const Pod& pod);

// By EDT, else by the delay line, else why not.
api::FaultSupport waiting_support(std::string_view fault, const FeatureProbe& features);

// matched, errors, lost, added_latency; what is an injected event is the fault's to say.
Result<FaultCounters> read_line(const DelayLine& line, DelayLineCounters& counters);

}  // namespace faultline::agent
