// SPDX-License-Identifier: Apache-2.0
// What packets that wait would hold at worst, asked before a fault is armed: where it does not fit,
// the fault is refused, since beyond its bound packets pass without delay.
#pragma once

#include <cstddef>

#include "agent/faults/fault.h"

namespace faultline::agent {

// By the traffic that the pod had before its faults, where it was measured and where the fault has
// no filter by which it may be meant for a part of it. `most_bytes`: what all waiting packets of
// this process may hold. Errors: kUnsupported, with the figures.
[[nodiscard]] Result<> fits(const api::NetworkLatency& spec,
                            const std::optional<PodTraffic>& before, std::size_t most_bytes);
// By the queue of its link.
[[nodiscard]] Result<> fits(const api::NetworkBandwidth& spec, std::size_t most_bytes);

}  // namespace faultline::agent
