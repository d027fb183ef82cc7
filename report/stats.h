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
// Of what a report calls a change, at most this share is none.
inline constexpr double kFalseChanges = 0.05;
// In each phase. With fewer a report shows intervals and calls nothing a change.
inline constexpr std::size_t kFewestWindows = 8;

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

// "Fault minus baseline": the 95 % interval, and the probability to see at least that much where
// nothing changed (two-sided).
struct Change : api::Interval {
  double p = 1;
};

// Changes of histograms' quantiles, one for each of `quantiles`; empty when a phase has fewer than
// two windows with values. Circular block bootstrap over windows (Politis and Romano 1992), so that
// requests of the same second, which are alike, count as one draw; the length of a block follows
// from the windows' own correlation, see block_length(). The percentiles are expanded for few
// windows (Hesterberg, The American Statistician 69, 2015, sec. 5.3); half a bucket of each
// quantile is added at both ends, since no value is known better. p: Student's, of the draws'
// deviation.
[[nodiscard]] std::vector<Change> quantile_changes(const std::vector<Point>& baseline,
                                                   const std::vector<Point>& fault,
                                                   const std::vector<double>& quantiles,
                                                   std::uint64_t seed);
// Means of windows (counters per second, gauges): Welch, Biometrika 34, 1947, with positive lag-1
// autocorrelation of the windows taken into account. A counter is never known better than one
// event.
[[nodiscard]] std::optional<Change> mean_change(const api::Metric& metric,
                                                const std::vector<Point>& baseline,
                                                const std::vector<Point>& fault);
// Fractions: bootstrap over windows as above, joined with the interval of two proportions of
// independent trials (Newcombe, Statistics in Medicine 17, 1998, method 10), which also holds when
// no window has an event.
[[nodiscard]] std::optional<Change> fraction_change(const std::vector<Point>& baseline,
                                                    const std::vector<Point>& fault,
                                                    std::uint64_t seed);

// Lag-1 autocorrelation of windows, only where enough of them make it more than noise, and only
// what widens an interval: 0 to 0.9.
[[nodiscard]] double positive_autocorrelation(const std::vector<double>& values);
// Windows of one block of the bootstrap: (sqrt(6) rho / (1 - rho^2))^(2/3) n^(1/3), best for the
// circular bootstrap of a first-order autoregression (Politis and White, Econometric Reviews 23,
// 2004); 1 to a third of n.
[[nodiscard]] std::size_t block_length(double rho, std::size_t n);

// Which of `p` hold when all are looked at together: Benjamini and Hochberg, J. R. Stat. Soc. B 57,
// 1995. Of those that hold, a share of `rate` is wrong on average.
[[nodiscard]] std::vector<bool> hold_together(const std::vector<double>& p, double rate);
// Of a t statistic, two-sided.
[[nodiscard]] double student_p(double t, double degrees);

// Newcombe's interval of p2 - p1 for n1 and n2 independent trials.
[[nodiscard]] api::Interval newcombe(double p1, double n1, double p2, double n2);
// Share of bootstrap results to cut at each end so that `windows` draws give a 95 % interval.
[[nodiscard]] double expanded_tail(std::size_t windows);  // windows >= 2

// Stable over builds and machines.
[[nodiscard]] std::uint64_t seed_of(const SeriesKey& key);

}  // namespace faultline::report
