// SPDX-License-Identifier: Apache-2.0
// Packets by the time they are due, first come first out among equals, and the rule that packets of
// one flow keep their order. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <vector>

#include "agent/faults/delay_line/packet_arena.h"
#include "base/clock.h"

namespace faultline::agent {

struct HeldPacket {
  KtimeNs due;
  std::uint64_t order = 0;  // given by DelayQueue::push()
  KtimeNs arrived;
  std::byte* bytes = nullptr;
  PacketArena::Chunk* chunk = nullptr;
  std::uint32_t size = 0;
  std::uint32_t wire = 0;  // Arrival::bytes
  std::uint32_t lane = 0;
  bool waits = true;  // Place
  bool behind = false;
};

// Without jitter every packet is due behind the one before it, so a plain line holds them; only
// those due before the end of the line go to a heap.
class DelayQueue {
 public:
  void push(HeldPacket packet);
  [[nodiscard]] bool empty() const { return line_.empty() && heap_.empty(); }
  [[nodiscard]] std::size_t size() const { return line_.size() + heap_.size(); }
  // Of the packet that leaves next. Not when empty().
  [[nodiscard]] KtimeNs next_due() const { return first().due; }
  HeldPacket pop();
  // The next packet is to leave `now`, and the others behind it at the pace at which they were due,
  // but all by `now` + `within`: then times between them are shortened in proportion. What is due
  // already stays as it is. Returns when the last one is due.
  KtimeNs hurry(KtimeNs now, std::chrono::nanoseconds within);

 private:
  static bool later(const HeldPacket& a, const HeldPacket& b) {
    return a.due != b.due ? a.due > b.due : a.order > b.order;
  }
  [[nodiscard]] bool line_first() const {
    return heap_.empty() || (!line_.empty() && !later(line_.front(), heap_.front()));
  }
  [[nodiscard]] const HeldPacket& first() const {
    return line_first() ? line_.front() : heap_.front();
  }

  std::deque<HeldPacket> line_;
  std::vector<HeldPacket> heap_;
  std::uint64_t pushed_ = 0;
};

// due = max(due, last due of the flow). Flows share kSlots slots by hash, so memory is fixed; two
// that meet in one keep order between them too, which lengthens some delays and breaks none.
class FlowOrder {
 public:
  static constexpr std::size_t kSlots = 1 << 16;
  FlowOrder() : last_(kSlots) {}
  KtimeNs in_order(std::uint32_t flow, KtimeNs due) {
    KtimeNs& last = last_[flow % kSlots];
    if (last < due) last = due;
    return last;
  }
  // After hurry(): dues of the past bind nobody.
  void forget() { last_.assign(kSlots, KtimeNs{}); }

 private:
  std::vector<KtimeNs> last_;
};

}  // namespace faultline::agent
