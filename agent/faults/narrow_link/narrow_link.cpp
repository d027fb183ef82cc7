// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/narrow_link/narrow_link.h"

#include <algorithm>

namespace faultline::agent {
namespace {

constexpr std::uint64_t kFrame = 1514;  // Ethernet, with header
constexpr std::uint64_t kLeastBurst = 2 * kFrame;
constexpr std::uint64_t kLeastQueue = 32 << 10;
constexpr std::uint64_t kMs = 1'000'000;  // ns

// Of a bucket of any size, without overflow.
std::uint64_t time_of(std::uint64_t bytes, std::uint64_t bits_per_second) {
  const double ns = static_cast<double>(bytes) * 8e9 / static_cast<double>(bits_per_second);
  constexpr double kLongest = 3600e9;  // a bucket of an hour is none that anybody empties
  return static_cast<std::uint64_t>(std::min(ns, kLongest));
}

}  // namespace

fl_link_config link_config(const api::NetworkBandwidth& spec) {
  fl_link_config link{};
  link.bits_per_second = std::max<std::uint64_t>(1, spec.rate.bits_per_second);
  link.burst_ns = spec.burst.bytes > 0
                      ? time_of(spec.burst.bytes, link.bits_per_second)
                      : std::max<std::uint64_t>(kMs, fl_link_ns(kLeastBurst, link.bits_per_second));
  link.queue_ns = std::max<std::uint64_t>(100 * kMs, fl_link_ns(kLeastQueue, link.bits_per_second));
  return link;
}

std::uint32_t link_packets(const api::NetworkBandwidth& spec) {
  return spec.rate.bits_per_second < kCutBelow ? FL_PACKETS_CUT : FL_PACKETS_WHOLE;
}

std::size_t link_queue_bytes(const fl_link_config& link) {
  return static_cast<std::size_t>(static_cast<double>(link.queue_ns) * 1e-9 *
                                  static_cast<double>(link.bits_per_second) / 8);
}

std::optional<Place> LinkRule::place(const Arrival& packet) {
  std::uint64_t& free = free_[packet.lane & 1];
  const fl_link_place got = fl_link_enter(&link_, free, packet.at.ns, packet.bytes);
  if (got.due == 0) return std::nullopt;
  const bool behind = free > packet.at.ns;
  free = got.free;
  return Place{.due = {got.due}, .waits = got.due > packet.at.ns, .behind = behind};
}

}  // namespace faultline::agent
