// SPDX-License-Identifier: Apache-2.0
// socketError by cgroup hooks ("cgroup"): socket, bind, connect, sendmsg of unconnected UDP,
// setsockopt and getsockopt of IPv4 and IPv6 sockets fail with the asked errno. The kernel goes by
// the cgroup in which a socket was made: a process that joins the pod later is covered, with the
// sockets that it makes then.
//
// Filters: protocol for all; ports and podPorts for bind (the port that is asked for); ports,
// podPorts (of a bound socket), peerPorts, cidrs and peer for connect and sendmsg. A filter that an
// asked operation cannot see is refused: ignoring it would hit what it was meant to spare.
#pragma once

#include "agent/faults/fault.h"

namespace faultline::agent {

extern const FaultType kSocketError;

}  // namespace faultline::agent
