// SPDX-License-Identifier: Apache-2.0
// networkLoss by tcx links ("tcx") or clsact filters ("clsact"): independent, correlated, or
// Gilbert-Elliott bursts, of packets of the wire. Those that are lost end in silence, so that the
// sender's send() never fails; of a GSO packet single ones are lost
// (bpf/faults/network_loss.bpf.c, docs/decisions/0038-loss-by-wire-packet.md).
//
// Out of scope, so never matched: what is neither IPv4 nor IPv6 (ARP), and IPv6 neighbour
// discovery. A GSO packet that enters the pod past the device on the host's side
// (bpf_redirect_peer), or a pod that has none there, is lost whole.
#pragma once

#include "agent/faults/fault.h"
#include "fault_abi.h"

namespace faultline::agent {

// The chain of a burst. r = 1 / length; pi = (loss - goodLoss) / (badLoss - goodLoss), the share of
// packets in the bad state; p = r pi / (1 - pi), which makes pi the stationary share. When
// badLoss == loss every packet is in the bad state. Errors: kInvalid when p would be above 1
// (bursts so short cannot make a loss so high), with the least length that could.
Result<fl_loss_config> make_loss_config(const api::NetworkLoss& loss);

extern const FaultType kNetworkLoss;

}  // namespace faultline::agent
