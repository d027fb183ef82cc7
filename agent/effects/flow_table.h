// SPDX-License-Identifier: Apache-2.0
// TCP connections that were there before packet_flow: who opened each, by the socket table of the
// pod's network namespace.
#pragma once

#include <cstdint>
#include <istream>
#include <string>
#include <vector>

#include "base/result.h"
#include "flow_abi.h"

namespace faultline::agent {

struct FlowSocket {
  fl_flow_key key{};     // as the packets of the connection show it
  bool listens = false;  // then only key.pod_port is set
};

// The listening and the established sockets in the text of /proc/net/tcp or tcp6.
[[nodiscard]] std::vector<FlowSocket> flow_sockets(std::istream& proc_net_tcp);

struct OlderConnection {
  fl_flow_key key{};
  std::uint32_t side = FL_FLOW_NO_SIDE;
};

// A connection on a port that listens was accepted, each other was opened by the pod. The port of
// a redirected connection on the wire is not the one in the table: such a connection is not found.
[[nodiscard]] std::vector<OlderConnection> older_connections(
    const std::vector<FlowSocket>& sockets);

// Of the namespace. Errors: as ScopedNetns::enter().
[[nodiscard]] Result<std::vector<OlderConnection>> older_connections_in(
    const std::string& netns_path);

}  // namespace faultline::agent
