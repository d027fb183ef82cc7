// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace faultline::testbed {

struct Interval {
  double low = 0, high = 0;
  [[nodiscard]] bool contains(double x) const { return x >= low && x <= high; }
};

// Where hits/n lies with 99.99 % when each of n events is hit with probability p: normal
// approximation of the binomial, z = 3.89, good for n p (1 - p) > 100. Tests use this instead of
// the 95 % interval of the promise, which would fail in one honest run of twenty.
inline Interval binomial_interval(double p, std::uint64_t n) {
  constexpr double kZ = 3.89;
  const double half = kZ * std::sqrt(p * (1 - p) / static_cast<double>(n));
  return {p - half, p + half};
}

// Nearest rank; of at least one value.
inline double quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
  return values[std::max<std::size_t>(rank, 1) - 1];
}

}  // namespace faultline::testbed
