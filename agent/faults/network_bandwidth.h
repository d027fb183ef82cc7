// SPDX-License-Identifier: Apache-2.0
// networkBandwidth: packets that match share one narrow link a direction, with a queue and a bucket
// for bursts (docs/decisions/0013-bandwidth.md). They are taken and wait as networkLatency's do, by
// "edt" or "delay-line", with the same scope.
//
// Counters: matched is every packet of the link, injected those that had to wait or were dropped
// because the queue was full (link.dropped: that is what a narrow link does, not a loss of ours);
// lost and errors are as networkLatency's. added_latency is the time in the queue of those that
// waited. Below kCutBelow packets are what goes over a wire; above, a GSO packet is one.
#pragma once

#include "agent/faults/fault.h"

namespace faultline::agent {

extern const FaultType kNetworkBandwidth;

}  // namespace faultline::agent
