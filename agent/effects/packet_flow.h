// SPDX-License-Identifier: Apache-2.0
// net.packets and net.bytes {direction}, tcp.resets, and request.latency, request.rate and
// request.errors {side, port} by the turnaround of packets: see bpf/effects/packet_flow.bpf.c for
// where each is seen. TCP only; no protocol is parsed, so a TLS handshake counts as a request, and
// a connection with several requests under way at once is seen as one request at a time. What a
// pod says to itself over loopback is not seen.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "agent/effects/effect.h"

namespace faultline::agent {

// Starts measuring `pod`. Errors: kUnsupported where tc or the pod's own interface is missing.
[[nodiscard]] Result<std::unique_ptr<Collector>> start_packet_flow(const Pod& pod,
                                                                   const CollectContext& context);

// The TCP ports that listen in the calling thread's network namespace, from the text of
// /proc/net/tcp or tcp6.
[[nodiscard]] std::vector<std::uint16_t> listening_ports(std::istream& proc_net_tcp);

}  // namespace faultline::agent
