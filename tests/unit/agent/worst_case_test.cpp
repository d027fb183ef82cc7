// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/worst_case.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultline::agent::test {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
constexpr std::size_t kMost = 128U << 20;

api::NetworkLatency latency(milliseconds ms, api::Direction direction = api::Direction::to) {
  api::NetworkLatency spec;
  spec.latency.value = ms;
  spec.direction = direction;
  return spec;
}

// 100 000 small packets a second to others, 20 MiB a second from them.
const PodTraffic kBusy{.to = {.packets = 100'000, .bytes = 100'000 * 100},
                       .from = {.packets = 14'000, .bytes = 20 << 20}};

TEST(WorstCase, ADelayOfMoreTrafficThanFitsIsRefusedWithTheFigures) {
  EXPECT_TRUE(fits(latency(milliseconds(1000)), kBusy, kMost));
  const auto refused = fits(latency(milliseconds(2000)), kBusy, kMost);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  // 100 000 packets of 100 + 768 bytes, for 2 s.
  EXPECT_THAT(refused.error().message, HasSubstr("could hold 166 MiB"));
  EXPECT_THAT(refused.error().message, HasSubstr("82.8 MiB a second before the faults, for 2 s"));
  EXPECT_THAT(refused.error().message, HasSubstr("may hold 128 MiB"));
}

TEST(WorstCase, EachDirectionCountsWhereItIsHit) {
  EXPECT_TRUE(fits(latency(milliseconds(6000), api::Direction::from), kBusy, kMost));
  EXPECT_FALSE(fits(latency(milliseconds(7000), api::Direction::from), kBusy, kMost));
  EXPECT_FALSE(fits(latency(milliseconds(1300), api::Direction::both), kBusy, kMost));
}

TEST(WorstCase, TheLongestDelaysAndTheProbabilityCount) {
  auto spec = latency(milliseconds(1000));
  spec.jitter.value = milliseconds(900);
  EXPECT_FALSE(fits(spec, kBusy, kMost));
  spec.probability.value = 0.5;
  EXPECT_TRUE(fits(spec, kBusy, kMost));
}

TEST(WorstCase, WhatWasNotMeasuredOrIsMeantForAPartIsLeftToTheBound) {
  EXPECT_TRUE(fits(latency(milliseconds(9000)), std::nullopt, kMost));
  auto spec = latency(milliseconds(9000));
  spec.podPorts = {80};
  EXPECT_TRUE(fits(spec, kBusy, kMost));
}

TEST(WorstCase, TheQueueOfANarrowLinkHasToFit) {
  api::NetworkBandwidth spec;
  spec.rate.bits_per_second = 10'000'000'000;  // 100 ms of it are 119 MiB
  EXPECT_TRUE(fits(spec, kMost));
  spec.direction = api::Direction::both;
  const auto refused = fits(spec, kMost);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("could hold 238 MiB (the queue of the link)"));
}

}  // namespace
}  // namespace faultline::agent::test
