// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/recent_sum.h"

#include <gtest/gtest.h>

namespace faultline::agent::test {
namespace {

TEST(RecentSum, IsOfTheLastSixtyWindows) {
  RecentSum sum;
  for (std::uint64_t i = 1; i <= 60; ++i) EXPECT_EQ(sum.add(300), 300 * i);
  EXPECT_EQ(sum.add(300), 18'000U);
  for (std::uint64_t i = 59; i > 0; --i) EXPECT_EQ(sum.add(0), 300 * i);
  EXPECT_EQ(sum.add(0), 0U);
}

TEST(RecentSum, AWindowCountsSixtyTimesWhereverItIs) {
  for (int before = 0; before < 130; ++before) {
    RecentSum sum;
    for (int i = 0; i < before; ++i) sum.add(0);
    EXPECT_EQ(sum.add(7), 7U);
    for (int i = 1; i < 60; ++i) EXPECT_EQ(sum.add(0), 7U);
    EXPECT_EQ(sum.add(0), 0U);
  }
}

}  // namespace
}  // namespace faultline::agent::test
