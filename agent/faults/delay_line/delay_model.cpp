// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/delay_line/delay_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace faultline::agent {
namespace {

double phi(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

std::chrono::nanoseconds to_ns(double seconds) {
  const double longest = std::chrono::duration<double>(DelayModel::kMax).count();
  return std::chrono::nanoseconds(std::llround(std::clamp(seconds, 0.0, longest) * 1e9));
}

}  // namespace

DelayRandom::DelayRandom(std::uint64_t seed) {
  for (std::uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15;
    std::uint64_t x = seed;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    word = x ^ (x >> 31);
  }
}

std::uint64_t DelayRandom::bits() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

double DelayRandom::uniform() { return (static_cast<double>(bits() >> 11) + 0.5) * 0x1p-53; }

double DelayRandom::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  const double radius = std::sqrt(-2 * std::log(uniform()));
  const double angle = 2 * std::numbers::pi * uniform();
  spare_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

DelayModel::DelayModel(const api::NetworkLatency& spec, std::uint64_t seed)
    : distribution_(spec.distribution),
      latency_(spec.latency.seconds()),
      jitter_(spec.jitter.seconds()),
      rho_(std::clamp(spec.correlation.value, 0.0, 1.0)),
      random_(seed) {
  if (distribution_ == api::Distribution::pareto && jitter_ > 0 && latency_ > 0) {
    const double v = (jitter_ / latency_) * (jitter_ / latency_);
    shape_ = 1 + std::sqrt(1 + 1 / v);
    scale_ = latency_ * (shape_ - 1) / shape_;
  }
}

double DelayModel::quantile(double u, double z) const {
  switch (distribution_) {
    case api::Distribution::uniform:
      return latency_ + jitter_ * (2 * u - 1);
    case api::Distribution::normal:
      return latency_ + jitter_ * z;
    case api::Distribution::pareto:
      return shape_ > 0 ? scale_ * std::pow(1 - u, -1 / shape_) : latency_;
  }
  return latency_;
}

std::chrono::nanoseconds DelayModel::next() {
  double seconds = latency_;
  if (jitter_ > 0) {
    double u = 0, z = 0;
    if (rho_ == 0 && distribution_ != api::Distribution::normal) {
      u = random_.uniform();
    } else {
      const double e = random_.normal();
      z_ = first_ ? e : rho_ * z_ + std::sqrt(1 - rho_ * rho_) * e;
      first_ = false;
      z = z_;
      if (distribution_ != api::Distribution::normal) u = std::min(phi(z), 1 - 0x1p-53);
    }
    seconds = quantile(u, z);
  }
  return to_ns(seconds);
}

std::chrono::nanoseconds DelayModel::low() const {
  if (jitter_ == 0) return to_ns(latency_);
  return to_ns(distribution_ == api::Distribution::normal ? 0 : quantile(0, 0));
}

std::chrono::nanoseconds DelayModel::high() const {
  constexpr double kU = 0.9999, kZ = 3.719;  // Phi(kZ) = kU
  return to_ns(jitter_ > 0 ? quantile(kU, kZ) : latency_);
}

}  // namespace faultline::agent
