// SPDX-License-Identifier: Apache-2.0
// From the histograms that BPF programs only ever add to, to what happened in a window.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/kernel/counters.h"
#include "api/histogram.h"
#include "base/result.h"
#include "fault_abi.h"

namespace faultline::agent {

// The growth of one fl_hist of a per-CPU map: keep one object for each map and key. What is in the
// map before the first reading counts as growth; read once and drop it where it must not. Not
// thread-safe; a value type (3.5 KB for each possible CPU after the first reading).
class HistogramGrowth {
 public:
  // Since the last reading that worked; no buckets: nothing happened. Errors: kNotFound when a hash
  // map has no such key, else what the kernel said; the next reading then covers this time, too.
  template <class Key = std::uint32_t>
  Result<api::Histogram> take(int map_fd, const Key& key = {}) {
    const auto now = read_per_cpu<fl_hist>(map_fd, key);
    if (!now) return fail(now.error());
    return advance(*now);
  }

  // The same for values that were read already, one a CPU. A CPU whose count went back (the map's
  // entry was removed and made again) starts from nothing. Slots may wrap at 2^32.
  //
  // Histogram::max is exact when the growth holds the largest value of the histogram's life so far;
  // else it is the middle of the highest bucket that grew (wrong by at most 1.6 %, the last bucket
  // excepted, which gives the largest value of its life).
  api::Histogram advance(const std::vector<fl_hist>& now);

 private:
  std::vector<fl_hist> before_;
};

}  // namespace faultline::agent
