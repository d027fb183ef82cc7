// SPDX-License-Identifier: Apache-2.0
// networkLoss by tcx links ("tcx") or clsact filters ("clsact"): independent, correlated, or
// Gilbert-Elliott bursts. Packets are dropped at the hook that receives them, so that the sender's
// send() never fails.
//
// Out of scope, so never matched: what is neither IPv4 nor IPv6 (ARP), and IPv6 neighbour
// discovery. A GSO packet is one event: with TCP offloads a loss may take several segments at once.
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
