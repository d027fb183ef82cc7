// SPDX-License-Identifier: Apache-2.0
// socketError: socket calls on IPv4 and IPv6 sockets fail with the asked errno. One rung an
// operation, named in the mechanism:
//
//   cgroup  socket, bind, connect, setsockopt, getsockopt; and sendmsg of unconnected UDP where
//           there is no lsm. The kernel goes by the cgroup in which a socket was made: a process
//           that joins the pod later is covered, with the sockets that it makes then
//   lsm     listen, accept, recvmsg and sendmsg of any socket, by security hooks (LSM programs, or
//           fmod_ret on security_*): read, write and io_uring come by there too. By the task that
//           calls, whoever made the socket
//
// Filters: protocol for all; ports and podPorts for bind (the port that is asked for), listen and
// accept; ports, podPorts (of a bound socket), peerPorts, cidrs and peer for connect, sendmsg and
// recvmsg (the peer of a connected socket, and of a datagram that is sent). A filter that an asked
// operation cannot see is refused: ignoring it would hit what it was meant to spare.
#pragma once

#include "agent/faults/fault.h"

namespace faultline::agent {

extern const FaultType kSocketError;

}  // namespace faultline::agent
