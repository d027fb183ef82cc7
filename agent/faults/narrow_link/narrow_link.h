// SPDX-License-Identifier: Apache-2.0
// The narrow link of networkBandwidth: what its words mean in numbers
// (docs/decisions/0013-bandwidth.md), and the link itself, as the delay line uses it. The
// arithmetic is bpf/include/link_abi.h.
#pragma once

#include <array>
#include <cstddef>

#include "agent/faults/delay_line/hold_rule.h"
#include "api/fault.h"
#include "link_abi.h"

namespace faultline::agent {

// Below this rate GSO packets are cut into what goes over a wire before they get their place: 64
// KiB in one piece take 5 ms at this rate, 65 s at the lowest.
inline constexpr std::uint64_t kCutBelow = 100'000'000;  // bit/s

// burst 0 is what the link sends in 1 ms, two full frames at least. The queue holds what the link
// sends in 100 ms, 32 KiB at least.
[[nodiscard]] fl_link_config link_config(const api::NetworkBandwidth& spec);
// FL_PACKETS_CUT or FL_PACKETS_WHOLE.
[[nodiscard]] std::uint32_t link_packets(const api::NetworkBandwidth& spec);
// Bytes that may wait in one direction's queue; the last packet comes on top.
[[nodiscard]] std::size_t link_queue_bytes(const fl_link_config& link);

// A link of its own each direction.
class LinkRule final : public HoldRule {
 public:
  explicit LinkRule(const fl_link_config& link) : link_(link) {}
  std::optional<Place> place(const Arrival& packet) override;
  void forget() override { free_ = {}; }
  [[nodiscard]] std::chrono::nanoseconds low() const override { return {}; }

 private:
  fl_link_config link_;
  std::array<std::uint64_t, 2> free_{};  // fl_link_place::free, by FL_DELAY_TO, FL_DELAY_FROM
};

}  // namespace faultline::agent
