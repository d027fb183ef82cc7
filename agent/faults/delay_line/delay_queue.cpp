// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/delay_line/delay_queue.h"

#include <algorithm>

namespace faultline::agent {

void DelayQueue::push(HeldPacket packet) {
  packet.order = pushed_++;
  if (line_.empty() || !later(line_.back(), packet)) {
    line_.push_back(packet);
  } else {
    heap_.push_back(packet);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
}

HeldPacket DelayQueue::pop() {
  HeldPacket packet;
  if (line_first()) {
    packet = line_.front();
    line_.pop_front();
  } else {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    packet = heap_.back();
    heap_.pop_back();
  }
  return packet;
}

void DelayQueue::hurry(KtimeNs now, std::chrono::nanoseconds within) {
  if (empty()) return;
  KtimeNs last{};
  if (!line_.empty()) last = line_.back().due;
  for (const HeldPacket& packet : heap_) last = std::max(last, packet.due);
  const auto most = static_cast<double>(within.count());
  if (last.ns <= now.ns + static_cast<std::uint64_t>(within.count())) return;
  const double shrink = most / static_cast<double>(last.ns - now.ns);
  // Monotone, so that neither the line nor the heap needs sorting anew.
  const auto sooner = [&](HeldPacket& packet) {
    if (packet.due > now)
      packet.due.ns =
          now.ns + static_cast<std::uint64_t>(static_cast<double>(packet.due.ns - now.ns) * shrink);
  };
  for (HeldPacket& packet : line_) sooner(packet);
  for (HeldPacket& packet : heap_) sooner(packet);
}

}  // namespace faultline::agent
