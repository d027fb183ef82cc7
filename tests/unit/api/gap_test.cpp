// SPDX-License-Identifier: Apache-2.0
#include "api/gap.h"

#include <gtest/gtest.h>

namespace faultline::api {
namespace {

TEST(Gap, CoversItsMetricAllOrThoseThatBeginAlike) {
  EXPECT_TRUE(covers({.metric = ""}, "tcp.rtt"));
  EXPECT_TRUE(covers({.metric = "tcp.rtt"}, "tcp.rtt"));
  EXPECT_FALSE(covers({.metric = "tcp.rtt"}, "tcp.rt"));
  EXPECT_TRUE(covers({.metric = "request.*"}, "request.latency"));
  EXPECT_FALSE(covers({.metric = "request.*"}, "requests"));
  EXPECT_FALSE(covers({.metric = "request.*"}, "connect.latency"));
}

TEST(Gap, ThatGoesOnAddsUpWhatIsMissing) {
  Gap gap{.missed = 2, .of = 10};
  go_on(gap, {.missed = 3, .of = 5});
  EXPECT_EQ(gap.missed, 5U);
  EXPECT_EQ(gap.of, 15U);
}

TEST(Gap, ThatGoesOnWithoutNumbersIsAllOfIt) {
  Gap gap{.missed = 2, .of = 10};
  go_on(gap, {});
  EXPECT_FALSE(gap.missed);
  EXPECT_FALSE(gap.of);
  go_on(gap, {.missed = 1, .of = 1});
  EXPECT_FALSE(gap.missed) << "what was unknown stays so";
}

}  // namespace
}  // namespace faultline::api
