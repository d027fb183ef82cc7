// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <random>

#include "report/stats.h"

namespace faultline::report {
namespace {

constexpr std::size_t kResamples = 1000;
constexpr std::size_t kMostBlocks = 120;  // longer phases join windows: as good, and bounded work

// A number below n (which is far below 2^32), the same on every standard library
// (uniform_int_distribution is not).
std::size_t draw(std::mt19937_64& random, std::size_t n) {
  return static_cast<std::size_t>(((random() >> 32) * n) >> 32);
}

// Counts by block and bucket, dense: resampling adds rows.
struct Counts {
  std::vector<std::uint32_t> index;                // bucket of each column, ascending
  std::vector<std::vector<std::uint64_t>> blocks;  // one row each
};

Counts counts_of(const std::vector<Point>& points) {
  std::vector<const api::Histogram*> windows;
  for (const Point& point : points)
    if (point.histogram != nullptr && !point.histogram->buckets.empty())
      windows.push_back(point.histogram);
  Counts counts;
  for (const api::Histogram* window : windows)
    for (const auto& [bucket, n] : window->buckets) counts.index.push_back(bucket);
  std::ranges::sort(counts.index);
  const auto rest = std::ranges::unique(counts.index);
  counts.index.erase(rest.begin(), rest.end());

  const std::size_t per_block = (windows.size() + kMostBlocks - 1) / kMostBlocks;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    if (i % per_block == 0) counts.blocks.emplace_back(counts.index.size());
    for (const auto& [bucket, n] : windows[i]->buckets) {
      const auto column = std::ranges::lower_bound(counts.index, bucket) - counts.index.begin();
      counts.blocks.back()[static_cast<std::size_t>(column)] += n;
    }
  }
  return counts;
}

double resampled_median(const Counts& counts, std::mt19937_64& random,
                        std::vector<std::uint64_t>& sum) {
  sum.assign(counts.index.size(), 0);
  for (std::size_t i = 0; i < counts.blocks.size(); ++i) {
    const auto& row = counts.blocks[draw(random, counts.blocks.size())];
    for (std::size_t c = 0; c < row.size(); ++c) sum[c] += row[c];
  }
  std::uint64_t total = 0, seen = 0;
  for (const std::uint64_t n : sum) total += n;
  std::size_t column = 0;
  while (column + 1 < sum.size() && (seen += sum[column]) < (total + 1) / 2) ++column;
  return api::Histogram::bucket_mid(counts.index[column]);
}

// The interval of the results, widened to hold `estimate` in any case.
api::Interval percentiles(std::vector<double> results, double tail, double estimate) {
  std::ranges::sort(results);
  const auto last = static_cast<double>(results.size() - 1);
  const double low = results[static_cast<std::size_t>(std::floor(tail * last))];
  const double high = results[static_cast<std::size_t>(std::ceil((1 - tail) * last))];
  return {std::min(low, estimate), std::max(high, estimate)};
}

double half_bucket(double seconds) {
  const auto bucket =
      api::Histogram::bucket_of_ns(static_cast<std::uint64_t>(std::llround(seconds * 1e9)));
  return (api::Histogram::bucket_high(bucket) - api::Histogram::bucket_low(bucket)) / 2;
}

}  // namespace

std::optional<api::Interval> median_change(const std::vector<Point>& baseline,
                                           const std::vector<Point>& fault, std::uint64_t seed) {
  const Counts a = counts_of(baseline), b = counts_of(fault);
  if (a.blocks.size() < 2 || b.blocks.size() < 2) return std::nullopt;
  const double before = *merged(baseline).quantile(0.5), during = *merged(fault).quantile(0.5);
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> sum;
  std::vector<double> changes(kResamples);
  for (double& change : changes) {
    change = -resampled_median(a, random, sum);
    change += resampled_median(b, random, sum);
  }
  const double tail = expanded_tail(std::min(a.blocks.size(), b.blocks.size()));
  api::Interval interval = percentiles(std::move(changes), tail, during - before);
  const double unknown = half_bucket(before) + half_bucket(during);
  return api::Interval{interval.low - unknown, interval.high + unknown};
}

std::optional<api::Interval> fraction_change(const std::vector<Point>& baseline,
                                             const std::vector<Point>& fault, std::uint64_t seed) {
  struct Total {
    double numerator = 0, denominator = 0;
    [[nodiscard]] double ratio() const { return denominator > 0 ? numerator / denominator : 0; }
  };
  const auto usable = [](const std::vector<Point>& points, Total& total) {
    std::vector<Total> windows;
    for (const Point& point : points) {
      if (point.denominator <= 0) continue;
      windows.push_back({point.numerator, point.denominator});
      total.numerator += point.numerator;
      total.denominator += point.denominator;
    }
    return windows;
  };
  Total before, during;
  const std::vector<Total> a = usable(baseline, before), b = usable(fault, during);
  if (a.empty() || b.empty()) return std::nullopt;
  api::Interval interval =
      newcombe(before.ratio(), before.denominator, during.ratio(), during.denominator);
  if (a.size() < 2 || b.size() < 2) return interval;

  std::mt19937_64 random(seed);
  const auto resample = [&random](const std::vector<Total>& windows) {
    Total total;
    for (std::size_t i = 0; i < windows.size(); ++i) {
      const Total& one = windows[draw(random, windows.size())];
      total.numerator += one.numerator;
      total.denominator += one.denominator;
    }
    return total.ratio();
  };
  std::vector<double> changes(kResamples);
  for (double& change : changes) {
    change = -resample(a);
    change += resample(b);
  }
  const api::Interval drawn =
      percentiles(std::move(changes), expanded_tail(std::min(a.size(), b.size())),
                  during.ratio() - before.ratio());
  return api::Interval{std::min(interval.low, drawn.low), std::max(interval.high, drawn.high)};
}

}  // namespace faultline::report
