// SPDX-License-Identifier: Apache-2.0
// How long to wait after a failure: doubling, with jitter so that the agents of a cluster do not
// come back all at once. Not thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

namespace faultline::agent {

class Backoff {
 public:
  using Time = std::chrono::nanoseconds;
  explicit Backoff(std::uint64_t seed) : random_(seed) {}

  void success() { failures_ = 0; }
  // Half to all of 0.1 s, 0.2 s, 0.4 s ... up to `most`.
  [[nodiscard]] Time failure(Time most) {
    Time whole = kFirst;
    for (int i = 0; i < failures_ && whole < most; ++i) whole *= 2;
    ++failures_;
    whole = std::min(whole, most);
    return Time(
        std::uniform_int_distribution<Time::rep>(whole.count() / 2, whole.count())(random_));
  }
  [[nodiscard]] int failures() const { return failures_; }

  static constexpr Time kFirst = std::chrono::milliseconds(100);

 private:
  std::minstd_rand random_;
  int failures_ = 0;
};

}  // namespace faultline::agent
