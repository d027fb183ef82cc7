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

// Starts of blocks, each of `length` rows that follow each other, the first row after the last one.
void draw_rows(std::size_t rows, std::size_t length, std::mt19937_64& random,
               std::vector<std::size_t>& chosen) {
  chosen.clear();
  while (chosen.size() < rows) {
    const std::size_t start = draw(random, rows);
    for (std::size_t i = 0; i < length && chosen.size() < rows; ++i)
      chosen.push_back((start + i) % rows);
  }
}

double quantile_of(const Counts& counts, const std::vector<std::uint64_t>& sum, double quantile) {
  std::uint64_t total = 0, seen = 0;
  for (const std::uint64_t n : sum) total += n;
  const auto rank =
      static_cast<std::uint64_t>(std::max(1.0, std::ceil(quantile * static_cast<double>(total))));
  std::size_t column = 0;
  while (column + 1 < sum.size() && (seen += sum[column]) < rank) ++column;
  return api::Histogram::bucket_mid(counts.index[column]);
}

// Quantiles of one phase, drawn again.
class Resampled {
 public:
  Resampled(const std::vector<Point>& points, const std::vector<double>& quantiles)
      : quantiles_(quantiles), counts_(counts_of(points)) {
    for (const double q : quantiles) {
      std::vector<double> values;
      for (const auto& row : counts_.blocks) values.push_back(quantile_of(counts_, row, q));
      length_ = std::max(length_, block_length(positive_autocorrelation(values), values.size()));
    }
  }
  [[nodiscard]] std::size_t rows() const { return counts_.blocks.size(); }
  [[nodiscard]] std::size_t blocks() const { return rows() / length_; }
  // Adds one draw's quantiles, times `sign`.
  void add_draw(std::mt19937_64& random, double sign, std::vector<std::vector<double>>& changes) {
    draw_rows(rows(), length_, random, chosen_);
    sum_.assign(counts_.index.size(), 0);
    for (const std::size_t row : chosen_)
      for (std::size_t c = 0; c < sum_.size(); ++c) sum_[c] += counts_.blocks[row][c];
    for (std::size_t q = 0; q < quantiles_.size(); ++q)
      changes[q].back() += sign * quantile_of(counts_, sum_, quantiles_[q]);
  }

 private:
  std::vector<double> quantiles_;
  Counts counts_;
  std::size_t length_ = 1;
  std::vector<std::size_t> chosen_;
  std::vector<std::uint64_t> sum_;
};

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

double deviation_of(const std::vector<double>& results) {
  double mean = 0, square = 0;
  for (const double v : results) mean += v / static_cast<double>(results.size());
  for (const double v : results) square += (v - mean) * (v - mean);
  return std::sqrt(square / static_cast<double>(results.size()));
}

// Where chance alone decides which windows are of which phase, no order of them is rarer than this.
double least_p(std::size_t a, std::size_t b) {
  const auto x = static_cast<double>(a), y = static_cast<double>(b);
  return std::exp(std::lgamma(x + 1) + std::lgamma(y + 1) - std::lgamma(x + y + 1));
}

}  // namespace

std::vector<Change> quantile_changes(const std::vector<Point>& baseline,
                                     const std::vector<Point>& fault,
                                     const std::vector<double>& quantiles, std::uint64_t seed) {
  Resampled a(baseline, quantiles), b(fault, quantiles);
  if (a.rows() < 2 || b.rows() < 2) return {};
  std::mt19937_64 random(seed);
  std::vector<std::vector<double>> draws(quantiles.size());
  for (std::size_t i = 0; i < kResamples; ++i) {
    for (auto& of_quantile : draws) of_quantile.push_back(0);
    a.add_draw(random, -1, draws);
    b.add_draw(random, 1, draws);
  }
  const std::size_t blocks = std::max<std::size_t>(2, std::min(a.blocks(), b.blocks()));
  const api::Histogram all_before = merged(baseline), all_during = merged(fault);
  std::vector<Change> changes;
  for (std::size_t q = 0; q < quantiles.size(); ++q) {
    const double before = *all_before.quantile(quantiles[q]);
    const double during = *all_during.quantile(quantiles[q]);
    const double unknown = half_bucket(before) + half_bucket(during);
    const double sure = std::max(0.0, std::abs(during - before) - unknown);
    const double deviation = deviation_of(draws[q]);
    const double p = sure <= 0       ? 1
                     : deviation > 0 ? student_p(sure / deviation, static_cast<double>(blocks - 1))
                                     : 0;
    const api::Interval drawn =
        percentiles(std::move(draws[q]), expanded_tail(blocks), during - before);
    changes.push_back({{drawn.low - unknown, drawn.high + unknown},
                       std::max(p, least_p(a.blocks(), b.blocks()))});
  }
  return changes;
}

std::optional<Change> fraction_change(const std::vector<Point>& baseline,
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
  const api::Interval trials =
      newcombe(before.ratio(), before.denominator, during.ratio(), during.denominator);
  const double change = during.ratio() - before.ratio();
  // Two more trials, one of which failed, on each side: no share is known to be 0 or 1 (Agresti and
  // Caffo, The American Statistician 54, 2000).
  const auto variance = [](const Total& t) {
    const double n = t.denominator + 2, p = (t.numerator + 1) / n;
    return p * (1 - p) / n;
  };
  double deviation = std::sqrt(variance(before) + variance(during));
  if (a.size() < 2 || b.size() < 2) return Change{trials, student_p(change / deviation, 1)};

  std::mt19937_64 random(seed);
  const auto length_of = [](const std::vector<Total>& windows) {
    std::vector<double> values;
    for (const Total& one : windows) values.push_back(one.ratio());
    return block_length(positive_autocorrelation(values), values.size());
  };
  const std::size_t length_a = length_of(a), length_b = length_of(b);
  std::vector<std::size_t> chosen;
  const auto resample = [&](const std::vector<Total>& windows, std::size_t length) {
    draw_rows(windows.size(), length, random, chosen);
    Total total;
    for (const std::size_t row : chosen) {
      total.numerator += windows[row].numerator;
      total.denominator += windows[row].denominator;
    }
    return total.ratio();
  };
  std::vector<double> changes(kResamples);
  for (double& drawn : changes) {
    drawn = -resample(a, length_a);
    drawn += resample(b, length_b);
  }
  deviation = std::max(deviation, deviation_of(changes));
  const std::size_t blocks_a = a.size() / length_a, blocks_b = b.size() / length_b;
  const std::size_t blocks = std::max<std::size_t>(2, std::min(blocks_a, blocks_b));
  const api::Interval drawn = percentiles(std::move(changes), expanded_tail(blocks), change);
  return Change{{std::min(trials.low, drawn.low), std::max(trials.high, drawn.high)},
                std::max(student_p(change / deviation, static_cast<double>(blocks - 1)),
                         least_p(blocks_a, blocks_b))};
}

}  // namespace faultline::report
