// SPDX-License-Identifier: Apache-2.0
// What the shim of shim.cpp is told, in memory that it and kills share.
#pragma once

#include <atomic>
#include <cstdint>

namespace faultline::kills {

struct ShimControl {
  std::atomic<std::int64_t> clock_seconds{0};  // added to the wall clock
  std::atomic<bool> store_fails{false};        // writes and syncs of store.db* end with EIO
  std::atomic<std::uint64_t> failed{0};        // how many did
};

}  // namespace faultline::kills
