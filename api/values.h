// SPDX-License-Identifier: Apache-2.0
// The scalar values of the language: what a person writes as a word or a number with a unit. Each
// has parse() and format(), which are inverse to each other, and appears in JSON and YAML as that
// text (Seconds and Fraction, which reports use, are plain numbers).
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace faultline::api {

// Go-style: "200ms", "1m30s", "1.5s"; never negative; at most 24 h.
struct Duration {
  std::chrono::nanoseconds value{0};
  static Result<Duration> parse(std::string_view text);
  [[nodiscard]] std::string format() const;
  [[nodiscard]] double seconds() const { return std::chrono::duration<double>(value).count(); }
  friend auto operator<=>(const Duration&, const Duration&) = default;
};

// "5%", "0.5%", or a bare number 0..1. Kept as a fraction.
struct Probability {
  double value = 0;
  static Result<Probability> parse(std::string_view text);
  [[nodiscard]] std::string format() const;
  friend auto operator<=>(const Probability&, const Probability&) = default;
};

// "EIO". Positive errno value, 1..4095.
struct ErrnoName {
  int value = 0;
  static Result<ErrnoName> parse(std::string_view text);
  [[nodiscard]] std::string format() const;
  friend auto operator<=>(const ErrnoName&, const ErrnoName&) = default;
};

// "10mbps", "1gbps", "500kbps" (tc words): bits per second.
struct BitRate {
  std::uint64_t bits_per_second = 0;
  static Result<BitRate> parse(std::string_view text);
  [[nodiscard]] std::string format() const;
  friend auto operator<=>(const BitRate&, const BitRate&) = default;
};

// "64Mi", "100M", "4096": bytes, Kubernetes quantity suffixes.
struct ByteSize {
  std::uint64_t bytes = 0;
  static Result<ByteSize> parse(std::string_view text);
  [[nodiscard]] std::string format() const;
  friend auto operator<=>(const ByteSize&, const ByteSize&) = default;
};

// "10.0.0.0/8", "fd00::/8", a bare address means one host. IPv4 is kept as an IPv4-mapped IPv6
// address.
struct Cidr {
  std::uint8_t address[16] = {};
  int prefix = 128;  // bits of the 128-bit form: IPv4 /8 is 104
  bool v4 = false;
  static Result<Cidr> parse(std::string_view text);
  [[nodiscard]] std::string format() const;
  friend auto operator<=>(const Cidr&, const Cidr&) = default;
};

// RFC 3339 with microseconds, UTC: "2026-11-23T10:15:02.123456Z". The epoch means "never" and is
// null in JSON.
struct Timestamp {
  UtcTime value{};
  static Result<Timestamp> parse(std::string_view text);
  [[nodiscard]] std::string format() const;
  [[nodiscard]] bool set() const { return value != UtcTime{}; }
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

}  // namespace faultline::api
