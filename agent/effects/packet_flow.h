// SPDX-License-Identifier: Apache-2.0
// net.packets and net.bytes {direction}, tcp.resets, and request.* {side, port} by the turns that
// requests and answers take: see bpf/effects/packet_flow.bpf.c for where each is seen, and
// docs/decisions/0026-kinds-of-connection.md for what can be told of which protocol. TCP only.
// A connection whose requests cannot be told is a gap with its share. What a pod says to itself
// over loopback is not seen.
#pragma once

#include <memory>

#include "agent/effects/effect.h"

namespace faultline::agent {

// Starts measuring `pod`. Errors: kUnsupported where tc or the pod's own interface is missing.
[[nodiscard]] Result<std::unique_ptr<Collector>> start_packet_flow(const Pod& pod,
                                                                   const CollectContext& context);

}  // namespace faultline::agent
