// SPDX-License-Identifier: Apache-2.0
// How far an agent's clock is from ours. The agent measures it with each exchange as NTP does and
// sends it with the next (SyncRequest::clockOffset); the exchange with the shortest round trip
// knows it best (RFC 5905, section 10, the clock filter). Pure, not thread-safe.
#pragma once

#include <deque>

#include "api/sync.h"
#include "base/clock.h"

namespace faultline::controller {

// Now, on both clocks of the controller.
struct Instant {
  SteadyTime steady;
  UtcTime utc;
};

// Agent minus controller, and how wrong that can be; seconds.
struct ClockOffset {
  double offset = 0;
  double uncertainty = 0;
  // An offset that cannot be told from zero is not worth moving timestamps for.
  [[nodiscard]] double applied() const {
    return offset > uncertainty || offset < -uncertainty ? offset : 0;
  }
  // Both can be true at the same time. 5 ms: a clock that is being slewed.
  [[nodiscard]] bool agrees(const ClockOffset& other) const {
    const double apart = offset > other.offset ? offset - other.offset : other.offset - offset;
    return apart <= uncertainty + other.uncertainty + 0.005;
  }
};

class ClockEstimate {
 public:
  void add(const api::SyncRequest& request, Instant received);
  // Of an agent that measures nothing, only that its clock is not ahead by more than the request
  // was under way is known: kAssumedDelay is taken for that.
  [[nodiscard]] ClockOffset best(SteadyTime now) const;

  static constexpr double kAssumedDelay = 0.25;  // seconds

 private:
  struct Sample {
    SteadyTime at;
    ClockOffset offset;  // with half the round trip as uncertainty
  };
  std::deque<Sample> samples_;  // of the last minute
  double ahead_ = 0;            // newest sentAt - receivedAt, seconds
};

// Moves every timestamp of a batch from the agent's clock to ours; those that say "never" stay.
void to_our_clock(api::RunBatch& batch, double offset);

}  // namespace faultline::controller
