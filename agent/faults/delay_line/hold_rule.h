// SPDX-License-Identifier: Apache-2.0
// What the delay line asks for each packet: when does it go on, if at all?
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "agent/faults/delay_line/delay_model.h"
#include "agent/faults/delay_line/delay_queue.h"
#include "base/clock.h"

namespace faultline::agent {

struct Arrival {
  KtimeNs at;
  std::uint32_t flow = 0;   // fl_delay_slot::flow
  std::uint32_t lane = 0;   // fl_delay_slot::lane
  std::uint32_t bytes = 0;  // on a wire, with link-layer header
  bool spared = false;      // FL_DELAY_SPARED: it goes on at once, but not before its flow
};

struct Place {
  KtimeNs due;
  bool waits = true;    // else it goes on at once and is no injected event
  bool behind = false;  // another one that waits was before it, on the same link
};

// Called by the worker's thread only.
class HoldRule {
 public:
  virtual ~HoldRule() = default;
  // Of the next packet; empty: it is dropped.
  virtual std::optional<Place> place(const Arrival& packet) = 0;
  // What is held leaves now, whatever it was told.
  virtual void forget() = 0;
  // No packet waits shorter.
  [[nodiscard]] virtual std::chrono::nanoseconds low() const = 0;
};

// networkLatency: as DelayModel says, and packets of a flow in order.
class LatencyRule final : public HoldRule {
 public:
  explicit LatencyRule(DelayModel model) : model_(model) {}
  std::optional<Place> place(const Arrival& packet) override {
    if (packet.spared) return Place{.due = order_.in_order(packet.flow, packet.at), .waits = false};
    const KtimeNs due{packet.at.ns + static_cast<std::uint64_t>(model_.next().count())};
    return Place{.due = order_.in_order(packet.flow, due)};
  }
  void forget() override { order_.forget(); }
  [[nodiscard]] std::chrono::nanoseconds low() const override { return model_.low(); }

 private:
  DelayModel model_;
  FlowOrder order_;
};

}  // namespace faultline::agent
