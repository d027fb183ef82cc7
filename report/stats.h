// SPDX-License-Identifier: Apache-2.0
// The statistics behind the report. Pure, deterministic and thread-safe. Sources are named with
// each formula; docs/report.md tells them in order.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "api/report.h"
#include "report/windows.h"

namespace faultline::report {

inline constexpr double kReported = 0.95;  // confidence of the intervals that are shown
inline constexpr double kVerdict = 0.999;  // of those that decide a verdict: decision 0005

// Exact interval of a proportion (Clopper and Pearson, Biometrika 26, 1934) by quantiles of the
// beta distribution. `k` of `n` need not be whole: an effective sample size is not. [0, 1] when n
// <= 0.
[[nodiscard]] api::Interval clopper_pearson(double k, double n, double confidence);

// How many independent packets are worth one packet of this loss: n_eff = n * this. An indicator
// with autocorrelation A * lambda^j at lag j has n_eff = n / (1 + 2 A lambda / (1 - lambda))
// (Bayley and Hammersley, J. R. Stat. Soc. Suppl. 8, 1946). Correlated loss: A = 1, lambda =
// correlation, so (1 - rho) / (1 + rho). Gilbert-Elliott: lambda = 1 - r - p, and A = 1 when losses
// happen only, and always, inside a burst. 0 < result <= 1 unless losses alternate more than by
// chance.
[[nodiscard]] double independent_share(const api::NetworkLoss& loss);
// The same from a lag-1 autocorrelation alone.
[[nodiscard]] double independent_share(double rho);

[[nodiscard]] double median(std::vector<double> values);  // 0 for none
// Median of the distances from the median, times 1.4826: estimates the standard deviation of normal
// values (Hampel, J. Am. Stat. Assoc. 69, 1974).
[[nodiscard]] double robust_deviation(const std::vector<double>& values);
// Two-sided: normal_quantile(0.95) = 1.96.
[[nodiscard]] double normal_quantile(double confidence);

// Intervals of "fault minus baseline"; empty when one of the two cannot be estimated.
//
// Medians of histograms: bootstrap over windows, so that requests of the same second, which are
// alike, count as one draw (Davison and Hinkley, Bootstrap Methods, 1997, ch. 3.8); the percentiles
// are expanded for few windows (Hesterberg, The American Statistician 69, 2015, sec. 5.3); half a
// bucket of each median is added at both ends, since no value is known better.
[[nodiscard]] std::optional<api::Interval> median_change(const std::vector<Point>& baseline,
                                                         const std::vector<Point>& fault,
                                                         std::uint64_t seed);
// Means of windows (counters per second, gauges): Welch, Biometrika 34, 1947, with positive lag-1
// autocorrelation of the windows taken into account. A counter is never known better than one
// event.
[[nodiscard]] std::optional<api::Interval> mean_change(const api::Metric& metric,
                                                       const std::vector<Point>& baseline,
                                                       const std::vector<Point>& fault);
// Fractions: bootstrap over windows as above, joined with the interval of two proportions of
// independent trials (Newcombe, Statistics in Medicine 17, 1998, method 10), which also holds when
// no window has an event.
[[nodiscard]] std::optional<api::Interval> fraction_change(const std::vector<Point>& baseline,
                                                           const std::vector<Point>& fault,
                                                           std::uint64_t seed);

// Newcombe's interval of p2 - p1 for n1 and n2 independent trials.
[[nodiscard]] api::Interval newcombe(double p1, double n1, double p2, double n2);
// Share of bootstrap results to cut at each end so that `windows` draws give a 95 % interval.
[[nodiscard]] double expanded_tail(std::size_t windows);  // windows >= 2

// Stable over builds and machines.
[[nodiscard]] std::uint64_t seed_of(const SeriesKey& key);

}  // namespace faultline::report
