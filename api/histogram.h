// SPDX-License-Identifier: Apache-2.0
// Log-linear histogram of durations: 32 steps to each power of two, as bpf/include/fault_abi.h
// counts them, so that a value read back from the middle of its bucket is wrong by at most 1.6 %,
// and by at most 3 % whatever is known of the bucket.
// Not thread-safe; a value type.
#pragma once

#include <boost/container/flat_map.hpp>
#include <boost/describe.hpp>
#include <cstdint>
#include <optional>

namespace faultline::api {

struct Histogram {
  // Index -> count; JSON: [[index, count], ...]. Flat: a run has hundreds of thousands of these.
  boost::container::flat_map<std::uint32_t, std::uint64_t> buckets;
  double sum = 0;  // seconds
  double max = 0;  // seconds, exact where the source knows it

  void add(double seconds, std::uint64_t count = 1);
  void merge(const Histogram& other);
  [[nodiscard]] std::uint64_t count() const;
  // Nearest-rank quantile, seconds; empty when there are no values. 0 <= q <= 1.
  [[nodiscard]] std::optional<double> quantile(double q) const;

  static std::uint32_t bucket_of_ns(std::uint64_t ns);
  static double bucket_low(std::uint32_t index);   // seconds, inclusive
  static double bucket_high(std::uint32_t index);  // seconds, exclusive
  static double bucket_mid(std::uint32_t index);
};
BOOST_DESCRIBE_STRUCT(Histogram, (), (buckets, sum, max))

}  // namespace faultline::api
