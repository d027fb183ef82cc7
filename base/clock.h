// SPDX-License-Identifier: Apache-2.0
// Time. Inside a process std::chrono is used everywhere; KtimeNs is the one type at the kernel
// border, and UtcTime the one that is written into reports. steady_clock is CLOCK_MONOTONIC, which
// is what bpf_ktime_get_ns() reads.
#pragma once

#include <chrono>
#include <cstdint>

namespace faultline {

using SteadyTime = std::chrono::steady_clock::time_point;
using UtcTime = std::chrono::sys_time<std::chrono::nanoseconds>;

// Nanoseconds of CLOCK_MONOTONIC as BPF programs see them. 0 means "never".
struct KtimeNs {
  std::uint64_t ns = 0;
  friend auto operator<=>(const KtimeNs&, const KtimeNs&) = default;
};

// Passed in wherever time matters so that tests can move it. Implementations are thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual SteadyTime steady() const = 0;
  [[nodiscard]] virtual UtcTime utc() const = 0;

  [[nodiscard]] KtimeNs ktime() const {
    return {static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(steady().time_since_epoch()).count())};
  }
  // Maps kernel time to UTC with both clocks read now.
  [[nodiscard]] UtcTime to_utc(KtimeNs t) const {
    return utc() - std::chrono::nanoseconds(static_cast<std::int64_t>(ktime().ns - t.ns));
  }
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] UtcTime utc() const override { return std::chrono::system_clock::now(); }
};

}  // namespace faultline
