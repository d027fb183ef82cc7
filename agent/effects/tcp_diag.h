// SPDX-License-Identifier: Apache-2.0
// TCP sockets of a network namespace as sock_diag tells them: sampled, at no cost to the traffic.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/kernel/ids.h"
#include "base/result.h"

namespace faultline::agent {

struct TcpDiagSocket {
  std::uint64_t cookie = 0;  // as bpf_get_socket_cookie()
  CgroupId cgroup{};         // in which the socket was made; 0: the kernel did not say (before 5.9)
  std::uint64_t bytes_acked = 0;
  std::uint32_t retransmits = 0;  // segments, all its life
};

enum class TcpDiagStates {
  kConnected,   // established, and closing with the peer
  kConnecting,  // SYN sent
};

// IPv4 and IPv6. Enters the namespace for the time it takes to open a socket, so call it on a
// thread that may (ScopedNetns). Takes about a microsecond a socket of the namespace. Errors: as
// ScopedNetns::enter(), or what the kernel answered.
Result<std::vector<TcpDiagSocket>> dump_tcp(const std::string& netns_path, TcpDiagStates states);

}  // namespace faultline::agent
