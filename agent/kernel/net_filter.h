// SPDX-License-Identifier: Apache-2.0
// NetworkFilter of the language as the kernel compares it.
#pragma once

#include <string>
#include <vector>

#include "api/fault.h"
#include "base/result.h"
#include "fault_abi.h"

namespace faultline::agent {

// `peer_addresses`: what `filter.peer` was resolved to; looked at only when it is set. A peer must
// be in one of `cidrs` too when both are given. `direction` is not part of it: it chooses the
// hooks. Errors: kNotFound when nobody could ever match (no peer address), kInvalid for more ports
// or networks than FL_MAX_PORTS, FL_MAX_CIDRS.
Result<fl_net_filter> make_filter(const api::NetworkFilter& filter,
                                  const std::vector<std::string>& peer_addresses);

}  // namespace faultline::agent
