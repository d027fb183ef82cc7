// SPDX-License-Identifier: Apache-2.0
// The thread behind one delay line: takes packets from the TAP, holds each for as long as a rule
// says, counted from when it reached the hook in the kernel, and gives it back.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>

#include "agent/faults/delay_line/delay_queue.h"
#include "agent/faults/delay_line/held_slots.h"
#include "agent/faults/delay_line/hold_rule.h"
#include "agent/faults/delay_line/packet_arena.h"
#include "agent/faults/delay_line/tap_device.h"
#include "api/histogram.h"
#include "base/clock.h"
#include "base/result.h"
#include "fault_abi.h"

namespace faultline::agent {

// Totals since start().
struct DelayLineStats {
  std::uint64_t read = 0;          // packets of ours taken from the TAP
  std::uint64_t foreign = 0;       // others, thrown away: nobody has business on our TAP
  std::uint64_t written = 0;       // given back
  std::uint64_t read_errors = 0;   // the kernel could not hand a packet over: it is lost
  std::uint64_t write_errors = 0;  // the kernel did not take a packet back: it is lost
  std::uint64_t dropped = 0;       // by the rule
  std::uint64_t waited = 0;        // had to wait (and have left), by the rule
  std::uint64_t flushed = 0;       // of these: left early, because the fault had ended
  // Of those that had to wait behind another one: their bytes, and the time from the departure
  // before to theirs.
  std::uint64_t behind_bytes = 0, behind_ns = 0;
  KtimeNs first_hit, last_hit;  // arrival of the first that was held or dropped; last departure of
                                // one that waited, or drop
};

// Owned and called by one thread; the worker it runs touches only the TAP and its own members,
// and the counters are atomics, so stats() and added_latency() may be called at any time.
class DelayWorker {
 public:
  struct Options {
    std::uint64_t cookie = 0;    // fl_delay_label::cookie of our hook
    HeldSlots* slots = nullptr;  // of our hook, as long as we run
    fl_lease* lease = nullptr;   // mapped as long as we run; only read
    __u64* alive_ns = nullptr;   // fl_delay_alive_ns of our hook, likewise; only written
    std::size_t most_bytes = 0;  // of packets held
  };
  // On disarm and when the lease ends, what is held leaves at the pace it came: a burst would
  // overflow the receiver's buffer, and that loss would be ours. What would take longer than this
  // leaves within this time, in order, as much faster (explain() says so).
  static constexpr std::chrono::milliseconds kFlush{1000};

  DelayWorker(const TapDevice& tap, std::unique_ptr<HoldRule> rule, Options options);
  DelayWorker(const DelayWorker&) = delete;
  DelayWorker& operator=(const DelayWorker&) = delete;
  ~DelayWorker();  // stop()

  Result<> start();
  // The hook takes no more packets: what is in the TAP or held leaves within kFlush from now.
  void flush();
  // Nothing is held. What is still in the TAP only the kernel's counters know.
  [[nodiscard]] bool idle() const { return held_.load(std::memory_order_acquire) == 0; }
  // Ends the thread. A packet still held is lost.
  void stop();

  [[nodiscard]] DelayLineStats stats() const;
  [[nodiscard]] api::Histogram added_latency() const;

 private:
  using Counter = std::atomic<std::uint64_t>;

  void run();
  std::size_t read_some();
  void accept(std::byte* bytes, std::size_t size);
  std::size_t release_due();
  void write_back(const HeldPacket& packet);
  void depart(const HeldPacket& packet, KtimeNs now);
  void hit(KtimeNs at);
  void begin_flush(KtimeNs now);
  void wait();
  void tell_alive(KtimeNs now);
  [[nodiscard]] std::uint64_t lease() const {
    return std::atomic_ref(options_.lease->deadline_ns).load(std::memory_order_relaxed);
  }

  const TapDevice& tap_;
  const Options options_;
  std::unique_ptr<HoldRule> rule_;
  PacketArena arena_;
  DelayQueue queue_;
  std::array<KtimeNs, 2> last_out_{};  // by direction: departure of the last that waited
  KtimeNs flush_until_;                // while flushing: new packets are due then
  bool full_ = false;                  // no memory for one more packet
  bool behind_ = false;                // packets are read long after they came
  std::uint64_t in_a_row_ = 0;         // packets read since the TAP was empty
  const std::uint64_t unread_;         // ns a packet may wait in the TAP without being late
  KtimeNs drained_;                    // the TAP was empty then

  std::thread thread_;
  int wake_ = -1;  // eventfd
  std::atomic<bool> flushing_{false}, stop_{false};
  Counter read_{0}, foreign_{0}, written_{0}, read_errors_{0}, write_errors_{0};
  Counter dropped_{0}, waited_{0}, flushed_{0}, behind_bytes_{0}, behind_ns_{0}, first_hit_{0},
      last_hit_{0};
  Counter held_{0}, sum_ns_{0}, max_ns_{0};
  std::array<Counter, FL_HIST_BUCKETS> buckets_{};
};

}  // namespace faultline::agent
