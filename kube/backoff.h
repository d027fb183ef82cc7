// SPDX-License-Identifier: Apache-2.0
// How long to wait before the next try. Not thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

namespace faultline::kube {

struct BackoffOptions {
  std::chrono::milliseconds first{500};
  std::chrono::milliseconds longest{30'000};
};

// Twice as long each time, up to `longest`; of that between half and all, by chance, so that a
// thousand agents do not come back to an API server in the same moment.
class Backoff {
 public:
  Backoff(BackoffOptions options, std::uint64_t seed) : options_(options), random_(seed) {}

  [[nodiscard]] std::chrono::milliseconds next() {
    using std::chrono::milliseconds;
    current_ = current_.count() == 0 ? options_.first : std::min(current_ * 2, options_.longest);
    std::uniform_int_distribution<milliseconds::rep> part(current_.count() / 2, current_.count());
    return milliseconds(part(random_));
  }
  void reset() { current_ = std::chrono::milliseconds(0); }

 private:
  BackoffOptions options_;
  std::mt19937_64 random_;
  std::chrono::milliseconds current_{0};
};

}  // namespace faultline::kube
