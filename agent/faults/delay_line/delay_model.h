// SPDX-License-Identifier: Apache-2.0
// How long the nth packet is held: latency + jitter by a distribution, with correlation. What the
// words mean is docs/decisions/0004-jitter-and-correlation.md.
#pragma once

#include <chrono>
#include <cstdint>

#include "api/fault.h"

namespace faultline::agent {

// Uniform random 64 bits and what is made of them: xoshiro256** (Blackman, Vigna 2018), seeded by
// splitmix64. Not from <random>, whose distributions differ between standard libraries: a seed must
// mean the same everywhere. Not thread-safe.
class DelayRandom {
 public:
  explicit DelayRandom(std::uint64_t seed);
  std::uint64_t bits();
  double uniform();  // in the open interval (0, 1)
  double normal();   // mean 0, standard deviation 1; Box and Muller 1958

 private:
  std::uint64_t state_[4];
  double spare_ = 0;
  bool has_spare_ = false;
};

// A sequence of delays that depends on nothing but its parameters and seed. Not thread-safe.
//
// uniform: mean +- jitter. normal: standard deviation jitter, clamped at 0 (which moves the mean
// when jitter is more than about a third of latency). pareto: Pareto type I with that mean and
// standard deviation: with v = (jitter / latency)^2, shape a = 1 + sqrt(1 + 1/v), smallest value
// latency (a - 1) / a (from mean a m / (a - 1) and variance a m^2 / ((a - 1)^2 (a - 2)); Johnson,
// Kotz, Balakrishnan, Continuous Univariate Distributions I, ch. 20); never negative.
//
// Correlation is a Gaussian copula: z[i] = rho z[i-1] + sqrt(1 - rho^2) e[i], delay =
// quantile(Phi(z)), so the distribution stays exact.
class DelayModel {
 public:
  // No delay is longer: the pareto tail has no end of its own.
  static constexpr std::chrono::seconds kMax{60};

  DelayModel(const api::NetworkLatency& spec, std::uint64_t seed);
  // Of the next packet; 0 .. kMax.
  std::chrono::nanoseconds next();
  // No delay is shorter.
  [[nodiscard]] std::chrono::nanoseconds low() const;
  // All but one in 10 000 delays are shorter: what queues are sized by.
  [[nodiscard]] std::chrono::nanoseconds high() const;

 private:
  [[nodiscard]] double quantile(double u, double z) const;

  api::Distribution distribution_;
  double latency_;  // seconds
  double jitter_;
  double rho_;
  double shape_ = 0;  // pareto
  double scale_ = 0;
  double z_ = 0;
  bool first_ = true;
  DelayRandom random_;
};

}  // namespace faultline::agent
