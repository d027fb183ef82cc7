// SPDX-License-Identifier: Apache-2.0
// networkLoss where many packets come in one piece (GSO), as bulk TCP sends them: each packet of
// the wire has dice of its own, and none overtakes another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

#include "testbed/arm.h"
#include "testbed/bulk_tcp.h"
#include "testbed/emulated.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/stats.h"
#include "testbed/test_pod.h"
#include "testbed/udp.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

constexpr std::size_t kSegment = 1448;  // of an MTU of 1500, with timestamps

api::NetworkLoss loss(double p, api::Direction direction) {
  api::NetworkLoss fault;
  fault.loss = {p};
  fault.direction = direction;
  return fault;
}

// Whole blocks of transfer().
std::size_t megabytes(int n) { return static_cast<std::size_t>(fewer(n)) << 20; }

class NetworkLossPieces : public testing::TestWithParam<api::Direction> {
 protected:
  void SetUp() override { FAULTLINE_NEEDS_TC(); }

  struct Sent {
    std::size_t arrived = 0;
    long again = 0;     // segments sent again
    long needless = 0;  // of these, such as the receiver had already
    long late =
        0;  // segments that came in another order than they were sent; also behind a lost one
  };
  // To the pod that has the fault, or from it.
  Sent send(std::size_t bytes, bool v6 = false) const {
    const bool to = GetParam() == api::Direction::to;
    return send(to ? a_ : b_, to ? b_ : a_, bytes, v6);
  }
  Delivery send_datagrams(std::uint32_t count, bool v6) const {
    const bool to = GetParam() == api::Direction::to;
    const TestPod &from = to ? a_ : b_, &target = to ? b_ : a_;
    const std::string address = v6 ? target.ip6() : target.ip4();
    const auto receiver = target.in_netns([&] { return udp_receiver(address, 7000); });
    const auto sender = from.in_netns([&] { return udp_sender(address, 7000); });
    return send_numbered(sender, receiver, count, 20);
  }
  static Sent send(const TestPod& from, const TestPod& to, std::size_t bytes, bool v6) {
    const auto again = [&] { return tcp_counter(from, "RetransSegs"); };
    const auto needless = [&] { return tcp_counter(from, "TCPDSACKRecv"); };
    const Sent before{.again = again(), .needless = needless()};
    const std::size_t arrived = transfer(from, to, v6 ? to.ip6() : to.ip4(), bytes);
    return {.arrived = arrived,
            .again = again() - before.again,
            .needless = needless() - before.needless};
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"}, b_{net_, "b"}, c_{net_, "c"};
};

TEST_P(NetworkLossPieces, EachPacketOfTheWireHasDiceOfItsOwn) {
  constexpr double kLoss = 0.01;
  const std::size_t bytes = megabytes(64);
  for (const bool v6 : {false, true}) {
    const auto fault = arm(loss(kLoss, GetParam()), a_.pod());
    const Sent sent = send(bytes, v6);
    const auto c = counters(*fault);
    const double share = static_cast<double>(c.injected) / static_cast<double>(c.matched);
    std::cout << c.matched << " packets, " << c.injected << " lost = " << share << ", sent again "
              << sent.again << ", needlessly " << sent.needless
              << std::endl;  // before a child inherits it
    EXPECT_EQ(sent.arrived, bytes);
    EXPECT_EQ(c.lost + c.errors + c.stalled, 0U);
    EXPECT_GE(c.matched, bytes / kSegment) << "packets of the wire, and not pieces of many";
    EXPECT_LT(c.matched, bytes / kSegment * 11 / 10);
    EXPECT_TRUE(binomial_interval(kLoss, c.matched).contains(share)) << share;
    // What is lost is sent again, but for a bare acknowledgement. How much more is up to the
    // machine: two CPUs that send for one connection overtake each other, with or without us.
    EXPECT_GE(sent.again, static_cast<long>(c.injected) - 5);
    const auto before = counters(*fault).matched;
    EXPECT_EQ(send(b_, c_, megabytes(8), v6).arrived, megabytes(8));
    EXPECT_EQ(counters(*fault).matched, before) << "what neighbours send to each other";
  }
}

// With an MTU of 576 a piece has up to 125 packets, more than there are bits for their fates.
TEST_P(NetworkLossPieces, PiecesOfVeryManyPacketsAreCutToo) {
  for (const TestPod* pod : {&a_, &b_})
    ASSERT_EQ(pod->exec({"ip", "link", "set", "dev", "eth0", "mtu", "576"}).status, 0);
  const std::size_t bytes = megabytes(32);
  const auto fault = arm(loss(0.01, GetParam()), a_.pod());
  const Sent sent = send(bytes);
  const auto c = counters(*fault);
  const double share = static_cast<double>(c.injected) / static_cast<double>(c.matched);
  std::cout << c.matched << " packets, " << c.injected << " lost = " << share << std::endl;
  EXPECT_EQ(sent.arrived, bytes);
  EXPECT_EQ(c.lost + c.errors, 0U);
  EXPECT_GE(c.matched, bytes / (576 - 52));
  // Four of them at once are more than the pair takes; that is told.
  EXPECT_LT(c.stalled, c.matched / 20);
  if (c.stalled == 0) {
    EXPECT_TRUE(binomial_interval(0.01, c.matched).contains(share)) << share;
  }
  EXPECT_GT(share, 0.008);
}

TEST_P(NetworkLossPieces, BurstsAreOfPacketsOfTheWireToo) {
  auto spec = loss(0.01, GetParam());
  spec.burst.emplace().length = 4;
  const std::size_t bytes = megabytes(32);
  const auto fault = arm(spec, a_.pod());
  const Sent sent = send(bytes);
  const auto c = counters(*fault);
  const double share = static_cast<double>(c.injected) / static_cast<double>(c.matched);
  std::cout << c.matched << " packets, " << c.injected << " lost = " << share
            << std::endl;  // before a child inherits it
  EXPECT_EQ(sent.arrived, bytes);
  EXPECT_EQ(c.lost + c.errors + c.stalled, 0U);
  EXPECT_GE(c.matched, bytes / kSegment);
  // About the square root of seven times as wide as of independent losses (P. Billingsley,
  // Statistical Inference for Markov Processes): bursts of four.
  const auto interval = binomial_interval(0.01, c.matched / 7);
  EXPECT_TRUE(interval.contains(share)) << share;
}

// Datagrams with numbers, twenty in one piece, sent by one thread: exactly what was injected is
// missing, single ones of a piece, and none overtakes another, of pieces that are cut and pieces
// that pass.
TEST_P(NetworkLossPieces, OfDatagramsInOnePieceSingleOnesAreLostAndTheOrderStays) {
  const auto count = static_cast<std::uint32_t>(fewer(60000));
  for (const double p : {0.0005, 0.01, 0.2}) {
    for (const bool v6 : {false, true}) {
      const auto fault = arm(loss(p, GetParam()), a_.pod());
      const Delivery d = send_datagrams(count, v6);
      const auto runs = d.loss_runs();
      const auto longest = runs.empty() ? 0 : *std::ranges::max_element(runs);
      std::cout << p << ": " << d.lost() << " of " << count << " lost, at most " << longest
                << " in a row, " << d.overtaken << " overtaken\n";
      const auto c = counters(*fault);
      EXPECT_EQ(c.matched, count);
      EXPECT_EQ(c.injected, d.lost());
      EXPECT_EQ(c.lost + c.errors + d.send_failures, 0U);
      // A flood may be more than the pair takes where another program has the CPU now and then.
      if (c.stalled == 0) {
        EXPECT_EQ(d.overtaken, 0U);
        EXPECT_TRUE(binomial_interval(p, count).contains(static_cast<double>(d.lost()) / count));
      } else {
        EXPECT_TRUE(emulated()) << c.stalled << " stalled";
      }
      EXPECT_LT(longest, 15U) << "a piece of 20 was lost whole";
      EXPECT_TRUE(fault->disarm());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, NetworkLossPieces,
                         testing::Values(api::Direction::to, api::Direction::from),
                         [](const auto& test) {
                           return test.param == api::Direction::to ? "To" : "From";
                         });

}  // namespace
}  // namespace faultline::test
