// SPDX-License-Identifier: Apache-2.0
// Rules that the monitoring does not have, made from the metrics that it has: which families of
// metrics show which effect, the expression over one, and the threshold from its values in the
// baseline. Pure and thread-safe; watcher_candidates.cpp asks what these functions need.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controller/observe/source.h"

namespace faultline::controller::observe {

// How a family is read: a quantile of a histogram, the mean of a sum and a count, the value itself,
// the share of failures among requests, increments a second, or "it is 0".
enum class Shape { quantile, mean, gauge, share, rate, zero };

// A family of metrics and the effect that it shows.
struct Family {
  std::string_view effect;  // a word of api/metrics.h
  Shape shape = Shape::rate;
  std::string name;      // of mean: without _sum and _count; of quantile: with _bucket
  double unit = 1;       // the effect's base unit in units of the metric: 1000 for milliseconds
  bool both = false;     // it may fall as well as rise
  std::string failures;  // of share: the matcher of what failed, see failures_of()
};

// The families among the names of metrics that may show an effect, those that fit best first; of
// one effect at most kMostOfEffect. `failures` of those of shape share is still empty.
[[nodiscard]] std::vector<Family> families_of(const std::vector<std::string>& names);
inline constexpr std::size_t kMostOfEffect = 3;

// The matcher of failures, by the labels of a counter's series: `code=~"5.."`, `grpc_code!~"OK|0"`.
// Empty: no label tells how a request ended.
[[nodiscard]] std::string failures_of(const std::vector<Labels>& series);

// How the series of the run's pods are found and told apart.
struct PodMatch {
  std::string matchers;         // namespace=~"shop",pod=~"payments-0|payments-1"
  std::vector<std::string> by;  // namespace, pod; or instance
};

// What a rule compares: one value for each pod. `window`: of its rates, in seconds.
[[nodiscard]] std::string expression(const Family& family, const PodMatch& pods, double window);
// The whole rule.
[[nodiscard]] std::string rule_of(const Family& family, const std::string& expression, bool falls,
                                  double threshold);

// The threshold from the values of the baseline: with H the highest of them and S their spread (the
// median distance from the median, times 1.4826), H + max(H/2, 3 S, the least step of the effect),
// to two digits, away from the baseline. Of what falls, from the lowest L: L - max(L/2, 3 S).
struct Threshold {
  double baseline = 0;  // H or L
  double value = 0;
  friend bool operator==(const Threshold&, const Threshold&) = default;
};
// Empty: there are fewer than kLeastValues, or what falls has no room to; `why` says which.
[[nodiscard]] std::optional<Threshold> threshold_of(const Family& family, bool falls,
                                                    std::vector<double> baseline, std::string& why);
inline constexpr std::size_t kLeastValues = 2;

}  // namespace faultline::controller::observe
