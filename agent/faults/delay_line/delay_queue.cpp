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

KtimeNs DelayQueue::hurry(KtimeNs now, std::chrono::nanoseconds within) {
  if (empty()) return now;
  KtimeNs last{};
  if (!line_.empty()) last = line_.back().due;
  for (const HeldPacket& packet : heap_) last = std::max(last, packet.due);
  const KtimeNs first = std::max(next_due(), now);
  const auto span = static_cast<double>(last.ns - std::min(last.ns, first.ns));
  const auto most = static_cast<double>(within.count());
  const double scale = span > most ? most / span : 1;
  // Monotone, so that neither the line nor the heap needs sorting anew.
  const auto sooner = [&](KtimeNs due) {
    if (due <= now) return due;
    const auto behind = static_cast<double>(due.ns - std::min(due.ns, first.ns));
    return KtimeNs{now.ns + static_cast<std::uint64_t>(behind * scale)};
  };
  for (HeldPacket& packet : line_) packet.due = sooner(packet.due);
  for (HeldPacket& packet : heap_) packet.due = sooner(packet.due);
  return std::max(now, sooner(last));
}

}  // namespace faultline::agent
