// SPDX-License-Identifier: Apache-2.0
// socketError on security hooks. One program a hook serves all pods of the node.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/faults/fault.h"

namespace faultline::agent {

// The operations are among those that have a security hook: listen, accept, sendmsg, recvmsg. The
// kernel has such hooks (security_reason()). Errors: those of make_filter(), NodePrograms and Seat.
Result<std::unique_ptr<ArmedFault>> arm_at_socket_hooks(
    const api::SocketError& spec, const std::vector<api::SocketOperation>& operations,
    const Pod& pod, const ArmContext& context, std::string mechanism);

}  // namespace faultline::agent
