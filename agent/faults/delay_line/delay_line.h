// SPDX-License-Identifier: Apache-2.0
// The delay line on one pod: TAP, BPF programs and their links, worker. Packets are taken from
// open() on, as long as the lease runs; destroyed, they no longer are and nothing is left. Used
// from one thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/faults/delay_line/delay_worker.h"
#include "agent/faults/delay_line/tap_device.h"
#include "agent/kernel/ids.h"
#include "agent/kernel/peer_sets.h"
#include "agent/kernel/tc.h"
#include "api/fault.h"
#include "base/clock.h"
#include "base/result.h"

namespace faultline::agent {

// Packets; added latency is DelayLine::added_latency().
struct DelayLineCounters {
  std::uint64_t matched = 0;
  std::uint64_t injected = 0;  // chosen by the dice
  std::uint64_t taken = 0;     // into the line: these, and those that follow them in order
  std::uint64_t returned = 0;  // given back and past the hook
  std::uint64_t errors = 0;    // could not be taken: passed without delay
  std::uint64_t stalled = 0;   // passed at once: the worker was stopped, late or full
  std::uint64_t lost = 0;
  DelayLineStats worker;  // dropped, waited, and when
  KtimeNs first, last;    // first taken, last returned
  // Taken, and known not to be in the line any more.
  [[nodiscard]] std::uint64_t gone() const { return returned + lost + worker.dropped; }
};

struct DelayLineOrder {
  const api::NetworkFilter& filter;  // with its direction
  api::Probability share{1.0};       // of the matching packets, that is taken
  std::unique_ptr<HoldRule> rule;
  std::size_t most_bytes;                   // held at once
  std::chrono::nanoseconds usual, longest;  // a packet waits (delay_slots.h)
  std::uint32_t packets;                    // FL_PACKETS_*
  // Host-side devices of the pod's interfaces, 1 .. FL_DELAY_MAX_DEVICES, in this thread's network
  // namespace.
  const std::vector<IfIndex>& devices;
  const PeerSets& peers;
  std::uint64_t seed;
  KtimeNs deadline;
  TcMeans means;
};

class DelayLine {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{256} << 20;  // held by one line

  static Result<std::unique_ptr<DelayLine>> open(DelayLineOrder order);
  DelayLine(const DelayLine&) = delete;
  DelayLine& operator=(const DelayLine&) = delete;
  ~DelayLine();

  void renew(KtimeNs deadline);
  // As ArmedFault::follow().
  Result<> follow(const PeerSets& peers);
  // Takes no more packets; gives back those it has within DelayWorker::kFlush (longer only if there
  // are more than can be written in that time); then detaches. Errors: packets that did not come
  // back, with their number. Counters stay readable.
  Result<> close();
  [[nodiscard]] Result<DelayLineCounters> counters() const;
  [[nodiscard]] api::Histogram added_latency() const;

 private:
  struct Programs;  // the skeleton, whose header is big

  explicit DelayLine(TapDevice tap);
  Result<> load(const DelayLineOrder& order);
  Result<> attach(const DelayLineOrder& order);
  void detach();
  [[nodiscard]] Result<DelayLineCounters> wait_for_returns() const;
  [[nodiscard]] Result<DelayLineCounters> wait_until_quiet(
      Result<DelayLineCounters> counters) const;
  [[nodiscard]] Result<DelayLineCounters> read_kernel() const;

  // In this order: links go first, then the worker, then programs and TAP.
  TapDevice tap_;
  HeldSlots slots_;
  std::unique_ptr<Programs> programs_;
  std::unique_ptr<DelayWorker> worker_;
  std::vector<Link> links_;  // of the TAP first
  bool closed_ = false;
  DelayLineCounters last_counters_;  // when closed
};

}  // namespace faultline::agent
