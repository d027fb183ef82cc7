// SPDX-License-Identifier: Apache-2.0
// How much there was lately: a map that forgets whom it uses least is filled by what begins while a
// request waits, not by what begins within one window.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace faultline::agent {

// Takes one number a window, which is about a second. Not thread-safe.
class RecentSum {
 public:
  // A request that has waited for a minute counts as unanswered (FL_FLOW_UNANSWERED_NS,
  // FL_PLAIN_UNANSWERED_NS).
  static constexpr std::size_t kWindows = 60;

  // Of the window that ends now.
  void add(std::uint64_t number) {
    numbers_[next_] = number;
    next_ = (next_ + 1) % kWindows;
  }
  // Of the last windows, kWindows at most.
  [[nodiscard]] std::uint64_t of_last(std::size_t windows) const {
    std::uint64_t sum = 0;
    for (std::size_t back = 1; back <= std::min(windows, kWindows); ++back)
      sum += numbers_[(next_ + kWindows - back) % kWindows];
    return sum;
  }

 private:
  std::array<std::uint64_t, kWindows> numbers_{};
  std::size_t next_ = 0;
};

// May a map of so many entries have forgotten requests that waited? `longest`: that any request
// which it still has waits. It may if so many connections began meanwhile that one which waits a
// little longer is no more in it; the kernel forgets some before the map is full.
inline bool may_have_forgotten(const RecentSum& began, std::uint64_t entries,
                               std::chrono::nanoseconds longest) {
  if (longest < std::chrono::milliseconds(500)) return false;
  const auto windows = std::chrono::ceil<std::chrono::seconds>(longest).count() + 1;
  return began.of_last(static_cast<std::size_t>(windows)) > entries / 4 * 3;
}

}  // namespace faultline::agent
