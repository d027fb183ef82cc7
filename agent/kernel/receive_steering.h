// SPDX-License-Identifier: Apache-2.0
// Receive packet steering (RPS) of a device.
#pragma once

#include <string>

#include "base/result.h"

namespace faultline::agent {

// What the device receives is handled from now on by the CPU that the packet's hash chooses, so
// that packets of one hash stay in order whichever CPUs they come from. One whose hash is 0 stays
// on the CPU that it came from. `device`: of this thread's network namespace, with one receive
// queue. The CPUs are those that this process may run on now, so that those which a node keeps for
// some of its pods are left alone; the setting goes with the device. Errors: kUnsupported when the
// kernel has no RPS, else what it said (fsopen, which it takes, came with Linux 5.2).
Result<> steer_received(const std::string& device);

}  // namespace faultline::agent
