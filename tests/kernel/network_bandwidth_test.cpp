// SPDX-License-Identifier: Apache-2.0
// A pod's narrow link against counters that are not its own: iperf3, ping, and datagrams that are
// counted where they arrive.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <thread>

#include "testbed/arm.h"
#include "testbed/emulated.h"
#include "testbed/latency_probe.h"
#include "testbed/needs.h"
#include "testbed/rate_probe.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"
#include "testbed/udp.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using std::chrono::milliseconds;
constexpr std::uint16_t kPort = 7400;
constexpr double kMbit = 1e6;
// Of a full frame, what is payload of TCP with time stamps.
constexpr double kTcpShare = 1448.0 / 1514;

api::NetworkBandwidth at_most(double bits_per_second,
                              api::Direction direction = api::Direction::to) {
  api::NetworkBandwidth fault;
  fault.rate.bits_per_second = static_cast<std::uint64_t>(bits_per_second);
  fault.direction = direction;
  return fault;
}

// A busy machine may be late at either end of what is measured, which is a second or more.
void expect_rate(double measured, double asked, const char* what) {
  std::cout << what << ": " << measured / kMbit << " Mbit/s, asked " << asked / kMbit << "\n";
  EXPECT_LT(measured, asked * (emulated() ? 1.12 : 1.04)) << what;
  EXPECT_GT(measured, asked * (emulated() ? 0.7 : 0.92)) << what;
}

// What the fault measured itself, until now.
void expect_reported(agent::ArmedFault& fault, double asked) {
  const auto done = fault.disarm();  // knows whether all came out, cut as they were
  EXPECT_TRUE(done) << done.error().message;
  const auto c = counters(fault);
  ASSERT_TRUE(c.link);
  ASSERT_GT(c.link->seconds, 0);
  const double rate = static_cast<double>(c.link->bytes) * 8 / c.link->seconds;
  std::cout << "reported " << rate / kMbit << " Mbit/s over " << c.link->seconds << " s, "
            << c.injected << " of " << c.matched << " hit, " << c.link->dropped << " dropped\n";
  EXPECT_NEAR(rate, asked, asked * (emulated() ? 0.1 : 0.03));
  EXPECT_EQ(c.lost, 0U);
  EXPECT_EQ(c.errors, 0U);
}

class NetworkBandwidth : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS_TC(); }

  Flood pod_to_host(const TestPod& pod, const FloodOptions& options) {
    const auto receiver = udp_receiver(net_.host4(), kPort);
    const auto sender = pod.in_netns([&] { return udp_sender(net_.host4(), kPort); });
    return flood(sender, receiver, options);
  }
  Flood host_to_pod(const TestPod& pod, const FloodOptions& options) {
    const auto receiver = pod.in_netns([&] { return udp_receiver(pod.ip4(), kPort + 1); });
    return flood(udp_sender(pod.ip4(), kPort + 1), receiver, options);
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"};
};

TEST_F(NetworkBandwidth, UdpIsHeldToTheRateInOrderAndWhatFindsNoRoomIsDropped) {
  auto fault = arm(at_most(10 * kMbit), a_.pod());
  std::cout << fault->mechanism() << "\n";
  // 2 s at twice the rate: half of it, but for what the queue holds, cannot pass.
  const Flood f = pod_to_host(a_, {.bits_per_second = 20 * kMbit, .count = 3468});
  EXPECT_EQ(f.send_failures, 0U) << "who sends is not told";
  expect_rate(f.bits_per_second(5), 10 * kMbit, "udp");
  EXPECT_EQ(f.overtaken(), 0U);
  expect_reported(*fault, 10 * kMbit);
  const auto c = counters(*fault);
  EXPECT_EQ(c.matched, f.sent);
  EXPECT_EQ(c.link->dropped, f.lost());
  EXPECT_GT(f.lost(), 1000U);
  EXPECT_LE(c.injected, c.matched);
  EXPECT_GT(c.injected, c.matched - 100) << "all but the first waited or were dropped";
  // The queue is 100 ms long, and one packet more.
  EXPECT_NEAR(c.added_latency.quantile(0.9).value_or(0) * 1e3, 100, 10);
  // One packet may leave late on a busy machine (29 ms were seen); none waits for a second queue.
  EXPECT_LT(c.added_latency.max * 1e3, 2 * 100);
}

TEST_F(NetworkBandwidth, TcpIsHeldToTheRateBothWays) {
  for (const bool from : {false, true}) {
    const auto fault =
        arm(at_most(20 * kMbit, from ? api::Direction::from : api::Direction::to), a_.pod());
    const double rate = iperf3(a_, net_.host4(), {.reverse = from});
    expect_rate(rate, 20 * kMbit * kTcpShare, from ? "tcp, receives" : "tcp, sends");
    expect_reported(*fault, 20 * kMbit);
  }
}

TEST_F(NetworkBandwidth, TcpOverIpv6IsHeldToTheRate) {
  const auto fault = arm(at_most(20 * kMbit), a_.pod());
  expect_rate(iperf3(a_, net_.host6()), 20 * kMbit * 1428 / 1514, "tcp over IPv6");
}

TEST_F(NetworkBandwidth, ASlowLinkIsHeldToo) {
  const auto fault = arm(at_most(1 * kMbit), a_.pod());
  const double rate = iperf3(a_, net_.host4(), {.seconds = "6"});
  // 32 KiB of queue are a quarter of a second here, and TCP's windows come and go in it.
  std::cout << rate / kMbit << " Mbit/s\n";
  EXPECT_LT(rate, 1 * kMbit * kTcpShare * 1.1);
  EXPECT_GT(rate, 1 * kMbit * kTcpShare * 0.8);
  expect_reported(*fault, 1 * kMbit);
}

TEST_F(NetworkBandwidth, AFastLinkWhoseLargeSegmentsStayWholeIsHeldToo) {
  FAULTLINE_NEEDS_REAL_TIME;
  const auto fault = arm(at_most(300 * kMbit), a_.pod());
  expect_rate(iperf3(a_, net_.host4()), 300 * kMbit * kTcpShare, "tcp");
  expect_reported(*fault, 300 * kMbit);
}

TEST_F(NetworkBandwidth, LargeSegmentsAreCutSoThatSmallPacketsPassBetweenThem) {
  // A segment of 64 KiB in one piece would hold this link for a quarter of a second.
  const auto fault = arm(at_most(2 * kMbit), a_.pod());
  const double rate = iperf3(a_, net_.host4(), {.flows = 2, .seconds = "4"});
  expect_rate(rate, 2 * kMbit * kTcpShare, "two flows");
  const auto c = counters(*fault);
  // The link's packets are what goes over a wire: their mean is a full frame, acknowledgements not
  // being of this direction.
  const double seconds = c.link->seconds;
  EXPECT_GT(static_cast<double>(c.matched), 0.9 * seconds * 2 * kMbit / 8 / 1514);
  // Queue of 131 ms, one frame of 6 ms, and what a busy machine is late by. One segment of 64 KiB
  // in the way would be 262 ms.
  EXPECT_LT(c.added_latency.max * 1e3, 131 + 6 + 60);
}

TEST_F(NetworkBandwidth, EachDirectionHasALinkOfItsOwn) {
  struct Case {
    api::Direction direction;
    bool to, from;
  };
  for (const Case& c :
       {Case{api::Direction::to, true, false}, Case{api::Direction::from, false, true},
        Case{api::Direction::both, true, true}}) {
    const auto fault = arm(at_most(8 * kMbit, c.direction), a_.pod());
    // 1.2 s at 16 Mbit/s, both at once.
    const FloodOptions options{.bits_per_second = 16 * kMbit, .count = 1600};
    Flood to, from;
    std::thread other([&] { from = host_to_pod(a_, options); });
    to = pod_to_host(a_, options);
    other.join();
    if (c.to)
      expect_rate(to.bits_per_second(5), 8 * kMbit, "to");
    else
      EXPECT_EQ(to.lost(), 0U);
    if (c.from)
      expect_rate(from.bits_per_second(5), 8 * kMbit, "from");
    else
      EXPECT_EQ(from.lost(), 0U);
    EXPECT_EQ(counters(*fault).matched, (c.to ? to.sent : 0) + (c.from ? from.sent : 0));
  }
}

TEST_F(NetworkBandwidth, WhatMatchesSharesOneLinkAndOtherPortsDoNot) {
  auto spec = at_most(10 * kMbit);
  spec.peerPorts = {kPort, kPort + 2};
  const auto fault = arm(spec, a_.pod());
  const FloodOptions options{.bits_per_second = 15 * kMbit, .count = 1300};
  std::vector<Flood> floods(3);
  std::vector<std::thread> threads;
  for (std::uint16_t i = 0; i < 3; ++i)
    threads.emplace_back([&, i] {
      const auto port = static_cast<std::uint16_t>(kPort + i);
      const auto receiver = udp_receiver(net_.host4(), port);
      const auto sender = a_.in_netns([&] { return udp_sender(net_.host4(), port); });
      floods[i] = flood(sender, receiver, options);
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(floods[1].lost(), 0U) << "a port that is not meant";
  EXPECT_GT(floods[0].lost() + floods[2].lost(), 800U);
  const double together = floods[0].bits_per_second(5) + floods[2].bits_per_second(5);
  // They neither begin nor end together, and one alone has the whole link: the sum is more than it,
  // and far from the 30 Mbit/s of two links. What the link itself was is the fault's to say.
  std::cout << "two flows together: " << together / kMbit << " Mbit/s, asked 10\n";
  EXPECT_GT(together, 10 * kMbit * (emulated() ? 0.7 : 0.92));
  EXPECT_LT(together, 14 * kMbit);
  expect_reported(*fault, 10 * kMbit);
  EXPECT_EQ(counters(*fault).matched, floods[0].sent + floods[2].sent);
}

TEST_F(NetworkBandwidth, ABurstPassesAtOnceAndTheRestWaits) {
  auto spec = at_most(2 * kMbit);
  spec.burst.bytes = 64 << 10;
  const auto fault = arm(spec, a_.pod());
  // 45 frames of 1442 bytes are 64 890 bytes: as many as the bucket holds.
  const Flood f = pod_to_host(a_, {.count = 65});
  ASSERT_EQ(f.lost(), 0U);
  EXPECT_LT(f.at[44] * 1e3, 100) << "at the rate it would be 260 ms";
  const double each_ms = 1442 * 8 / (2 * kMbit) * 1e3;
  // A sender that is held up in between finds a bucket that was filled a bit.
  // A thread that is late moves either end; at half or twice the rate it would be off by 52 ms.
  EXPECT_NEAR((f.at[64] - f.at[46]) * 1e3, 18 * each_ms, 30);
  const auto c = counters(*fault);
  EXPECT_EQ(c.matched, 65U);
  EXPECT_LE(c.injected, 20U) << "those that waited";
  EXPECT_GE(c.injected, emulated() ? 10U : 15U);
  EXPECT_EQ(c.added_latency.count(), c.injected);
}

TEST_F(NetworkBandwidth, TrafficBelowTheRateIsNotTouched) {
  const auto fault = arm(at_most(50 * kMbit, api::Direction::both), a_.pod());
  const Samples s = ping(a_.ip4(), 100);
  EXPECT_LT(s.median(), within_ms(1));
  const auto c = counters(*fault);
  EXPECT_EQ(c.matched, 200U);
  EXPECT_EQ(c.injected, 0U);
  EXPECT_EQ(c.first_injected.ns, 0U);
}

TEST_F(NetworkBandwidth, NeighbourOnTheSameBridgeIsNotHeld) {
  TestPod b(net_, "b");
  const auto fault = arm(at_most(1 * kMbit, api::Direction::both), a_.pod());
  const Flood f = pod_to_host(b, {.bits_per_second = 20 * kMbit, .count = 1000});
  EXPECT_EQ(f.lost(), 0U);
  EXPECT_GT(f.bits_per_second(), 15 * kMbit);
  EXPECT_EQ(counters(*fault).matched, 0U);
}

TEST_F(NetworkBandwidth, ItAddsUpWithALatency) {
  const auto slow = arm(at_most(10 * kMbit), a_.pod());
  api::NetworkLatency late;
  late.latency.value = milliseconds(20);
  const auto latency = arm(late, a_.pod());
  const Flood f = pod_to_host(a_, {.bits_per_second = 15 * kMbit, .count = 1000});
  expect_rate(f.bits_per_second(5), 10 * kMbit, "with a latency");
  EXPECT_GT(f.at.front() * 1e3, 20);
  EXPECT_EQ(counters(*slow).matched, f.sent);
}

}  // namespace
}  // namespace faultline::test
