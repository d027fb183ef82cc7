// SPDX-License-Identifier: Apache-2.0
// The arithmetic of the narrow link, which BPF programs and the delay line share.
#include "agent/faults/narrow_link/narrow_link.h"

#include <gtest/gtest.h>

namespace faultline::agent {
namespace {

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr std::uint64_t kStart = 1000 * kSecond;

api::NetworkBandwidth at_most(std::uint64_t bits_per_second, std::uint64_t burst = 0) {
  api::NetworkBandwidth spec;
  spec.rate.bits_per_second = bits_per_second;
  spec.burst.bytes = burst;
  return spec;
}

// A link without a bucket: 8 Mbit/s are 1000 bytes a millisecond.
LinkRule bare(std::uint64_t queue_ns = 100 * kMs) {
  return LinkRule({.bits_per_second = 8'000'000, .burst_ns = 0, .queue_ns = queue_ns});
}

Arrival packet(std::uint64_t at, std::uint32_t bytes = 1000, std::uint32_t lane = FL_DELAY_TO) {
  return {.at = {at}, .lane = lane, .bytes = bytes};
}

TEST(NarrowLink, OnePacketAfterTheOther) {
  LinkRule link = bare();
  for (std::uint64_t i = 1; i <= 10; ++i) {
    const auto place = link.place(packet(kStart));
    ASSERT_TRUE(place);
    EXPECT_EQ(place->due.ns, kStart + i * kMs);
    EXPECT_TRUE(place->waits);
    EXPECT_EQ(place->behind, i > 1);
  }
}

TEST(NarrowLink, AnIdleLinkSavesNothingUp) {
  LinkRule link = bare();
  link.place(packet(kStart));
  EXPECT_EQ(link.place(packet(kStart + 500 * kMs))->due.ns, kStart + 501 * kMs);
}

TEST(NarrowLink, TheBucketPassesAtOnceAndFillsAtTheRate) {
  LinkRule link({.bits_per_second = 8'000'000, .burst_ns = 3 * kMs, .queue_ns = 100 * kMs});
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(link.place(packet(kStart))->waits);
  EXPECT_EQ(link.place(packet(kStart))->due.ns, kStart + kMs);
  // 2 ms after that one is out there are tokens for two.
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(link.place(packet(kStart + 3 * kMs))->waits);
  EXPECT_TRUE(link.place(packet(kStart + 3 * kMs))->waits);
}

TEST(NarrowLink, APacketLargerThanTheBucketWaitsForWhatIsMissing) {
  LinkRule link({.bits_per_second = 8'000'000, .burst_ns = kMs, .queue_ns = 100 * kMs});
  EXPECT_EQ(link.place(packet(kStart, 5000))->due.ns, kStart + 4 * kMs);
}

TEST(NarrowLink, AFullQueueDropsAndADropTakesNoPlace) {
  LinkRule link = bare(10 * kMs);
  int taken = 0;
  for (int i = 0; i < 100; ++i)
    if (link.place(packet(kStart))) ++taken;
  EXPECT_EQ(taken, 11) << "what 10 ms send, and the one that is half in";
  EXPECT_EQ(link.place(packet(kStart + 2 * kMs))->due.ns, kStart + 12 * kMs);
}

TEST(NarrowLink, EachDirectionHasItsOwn) {
  LinkRule link = bare();
  link.place(packet(kStart, 1000, FL_DELAY_TO));
  EXPECT_EQ(link.place(packet(kStart, 1000, FL_DELAY_FROM))->due.ns, kStart + kMs);
  // The second device of the pod.
  EXPECT_EQ(link.place(packet(kStart, 1000, 2 + FL_DELAY_TO))->due.ns, kStart + 2 * kMs);
}

TEST(NarrowLink, TheLongRunRateIsNeverExceeded) {
  for (const std::uint64_t rate : {8'000ULL, 1'234'567ULL, 100'000'000ULL, 9'876'543'210ULL}) {
    LinkRule link({.bits_per_second = rate, .burst_ns = 0, .queue_ns = ~0ULL >> 8});
    std::uint64_t bytes = 0, due = 0;
    for (std::uint32_t i = 0; i < 1000; ++i) {
      const std::uint32_t size = 60 + (i * 7919) % 1455;
      bytes += size;
      due = link.place(packet(kStart, size))->due.ns;
    }
    const double measured = static_cast<double>(bytes) * 8e9 / static_cast<double>(due - kStart);
    EXPECT_LE(measured, static_cast<double>(rate));
    EXPECT_GT(measured, static_cast<double>(rate) * 0.999) << rate;
  }
}

TEST(NarrowLink, WhatTheWordsMean) {
  const auto slow = link_config(at_most(1'000'000));
  EXPECT_EQ(slow.burst_ns, fl_link_ns(2 * 1514, 1'000'000)) << "two full frames at least";
  EXPECT_EQ(slow.queue_ns, fl_link_ns(32 << 10, 1'000'000)) << "32 KiB at least";
  const auto fast = link_config(at_most(1'000'000'000));
  EXPECT_EQ(fast.burst_ns, kMs);
  EXPECT_EQ(fast.queue_ns, 100 * kMs);
  EXPECT_EQ(link_queue_bytes(fast), 12'500'000U);
  EXPECT_EQ(link_config(at_most(8'000'000, 64'000)).burst_ns, 64 * kMs);
  EXPECT_LE(link_config(at_most(8'000, ~0ULL)).burst_ns, 3600 * kSecond) << "no overflow";
  EXPECT_EQ(link_packets(at_most(99'999'999)), FL_PACKETS_CUT);
  EXPECT_EQ(link_packets(at_most(100'000'000)), FL_PACKETS_WHOLE);
}

// What EDT can carry in a packet's hash (link_abi.h).
TEST(NarrowLink, TheLongestWaitFitsIntoAHash) {
  const auto slowest = link_config(at_most(8'000));
  const std::uint64_t longest = slowest.queue_ns + fl_link_ns(65'549, 8'000);
  EXPECT_LT(longest >> 10, 1ULL << (32 - FL_LINK_WAIT_SHIFT));
}

}  // namespace
}  // namespace faultline::agent
