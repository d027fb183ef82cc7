// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/delay_line/held_slots.h"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <utility>

namespace faultline::agent {

Result<HeldSlots> HeldSlots::map(int map, std::uint32_t slots) {
  void* at = ::mmap(nullptr, std::size_t{slots} * sizeof(fl_delay_slot), PROT_READ | PROT_WRITE,
                    MAP_SHARED, map, 0);
  if (at == MAP_FAILED) return fail(from_errno(errno, "map the table of packets that wait"));
  HeldSlots held;
  held.slots_ = static_cast<fl_delay_slot*>(at);
  held.count_ = slots;
  return held;
}

HeldSlots::HeldSlots(HeldSlots&& other) noexcept
    : slots_(std::exchange(other.slots_, nullptr)), count_(std::exchange(other.count_, 0)) {}

HeldSlots& HeldSlots::operator=(HeldSlots&& other) noexcept {
  std::swap(slots_, other.slots_);
  std::swap(count_, other.count_);
  return *this;
}

HeldSlots::~HeldSlots() {
  if (slots_ != nullptr) ::munmap(slots_, std::size_t{count_} * sizeof(fl_delay_slot));
}

fl_delay_slot* HeldSlots::of(std::uint32_t number) const {
  if (count_ == 0) return nullptr;
  fl_delay_slot& slot = slots_[number & (count_ - 1)];
  return slot.number == number ? &slot : nullptr;
}

void HeldSlots::put(fl_delay_slot& slot) {
  // Zero where a GSO packet was cut into more parts than the hook expected.
  std::atomic_ref parts(slot.parts);
  if (parts.load() > 0) parts.fetch_sub(1);
}

}  // namespace faultline::agent
