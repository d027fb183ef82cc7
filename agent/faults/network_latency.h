// SPDX-License-Identifier: Apache-2.0
// networkLatency: packets that match are taken off the pod's host-side device by tcx, wait, and are
// put back where they were taken. They wait in the kernel, in fq on a device of ours ("edt"), or,
// where there is no fq, in a queue of ours behind a TAP ("delay-line"). Nothing is changed in the
// pod, and no qdisc but our own device's.
// With jitter it is the delay line always: it keeps the order within a flow.
//
// Out of scope, so never matched: what is not IPv4 or IPv6 (ARP), IPv6 neighbour discovery, and
// packets with a VLAN tag. With `probability` below 1 the packets that are not chosen pass at once,
// so they overtake delayed ones of their flow; at 1 (the default) a flow keeps its order.
//
// Counters: matched and injected when a packet is taken, last_injected when it is given back; lost
// is what was taken and never given back (while armed: as far as is known; exact after disarm()).
#pragma once

#include "agent/faults/fault.h"

namespace faultline::agent {

// Call in the host's network namespace. Errors: kUnsupported (no host-side device, more interfaces
// or filters than the kernel side has room for), else what the kernel said.
Result<std::unique_ptr<ArmedFault>> arm_network_latency(const api::Fault& fault, const Pod& pod,
                                                        const ArmContext& context);

extern const FaultType kNetworkLatency;

}  // namespace faultline::agent
