// SPDX-License-Identifier: Apache-2.0
// Under an emulated CPU (tests/vm) a wake-up takes milliseconds and a packet costs a hundred times
// what it does on a real one. Tests of times are told here how much wider they must look; what no
// width can save is skipped there, and run on this machine's own kernel.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

namespace faultline::testbed {

inline bool emulated() { return std::getenv("FAULTLINE_EMULATED") != nullptr; }

// A bound in milliseconds: as given, or with what an emulated machine may add to a round trip; less
// than half of the 20 ms that most tests delay by, so that a delay is never taken for none.
inline double within_ms(double ms) { return emulated() ? ms + 8 : ms; }

// A number of samples: fewer where each takes long.
inline int fewer(int n) { return emulated() ? n / 5 : n; }
// The same of whole cycles of arming and disarming, of which each takes seconds there. What one
// cycle leaves behind is seen after a few; growth that shows only after hundreds is looked for on
// this machine's own kernel.
inline int cycles(int n) { return emulated() ? std::max(3, n / 40) : n; }

}  // namespace faultline::testbed

// In a test: returns from it.
#define FAULTLINE_NEEDS_REAL_TIME \
  if (faultline::testbed::emulated()) GTEST_SKIP() << "needs: a CPU that is not emulated"
