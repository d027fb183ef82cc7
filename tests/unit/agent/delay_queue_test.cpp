// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/delay_line/delay_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace faultline::agent {
namespace {

HeldPacket packet(std::uint64_t due, std::uint32_t id = 0) { return {.due = {due}, .size = id}; }
std::vector<std::uint32_t> drain(DelayQueue& queue) {
  std::vector<std::uint32_t> ids;
  while (!queue.empty()) ids.push_back(queue.pop().size);
  return ids;
}

TEST(DelayQueue, LeavesByDueTime) {
  DelayQueue queue;
  for (const auto& [due, id] : {std::pair{30u, 3u}, {10u, 1u}, {40u, 4u}, {20u, 2u}, {35u, 5u}})
    queue.push(packet(due, id));
  EXPECT_EQ(queue.size(), 5u);
  EXPECT_EQ(queue.next_due().ns, 10u);
  EXPECT_EQ(drain(queue), (std::vector<std::uint32_t>{1, 2, 3, 5, 4}));
}

TEST(DelayQueue, EqualDueTimesLeaveInTheOrderTheyCame) {
  DelayQueue queue;
  queue.push(packet(50, 0));  // sends the next ones to the heap
  for (std::uint32_t id = 1; id < 100; ++id) queue.push(packet(10, id));
  queue.push(packet(50, 100));
  const auto ids = drain(queue);
  ASSERT_EQ(ids.size(), 101u);
  for (std::uint32_t i = 0; i < 99; ++i) EXPECT_EQ(ids[i], i + 1);
  EXPECT_EQ(ids[99], 0u);
  EXPECT_EQ(ids[100], 100u);
}

TEST(DelayQueue, AnyMixOfPushAndPopIsAStableSort) {
  std::mt19937 random(1);
  DelayQueue queue;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> left, got;
  std::uint64_t now = 0;
  for (std::uint32_t id = 0; id < 20000; ++id) {
    now += random() % 10;
    const std::uint64_t due = now + random() % 500;
    queue.push(packet(due, id));
    left.emplace_back(due, id);
    while (!queue.empty() && queue.next_due().ns <= now) {
      const HeldPacket p = queue.pop();
      got.emplace_back(p.due.ns, p.size);
    }
  }
  while (!queue.empty()) {
    const HeldPacket p = queue.pop();
    got.emplace_back(p.due.ns, p.size);
  }
  std::sort(left.begin(), left.end());
  EXPECT_EQ(got, left);
}

TEST(DelayQueue, HurryKeepsOrderAndEndsInTime) {
  std::mt19937 random(2);
  DelayQueue calm, hurried;
  for (std::uint32_t id = 0; id < 1000; ++id) {
    const std::uint64_t due = random() % 1'000'000'000;
    calm.push(packet(due, id));
    hurried.push(packet(due, id));
  }
  hurried.hurry({400'000'000}, std::chrono::milliseconds(20));
  std::uint64_t last = 0;
  std::vector<std::uint32_t> ids;
  while (!hurried.empty()) {
    const HeldPacket p = hurried.pop();
    last = p.due.ns;
    ids.push_back(p.size);
  }
  EXPECT_LE(last, 420'000'000u);
  EXPECT_GT(last, 419'000'000u);
  EXPECT_EQ(ids, drain(calm));
}

TEST(DelayQueue, HurryLetsTheFirstGoAtOnceAndTheOthersAtTheirPace) {
  DelayQueue queue;
  for (const std::uint64_t due : {8'000'000u, 9'000'000u, 11'000'000u}) queue.push(packet(due, 1));
  EXPECT_EQ(queue.hurry({5'000'000}, std::chrono::milliseconds(20)).ns, 8'000'000u);
  std::vector<std::uint64_t> due;
  while (!queue.empty()) due.push_back(queue.pop().due.ns);
  EXPECT_EQ(due, (std::vector<std::uint64_t>{5'000'000, 6'000'000, 8'000'000}));
  DelayQueue empty;
  EXPECT_EQ(empty.hurry({7}, std::chrono::milliseconds(20)).ns, 7u);
  EXPECT_TRUE(empty.empty());
}

TEST(FlowOrder, APacketIsNeverDueBeforeTheOneBeforeItOfItsFlow) {
  FlowOrder order;
  EXPECT_EQ(order.in_order(1, {100}).ns, 100u);
  EXPECT_EQ(order.in_order(1, {50}).ns, 100u);
  EXPECT_EQ(order.in_order(2, {50}).ns, 50u);
  EXPECT_EQ(order.in_order(1, {120}).ns, 120u);
  order.forget();
  EXPECT_EQ(order.in_order(1, {60}).ns, 60u);
}

}  // namespace
}  // namespace faultline::agent
