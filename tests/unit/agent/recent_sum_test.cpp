// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/recent_sum.h"

#include <gtest/gtest.h>

namespace faultline::agent::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(RecentSum, IsOfTheLastWindowsThatAreAskedFor) {
  RecentSum sum;
  EXPECT_EQ(sum.of_last(60), 0U);
  for (std::uint64_t i = 1; i <= 130; ++i) {
    sum.add(i);
    EXPECT_EQ(sum.of_last(1), i);
    EXPECT_EQ(sum.of_last(2), i == 1 ? 1 : 2 * i - 1);
    const std::uint64_t first = i > 60 ? i - 59 : 1;
    EXPECT_EQ(sum.of_last(60), (first + i) * (i - first + 1) / 2);
    EXPECT_EQ(sum.of_last(1000), sum.of_last(60));
  }
}

TEST(RecentSum, AMapForgetsWhenMoreBeginThanItHoldsWhileRequestsWait) {
  RecentSum began;
  for (int window = 0; window < 60; ++window) began.add(300);
  EXPECT_FALSE(may_have_forgotten(began, 8192, milliseconds(20))) << "all are answered at once";
  EXPECT_FALSE(may_have_forgotten(began, 8192, seconds(10))) << "3 300 began since";
  EXPECT_TRUE(may_have_forgotten(began, 8192, seconds(25))) << "who waits for 28 s is forgotten";
  EXPECT_TRUE(may_have_forgotten(began, 8192, seconds(60)));
  began.add(8000);
  EXPECT_FALSE(may_have_forgotten(began, 8192, milliseconds(499)));
  EXPECT_TRUE(may_have_forgotten(began, 8192, milliseconds(500)));
}

}  // namespace
}  // namespace faultline::agent::test
