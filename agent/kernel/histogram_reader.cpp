// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/histogram_reader.h"

#include <algorithm>

namespace faultline::agent {
namespace {

constexpr double kNs = 1e-9;
const fl_hist kEmpty{};

// Adds what one CPU's histogram grew by. False: it did not.
bool add_growth(const fl_hist& before, const fl_hist& now, api::Histogram& growth) {
  std::uint32_t highest = 0;
  bool grew = false;
  for (std::uint32_t i = 0; i < FL_HIST_BUCKETS; ++i) {
    // Of 32 bits, as the slots: right across a wrap.
    const std::uint32_t n = now.slots[i] - before.slots[i];
    if (n == 0) continue;
    growth.buckets[i] += n;
    highest = i;
    grew = true;
  }
  if (!grew) return false;
  // The program may run while the kernel copies: the sum never goes back by itself, but is guarded
  // like the rest.
  if (now.sum_ns >= before.sum_ns)
    growth.sum += static_cast<double>(now.sum_ns - before.sum_ns) * kNs;
  const bool exact = now.max_ns > before.max_ns || highest == FL_HIST_BUCKETS - 1;
  const double largest =
      exact ? static_cast<double>(now.max_ns) * kNs : api::Histogram::bucket_mid(highest);
  growth.max = std::max(growth.max, largest);
  return true;
}

}  // namespace

api::Histogram HistogramGrowth::advance(const std::vector<fl_hist>& now) {
  api::Histogram growth;
  before_.resize(now.size(), kEmpty);
  for (std::size_t cpu = 0; cpu < now.size(); ++cpu) {
    if (now[cpu].count < before_[cpu].count) before_[cpu] = kEmpty;
    // Without a new slot the reading is not kept: a sum that was added just before its slot comes
    // with the slot.
    if (add_growth(before_[cpu], now[cpu], growth)) before_[cpu] = now[cpu];
  }
  return growth;
}

}  // namespace faultline::agent
