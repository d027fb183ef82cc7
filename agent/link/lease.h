// SPDX-License-Identifier: Apache-2.0
// How long a run may inject without another word of the controller. A value type.
//
// An answer proves that the controller wanted the run when it answered, which was after the request
// was sent and before the answer arrived. Only the time of sending is known to be before it, so a
// lease counts from there: what the network or a stopped process delayed is never added to it.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/clock.h"

namespace faultline::agent {

class Lease {
 public:
  // An answer to a request that was sent at `sent` holds the run. It may be so old that the lease
  // is over at once. Never moves the deadline back: answers may overtake each other.
  void renew(SteadyTime sent, double seconds) {
    length_ = std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(std::clamp(seconds, 0.0, kLongest)));
    deadline_ = std::max(deadline_, sent + length_);
  }
  [[nodiscard]] bool valid(SteadyTime now) const { return now < deadline_; }
  [[nodiscard]] SteadyTime deadline() const { return deadline_; }
  [[nodiscard]] std::chrono::nanoseconds length() const { return length_; }
  // As BPF programs see it.
  [[nodiscard]] KtimeNs kernel_deadline() const {
    return {static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(deadline_.time_since_epoch())
            .count())};
  }

  static constexpr double kLongest = 3600;  // seconds; a controller that asks for more errs

 private:
  SteadyTime deadline_{};
  std::chrono::nanoseconds length_{0};
};

}  // namespace faultline::agent
