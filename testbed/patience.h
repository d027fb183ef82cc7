// SPDX-License-Identifier: Apache-2.0
// What has to be slower where a CPU is emulated (tests/vm). Thread-safe.
#pragma once

#include <chrono>
#include <cstdlib>

namespace faultline::testbed {

inline bool on_emulated_cpu() { return std::getenv("FAULTLINE_EMULATED") != nullptr; }

// As given; on an emulated CPU, on which a program begins a minute after it was started, ten times
// as long. For waiting until something begins, and for pauses between requests.
inline std::chrono::milliseconds patience(std::chrono::milliseconds on_a_real_cpu) {
  return on_emulated_cpu() ? 10 * on_a_real_cpu : on_a_real_cpu;
}

}  // namespace faultline::testbed
