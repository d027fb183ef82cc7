// SPDX-License-Identifier: Apache-2.0
#include "report/stats.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <cmath>
#include <limits>

namespace faultline::report {
namespace {

// Errors become infinities and NaN, never exceptions.
using Policy = boost::math::policies::policy<
    boost::math::policies::domain_error<boost::math::policies::ignore_error>,
    boost::math::policies::pole_error<boost::math::policies::ignore_error>,
    boost::math::policies::overflow_error<boost::math::policies::ignore_error>,
    boost::math::policies::evaluation_error<boost::math::policies::ignore_error>>;

double student_quantile(double confidence, double degrees) {
  const boost::math::students_t_distribution<double, Policy> t(std::max(degrees, 1.0));
  return boost::math::quantile(t, 0.5 + confidence / 2);
}

struct Mean {
  double value = 0;
  double variance = 0;  // of the mean
  double degrees = 1;   // of freedom
};

std::optional<Mean> mean_of(const api::Metric& metric, const std::vector<Point>& points) {
  const std::optional<double> rate = rate_of(metric, points);
  std::vector<double> values;
  double seconds = 0;
  for (const Point& point : points) {
    seconds += point.seconds();
    if (point.seconds() < kSliver) continue;
    values.push_back(metric.kind == api::MetricKind::kCounter ? point.value / point.seconds()
                                                              : point.value);
  }
  if (!rate || values.size() < 2) return std::nullopt;
  const auto n = static_cast<double>(values.size());
  double mean = 0, square = 0;
  for (const double v : values) mean += v / n;
  for (const double v : values) square += (v - mean) * (v - mean);
  const double effective = std::max(2.0, n * independent_share(positive_autocorrelation(values)));
  Mean out{*rate, square / (n - 1) / effective, effective - 1};
  if (metric.kind == api::MetricKind::kCounter)
    out.variance = std::max(out.variance, 1 / (seconds * seconds));
  return out;
}

api::Interval wilson(double p, double n) {
  const double z = normal_quantile(kReported);
  const double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

}  // namespace

double normal_quantile(double confidence) {
  const boost::math::normal_distribution<double, Policy> normal;
  return boost::math::quantile(normal, 0.5 + confidence / 2);
}

api::Interval clopper_pearson(double k, double n, double confidence) {
  if (!(n > 0)) return {0, 1};
  k = std::clamp(k, 0.0, n);
  const double tail = (1 - confidence) / 2;
  api::Interval interval{0, 1};
  if (k > 0) interval.low = boost::math::ibeta_inv(k, n - k + 1, tail, Policy());
  if (k < n) interval.high = boost::math::ibeta_inv(k + 1, n - k, 1 - tail, Policy());
  return interval;
}

double independent_share(double rho) {
  rho = std::clamp(rho, -0.99, 0.999999);
  return (1 - rho) / (1 + rho);
}

double independent_share(const api::NetworkLoss& loss) {
  const double q = loss.loss.value;
  if (!loss.burst) return independent_share(loss.correlation.value);
  const double bad = loss.burst->badLoss.value, good = loss.burst->goodLoss.value;
  if (q <= 0 || q >= 1 || bad <= good) return 1;
  const double pi = std::clamp((q - good) / (bad - good), 0.0, 1.0);
  if (pi <= 0 || pi >= 1) return 1;
  const double r = 1 / std::max(loss.burst->length, 1.0);
  const double p = std::min(1.0, r * pi / (1 - pi));
  const double lambda = std::clamp(1 - r - p, -0.99, 0.999999);
  const double share = (bad - good) * (bad - good) * pi * (1 - pi) / (q * (1 - q));
  return 1 / (1 + 2 * share * lambda / (1 - lambda));
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

double positive_autocorrelation(const std::vector<double>& values) {
  constexpr std::size_t kEnough = 12;
  if (values.size() < kEnough) return 0;
  double mean = 0, lagged = 0, square = 0;
  for (const double v : values) mean += v / static_cast<double>(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double d = values[i] - mean;
    square += d * d;
    if (i > 0) lagged += d * (values[i - 1] - mean);
  }
  return square > 0 ? std::clamp(lagged / square, 0.0, 0.9) : 0;
}

std::size_t block_length(double rho, std::size_t n) {
  const auto windows = static_cast<double>(n);
  const double best =
      std::pow(std::sqrt(6.0) * rho / (1 - rho * rho), 2.0 / 3) * std::cbrt(windows);
  return static_cast<std::size_t>(std::clamp(std::round(best), 1.0, std::max(1.0, windows / 3)));
}

std::vector<bool> hold_together(const std::vector<double>& p, double rate) {
  std::vector<double> sorted = p;
  std::ranges::sort(sorted);
  double limit = -1;  // the greatest p that holds
  for (std::size_t i = 0; i < sorted.size(); ++i)
    if (sorted[i] <= rate * static_cast<double>(i + 1) / static_cast<double>(sorted.size()))
      limit = sorted[i];
  std::vector<bool> hold(p.size());
  for (std::size_t i = 0; i < p.size(); ++i) hold[i] = p[i] <= limit;
  return hold;
}

double student_p(double t, double degrees) {
  const boost::math::students_t_distribution<double, Policy> student(std::max(degrees, 1.0));
  const double tail = boost::math::cdf(boost::math::complement(student, std::abs(t)));
  return std::isfinite(tail) ? std::min(1.0, 2 * tail) : 0;
}

double robust_deviation(const std::vector<double>& values) {
  const double middle = median(values);
  std::vector<double> distances;
  distances.reserve(values.size());
  for (const double v : values) distances.push_back(std::abs(v - middle));
  return 1.4826 * median(std::move(distances));
}

std::optional<Change> mean_change(const api::Metric& metric, const std::vector<Point>& baseline,
                                  const std::vector<Point>& fault) {
  const auto a = mean_of(metric, baseline), b = mean_of(metric, fault);
  if (!a || !b) return std::nullopt;
  const double variance = a->variance + b->variance;
  const double change = b->value - a->value;
  if (variance <= 0) return Change{{change, change}, change == 0 ? 1.0 : 0.0};
  // Satterthwaite's degrees of freedom, as Welch uses them.
  const double degrees =
      variance * variance /
      (a->variance * a->variance / a->degrees + b->variance * b->variance / b->degrees);
  const double half = student_quantile(kReported, degrees) * std::sqrt(variance);
  return Change{{change - half, change + half}, student_p(change / std::sqrt(variance), degrees)};
}

api::Interval newcombe(double p1, double n1, double p2, double n2) {
  const api::Interval one = wilson(p1, n1), two = wilson(p2, n2);
  const double change = p2 - p1;
  return {change - std::hypot(p2 - two.low, one.high - p1),
          change + std::hypot(two.high - p2, p1 - one.low)};
}

std::uint64_t seed_of(const SeriesKey& key) {
  std::uint64_t hash = 14695981039346656037ull;  // FNV-1a
  const auto eat = [&hash](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
    hash = (hash ^ 0xffu) * 1099511628211ull;
  };
  eat(key.pod);
  eat(key.metric);
  for (const auto& [name, value] : key.labels) {
    eat(name);
    eat(value);
  }
  return hash;
}

double expanded_tail(std::size_t windows) {
  const auto n = static_cast<double>(windows);
  const boost::math::normal_distribution<double, Policy> normal;
  const double t = student_quantile(kReported, n - 1) * std::sqrt(n / (n - 1));
  return boost::math::cdf(normal, -t);
}

}  // namespace faultline::report
