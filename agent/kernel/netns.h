// SPDX-License-Identifier: Apache-2.0
// Network namespaces.
#pragma once

#include <string>

#include "agent/kernel/fd.h"
#include "agent/kernel/ids.h"
#include "base/result.h"

namespace faultline::agent {

// The calling thread, and no other, is in the namespace while this lives. Must be destroyed on the
// thread that made it, in reverse order when nested. Sockets opened meanwhile stay in the
// namespace. If the way back fails the process aborts: going on would break another pod's network,
// or ours.
class ScopedNetns {
 public:
  // Errors: kNotFound when the file is gone, kDenied without CAP_SYS_ADMIN, kInvalid when it is no
  // network namespace.
  static Result<ScopedNetns> enter(const std::string& path);
  ScopedNetns(ScopedNetns&&) noexcept = default;
  ScopedNetns& operator=(ScopedNetns&&) = delete;
  ~ScopedNetns();

 private:
  explicit ScopedNetns(Fd home) : home_(std::move(home)) {}
  Fd home_;  // invalid: moved from
};

// Errors: as enter().
Result<NetnsId> netns_id(const std::string& path);
Result<Fd> open_netns(const std::string& path);

}  // namespace faultline::agent
