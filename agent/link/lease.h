// SPDX-License-Identifier: Apache-2.0
// How long a run may inject without another word of the controller. A value type.
//
// An answer proves that the controller wanted the run when it answered, which was after the request
// was sent and before the answer arrived. Only the time of sending is known to be before it, so a
// lease counts from there: what the network or a stopped process delayed is never added to it.
//
// A fault phase has an end as well, which no answer moves away, whoever leads then: end_by() keeps
// the earliest that was ever told, and the lease is never longer. Both are on the clock that BPF
// programs read, which no step of the wall clock moves.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/clock.h"

namespace faultline::agent {

// The same moment as BPF programs see it.
[[nodiscard]] inline KtimeNs ktime_of(SteadyTime t) {
  return {static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count())};
}

// When an answer was under way, by the steady clock.
struct AnswerTimes {
  SteadyTime sent;     // its request
  SteadyTime arrived;  // itself; what is to be done with it may have waited since
};

class Lease {
 public:
  // An answer to a request that was sent at `sent` holds the run. It may be so old that the lease
  // is over at once. Never moves the deadline back: answers may overtake each other.
  void renew(SteadyTime sent, double seconds) {
    length_ = length_of(seconds);
    deadline_ = std::max(deadline_, sent + length_);
  }
  // The phase is over at `end` at the latest.
  void end_by(SteadyTime end) { end_ = std::min(end_, end); }
  // The clock stood still for so long, and time went on.
  void slept(std::chrono::nanoseconds time) {
    deadline_ -= time;
    if (end_ != SteadyTime::max()) end_ -= time;
  }
  // It is over, and was so no later than the lease.
  [[nodiscard]] bool ended(SteadyTime now) const { return now >= end_ && end_ <= deadline_; }
  [[nodiscard]] bool valid(SteadyTime now) const { return now < deadline(); }
  // Enough of it is left to arm a fault, which takes a while, and to ask for the next answer.
  [[nodiscard]] bool fresh(SteadyTime now) const { return now + length_ / 2 < deadline_; }
  [[nodiscard]] SteadyTime deadline() const { return std::min(deadline_, end_); }
  [[nodiscard]] std::chrono::nanoseconds length() const { return length_; }
  [[nodiscard]] KtimeNs kernel_deadline() const { return ktime_of(deadline()); }

  // Of a lease that an answer gives so many seconds.
  [[nodiscard]] static std::chrono::nanoseconds length_of(double seconds) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(std::clamp(seconds, 0.0, kLongest)));
  }

  static constexpr double kLongest = 3600;  // seconds; a controller that asks for more errs

 private:
  SteadyTime deadline_{};
  SteadyTime end_ = SteadyTime::max();
  std::chrono::nanoseconds length_{0};
};

}  // namespace faultline::agent
