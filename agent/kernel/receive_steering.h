// SPDX-License-Identifier: Apache-2.0
// Receive packet steering (RPS) of a device.
#pragma once

#include <string>
#include <utility>

#include "agent/kernel/fd.h"
#include "base/result.h"

namespace faultline::agent {

// What a device receives is handled, while this lives, by the CPU that the packet's hash chooses,
// so that packets of one hash stay in order whichever CPUs they come from. One whose hash is 0
// stays on the CPU that it came from. Let it go before the device: the kernel counts who steers,
// to spare all other devices of the node the question, and a device that goes with its setting
// stays counted until the next boot. Not thread-safe.
class ReceiveSteering {
 public:
  // `device`: of this thread's network namespace, with one receive queue. The CPUs are those that
  // this process may run on now, so that those which a node keeps for some of its pods are left
  // alone. Errors: kUnsupported when the kernel has no RPS, else what it said (fsopen, which it
  // takes, came with Linux 5.2).
  static Result<ReceiveSteering> of(const std::string& device);
  ReceiveSteering() = default;  // steers nothing
  ReceiveSteering(ReceiveSteering&&) noexcept = default;
  ReceiveSteering& operator=(ReceiveSteering&&) noexcept;
  ~ReceiveSteering();

 private:
  explicit ReceiveSteering(Fd setting) : setting_(std::move(setting)) {}
  void end();
  Fd setting_;
};

}  // namespace faultline::agent
