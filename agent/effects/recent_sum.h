// SPDX-License-Identifier: Apache-2.0
// How much there was lately: a map that forgets whom it uses least is filled by what begins within
// the time that a request may wait, not by what begins within one window.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace faultline::agent {

// Takes one number a window. Not thread-safe.
class RecentSum {
 public:
  // A window is about a second, and a request that has waited for a minute counts as unanswered
  // (FL_FLOW_UNANSWERED_NS, FL_PLAIN_UNANSWERED_NS). Where windows are cut earlier, as with the
  // phases of a run, these are a little less than a minute.
  static constexpr std::size_t kWindows = 60;

  // The number of the window that ends now. Returns the sum of the last kWindows, with this one.
  std::uint64_t add(std::uint64_t number) {
    sum_ += number;
    sum_ -= std::exchange(numbers_[next_], number);
    next_ = (next_ + 1) % kWindows;
    return sum_;
  }

 private:
  std::array<std::uint64_t, kWindows> numbers_{};
  std::size_t next_ = 0;
  std::uint64_t sum_ = 0;
};

}  // namespace faultline::agent
