// SPDX-License-Identifier: Apache-2.0
#include "api/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "bpf/include/fault_abi.h"

namespace faultline::api {
namespace {

constexpr double kNs = 1e-9;

// First nanosecond of a bucket; of the one after the last: where the last would end.
double low_ns(std::uint32_t index) {
  if (index == 0) return 0;
  const std::uint32_t step = index - 1;
  const int shift = static_cast<int>(step / FL_HIST_SUB) + FL_HIST_MIN_SHIFT;
  const double fraction = 1 + static_cast<double>(step % FL_HIST_SUB) / FL_HIST_SUB;
  return std::ldexp(fraction, shift);
}

// The mean of a bucket that holds nearly all values, from the exact sum: a constant delay of 200 ms
// is then told to the microsecond, not to 1.6 %. What the few others add is known by their middles,
// so the error is at most a twentieth of a bucket's width.
std::optional<double> mean_of_most(const Histogram& h, std::uint32_t index, std::uint64_t total) {
  const auto in = static_cast<double>(h.buckets.at(index));
  if (in < 0.9 * static_cast<double>(total)) return std::nullopt;
  double rest = 0;
  for (const auto& [other, n] : h.buckets)
    if (other != index) rest += Histogram::bucket_mid(other) * static_cast<double>(n);
  const double mean = (h.sum - rest) / in;
  if (mean < Histogram::bucket_low(index) || mean > Histogram::bucket_high(index))
    return std::nullopt;
  return mean;
}

}  // namespace

std::uint32_t Histogram::bucket_of_ns(std::uint64_t ns) {
  if (ns < (1ull << FL_HIST_MIN_SHIFT)) return 0;
  const auto shift = static_cast<std::uint32_t>(std::bit_width(ns) - 1);
  if (shift >= FL_HIST_MAX_SHIFT) return FL_HIST_BUCKETS - 1;
  return 1 + (shift - FL_HIST_MIN_SHIFT) * FL_HIST_SUB +
         (static_cast<std::uint32_t>(ns >> (shift - FL_HIST_SUB_BITS)) & (FL_HIST_SUB - 1));
}

double Histogram::bucket_low(std::uint32_t index) {
  return low_ns(std::min(index, FL_HIST_BUCKETS - 1)) * kNs;
}
double Histogram::bucket_high(std::uint32_t index) {
  return low_ns(std::min(index, FL_HIST_BUCKETS - 1) + 1) * kNs;
}
double Histogram::bucket_mid(std::uint32_t index) {
  return (bucket_low(index) + bucket_high(index)) / 2;
}

void Histogram::add(double seconds, std::uint64_t count) {
  if (count == 0 || std::isnan(seconds)) return;
  seconds = std::max(seconds, 0.0);
  // The last bucket has no upper end, so that every larger value may be cut to its start before the
  // conversion, which is undefined for what does not fit.
  const double ns = std::min(std::round(seconds / kNs), std::ldexp(1.0, FL_HIST_MAX_SHIFT));
  buckets[bucket_of_ns(static_cast<std::uint64_t>(ns))] += count;
  sum += seconds * static_cast<double>(count);
  max = std::max(max, seconds);
}

void Histogram::merge(const Histogram& other) {
  for (const auto& [index, n] : other.buckets) buckets[index] += n;
  sum += other.sum;
  max = std::max(max, other.max);
}

std::uint64_t Histogram::count() const {
  std::uint64_t total = 0;
  for (const auto& [index, n] : buckets) total += n;
  return total;
}

std::optional<double> Histogram::quantile(double q) const {
  const std::uint64_t total = count();
  if (total == 0 || std::isnan(q)) return std::nullopt;
  const double wanted = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(total));
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(wanted));
  std::uint64_t seen = 0;
  std::uint32_t found = buckets.rbegin()->first;
  for (const auto& [index, n] : buckets) {
    seen += n;
    if (seen >= rank) {
      found = index;
      break;
    }
  }
  // The exact maximum, where it is known, is nearer to the truth than the middle of its bucket; the
  // last bucket has no middle at all.
  const double mid = bucket_mid(found);
  if (max >= bucket_low(found) && max > 0 &&
      (rank == total || max < mid || found == FL_HIST_BUCKETS - 1))
    return max;
  return mean_of_most(*this, found, total).value_or(mid);
}

}  // namespace faultline::api
