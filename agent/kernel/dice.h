// SPDX-License-Identifier: Apache-2.0
// Probabilities as BPF programs compare them: 32 random bits against a threshold.
#pragma once

#include <cmath>
#include <cstdint>

#include "fault_abi.h"

namespace faultline::agent {

// p is clamped to 0..1. 1 gives FL_CERTAIN, which all 32-bit numbers are below. Wrong by at most
// 1.2e-10.
[[nodiscard]] inline std::uint64_t fl_threshold(double p) {
  if (!(p > 0)) return 0;
  if (p >= 1) return FL_CERTAIN;
  return static_cast<std::uint64_t>(std::llround(p * static_cast<double>(FL_CERTAIN)));
}

}  // namespace faultline::agent
