// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "fault_abi.h"

namespace faultline::agent {

// Each armed latency of this process marks its packets with its own mark, so that two on one device
// do not take each other's for their own. fl_mark_is_pass() holds for all of them. Thread-safe.
inline std::uint32_t next_pass_mark() {
  static std::atomic<std::uint32_t> last{0};
  return (FL_MARK_PASS & ~0xfffu) |
         (1 + (last.fetch_add(1) + static_cast<std::uint32_t>(::getpid())) % 4095);
}

}  // namespace faultline::agent
