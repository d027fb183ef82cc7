// SPDX-License-Identifier: Apache-2.0
// How long this machine has slept since it was started: a laptop that was closed, a virtual machine
// that was suspended. The steady clock (CLOCK_MONOTONIC, which BPF programs read) stands still
// meanwhile, CLOCK_BOOTTIME does not. Leases and phases count it, so that nothing goes on for hours
// of real time. Thread-safe.
#pragma once

#include <time.h>

#include <chrono>

namespace faultline {

// Since the boot; the two clocks are read one after the other, so that it may be microseconds off.
inline std::chrono::nanoseconds machine_slept() {
  const auto read = [](clockid_t id) {
    timespec t{};
    clock_gettime(id, &t);
    return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
  };
  const auto steady = read(CLOCK_MONOTONIC);
  const auto slept = read(CLOCK_BOOTTIME) - steady;
  return slept < std::chrono::milliseconds(1) ? std::chrono::nanoseconds(0) : slept;
}

}  // namespace faultline
