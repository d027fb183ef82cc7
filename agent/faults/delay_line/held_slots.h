// SPDX-License-Identifier: Apache-2.0
// The slots of a delay line's packets, as its hook wrote them (bpf/include/delay_abi.h), mapped
// into this process.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "delay_abi.h"

namespace faultline::agent {

// Not thread-safe; the kernel's side reads and writes beside it.
class HeldSlots {
 public:
  // `map`: an mmapable array of `slots` (a power of two) fl_delay_slot. Errors: what the kernel
  // said.
  static Result<HeldSlots> map(int map, std::uint32_t slots);
  HeldSlots() = default;
  HeldSlots(HeldSlots&& other) noexcept;
  HeldSlots& operator=(HeldSlots&& other) noexcept;
  ~HeldSlots();

  // Of the packet with this number; nullptr: somebody else has its slot.
  [[nodiscard]] fl_delay_slot* of(std::uint32_t number) const;
  // The packet was dropped here: one part less to come back.
  static void put(fl_delay_slot& slot);

 private:
  fl_delay_slot* slots_ = nullptr;
  std::uint32_t count_ = 0;
};

}  // namespace faultline::agent
