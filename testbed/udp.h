// SPDX-License-Identifier: Apache-2.0
// Numbered datagrams from one socket to another: which of them arrived is what the receiver saw,
// not what any program of ours counted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/kernel/fd.h"

namespace faultline::testbed {

// UDP sockets of the calling thread's namespace; they stay in it. IPv4 or IPv6 by the address.
agent::Fd udp_receiver(const std::string& address, std::uint16_t port);
// Connected, so that errors come back to send(). source_port 0: any.
agent::Fd udp_sender(const std::string& address, std::uint16_t port, std::uint16_t source_port = 0);

struct Delivery {
  std::vector<bool> arrived;        // by number
  std::uint64_t send_failures = 0;  // send() that returned an error
  std::uint64_t overtaken = 0;      // datagrams that arrived after a later one
  [[nodiscard]] std::uint64_t lost() const;
  // Lengths of the runs of lost datagrams, in order.
  [[nodiscard]] std::vector<std::uint64_t> loss_runs() const;
};

// Sends `count` datagrams and receives at the same time; waits for stragglers. The receiver's
// buffer is large enough that nothing is lost there; it throws if the kernel says otherwise.
// `at_once`: datagrams that one send() hands over in one piece (UDP_SEGMENT); a rest goes alone.
Delivery send_numbered(const agent::Fd& sender, const agent::Fd& receiver, std::uint32_t count,
                       std::uint32_t at_once = 1);

}  // namespace faultline::testbed
