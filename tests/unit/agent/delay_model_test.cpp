// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/delay_line/delay_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace faultline::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
constexpr int kMany = 200000;

api::NetworkLatency spec(int latency_ms, int jitter_ms, api::Distribution distribution,
                         double correlation = 0) {
  api::NetworkLatency s;
  s.latency.value = milliseconds(latency_ms);
  s.jitter.value = milliseconds(jitter_ms);
  s.distribution = distribution;
  s.correlation.value = correlation;
  return s;
}

std::vector<double> draw(const api::NetworkLatency& s, std::uint64_t seed, int n = kMany) {
  DelayModel model(s, seed);
  std::vector<double> ms;
  for (int i = 0; i < n; ++i)
    ms.push_back(std::chrono::duration<double, std::milli>(model.next()).count());
  return ms;
}

double mean(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v) sum += x;
  return sum / static_cast<double>(v.size());
}
double deviation(const std::vector<double>& v) {
  const double m = mean(v);
  double sum = 0;
  for (const double x : v) sum += (x - m) * (x - m);
  return std::sqrt(sum / static_cast<double>(v.size()));
}
double lag1(const std::vector<double>& v) {
  const double m = mean(v), s = deviation(v);
  double sum = 0;
  for (std::size_t i = 1; i < v.size(); ++i) sum += (v[i] - m) * (v[i - 1] - m);
  return sum / static_cast<double>(v.size() - 1) / (s * s);
}
double quantile(std::vector<double> v, double q) {
  std::sort(v.begin(), v.end());
  return v[static_cast<std::size_t>(q * static_cast<double>(v.size()))];
}

constexpr auto kUniform = api::Distribution::uniform;
constexpr auto kNormal = api::Distribution::normal;
constexpr auto kPareto = api::Distribution::pareto;

TEST(DelayModel, WithoutJitterEveryDelayIsTheLatency) {
  DelayModel model(spec(20, 0, kNormal, 0.9), 1);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(model.next(), milliseconds(20));
  EXPECT_EQ(model.low(), milliseconds(20));
  EXPECT_EQ(model.high(), milliseconds(20));
}

TEST(DelayModel, UniformStaysWithinTheHalfWidthAndFillsIt) {
  const auto ms = draw(spec(20, 5, kUniform), 1);
  EXPECT_GE(*std::min_element(ms.begin(), ms.end()), 15);
  EXPECT_LE(*std::max_element(ms.begin(), ms.end()), 25);
  EXPECT_NEAR(mean(ms), 20, 0.05);
  EXPECT_NEAR(deviation(ms), 5 / std::sqrt(3.0), 0.03);
  EXPECT_NEAR(quantile(ms, 0.25), 17.5, 0.1);
}

TEST(DelayModel, NormalHasJitterAsStandardDeviation) {
  const auto ms = draw(spec(20, 4, kNormal), 1);
  EXPECT_NEAR(mean(ms), 20, 0.05);
  EXPECT_NEAR(deviation(ms), 4, 0.04);
  EXPECT_NEAR(quantile(ms, 0.8413), 24, 0.1);
}

TEST(DelayModel, ParetoHasTheMeanAndStandardDeviationAndAFloor) {
  const auto ms = draw(spec(20, 5, kPareto), 1);
  EXPECT_NEAR(mean(ms), 20, 0.06);
  EXPECT_NEAR(deviation(ms), 5, 0.25);
  const double shape = 1 + std::sqrt(1 + 16.0);
  const double floor = 20 * (shape - 1) / shape;
  EXPECT_NEAR(*std::min_element(ms.begin(), ms.end()), floor, 0.001);
  EXPECT_NEAR(quantile(ms, 0.9), floor * std::pow(0.1, -1 / shape), 0.1);
}

TEST(DelayModel, NoDelayIsNegativeHoweverLargeTheJitter) {
  for (const auto distribution : {kNormal, kPareto})
    for (const double ms : draw(spec(5, 20, distribution), 3)) {
      ASSERT_GE(ms, 0);
      ASSERT_LE(ms, 60000);
    }
}

TEST(DelayModel, LowAndHighBoundTheDelays) {
  for (const auto distribution : {kUniform, kNormal, kPareto}) {
    DelayModel model(spec(20, 5, distribution), 7);
    int above = 0;
    for (int i = 0; i < kMany; ++i) {
      const nanoseconds delay = model.next();
      ASSERT_GE(delay, model.low());
      if (delay > model.high()) ++above;
    }
    EXPECT_LT(above, 45);  // 20 expected
  }
}

TEST(DelayModel, SameSeedSameDelaysAnotherSeedOthers) {
  const auto s = spec(20, 5, kPareto, 0.5);
  EXPECT_EQ(draw(s, 9, 1000), draw(s, 9, 1000));
  EXPECT_NE(draw(s, 9, 1000), draw(s, 10, 1000));
}

TEST(DelayModel, FirstDelaysOfASeedStayWhatTheyWere) {
  DelayModel model(spec(20, 5, kUniform), 42);
  // From a second implementation of the published algorithms, in Python.
  const long expected[] = {15838630, 18789803, 21800434};
  for (const long ns : expected)
    EXPECT_NEAR(static_cast<double>(model.next().count()), static_cast<double>(ns), 1);
}

TEST(DelayModel, CorrelationKeepsTheDistribution) {
  const auto uniform = draw(spec(20, 5, kUniform, 0.75), 5, 4 * kMany);
  EXPECT_NEAR(deviation(uniform), 5 / std::sqrt(3.0), 0.05);
  EXPECT_NEAR(quantile(uniform, 0.1), 16, 0.15);
  // Of a Gaussian copula, uniform marginals: 6/pi asin(rho/2).
  EXPECT_NEAR(lag1(uniform), 6 / 3.14159265 * std::asin(0.375), 0.01);
  const auto normal = draw(spec(20, 4, kNormal, 0.75), 5, 4 * kMany);
  EXPECT_NEAR(deviation(normal), 4, 0.06);
  EXPECT_NEAR(lag1(normal), 0.75, 0.01);
  const auto pareto = draw(spec(20, 5, kPareto, 0.75), 5, 4 * kMany);
  EXPECT_NEAR(deviation(pareto), 5, 0.35);
  EXPECT_GT(lag1(pareto), 0.5);
}

TEST(DelayModel, WithoutCorrelationNeighboursAreIndependent) {
  EXPECT_NEAR(lag1(draw(spec(20, 5, kUniform), 5)), 0, 0.01);
  EXPECT_NEAR(lag1(draw(spec(20, 4, kNormal), 5)), 0, 0.01);
}

}  // namespace
}  // namespace faultline::agent
