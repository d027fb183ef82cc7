// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <numeric>

#include "testbed/arm.h"
#include "testbed/emulated.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/stats.h"
#include "testbed/tcp.h"
#include "testbed/test_pod.h"
#include "testbed/udp.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

const auto kMany = static_cast<std::uint32_t>(fewer(60000));
constexpr std::uint16_t kPort = 7000;

api::NetworkLoss loss(double p, api::Direction direction = api::Direction::to) {
  api::NetworkLoss fault;
  fault.loss = {p};
  fault.direction = direction;
  return fault;
}

class NetworkLoss : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS_TC(); }

  // Datagrams that the pod sends to the host, and the other way.
  Delivery pod_to_host(std::uint32_t count, const TestPod& pod, bool v6 = false,
                       std::uint16_t port = kPort, std::uint16_t source_port = 0) {
    const std::string host = v6 ? net_.host6() : net_.host4();
    const auto receiver = udp_receiver(host, port);
    const auto sender = pod.in_netns([&] { return udp_sender(host, port, source_port); });
    return send_numbered(sender, receiver, count);
  }
  Delivery host_to_pod(std::uint32_t count, const TestPod& pod, bool v6 = false) {
    const std::string& address = v6 ? pod.ip6() : pod.ip4();
    const auto receiver = pod.in_netns([&] { return udp_receiver(address, kPort); });
    return send_numbered(udp_sender(address, kPort), receiver, count);
  }
  static void expect_rate(const Delivery& d, double p, const char* what) {
    const double n = static_cast<double>(d.arrived.size());
    const double rate = static_cast<double>(d.lost()) / n;
    std::cout << what << ": " << d.lost() << " of " << n << " lost = " << rate << "\n";
    EXPECT_TRUE(binomial_interval(p, d.arrived.size()).contains(rate)) << what << " " << rate;
    EXPECT_EQ(d.send_failures, 0U) << what;
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"};
};

TEST_F(NetworkLoss, WithoutAFaultNothingIsLost) {
  EXPECT_EQ(pod_to_host(kMany, a_).lost(), 0U);
  EXPECT_EQ(host_to_pod(kMany, a_).lost(), 0U);
}

TEST_F(NetworkLoss, TenPercentToAreLostAndSendNeverFails) {
  const auto fault = arm(loss(0.1), a_.pod());
  const Delivery d = pod_to_host(kMany, a_);
  expect_rate(d, 0.1, "to");
  const auto c = counters(*fault);
  EXPECT_EQ(c.matched, kMany);
  EXPECT_EQ(c.injected, d.lost());
  EXPECT_GT(c.first_injected.ns, 0U);
  EXPECT_GT(c.last_injected, c.first_injected);
  EXPECT_EQ(host_to_pod(1000, a_).lost(), 0U) << "the other direction was not asked for";
}

TEST_F(NetworkLoss, TenPercentFromAreLostAndSendNeverFails) {
  const auto fault = arm(loss(0.1, api::Direction::from), a_.pod());
  const Delivery d = host_to_pod(kMany, a_);
  expect_rate(d, 0.1, "from");
  EXPECT_EQ(counters(*fault).injected, d.lost());
  EXPECT_EQ(pod_to_host(1000, a_).lost(), 0U);
}

TEST_F(NetworkLoss, BothDirectionsOverIpv6AreSummed) {
  const auto fault = arm(loss(0.1, api::Direction::both), a_.pod());
  const Delivery to = pod_to_host(kMany, a_, true), from = host_to_pod(kMany, a_, true);
  expect_rate(to, 0.1, "to, IPv6");
  expect_rate(from, 0.1, "from, IPv6");
  EXPECT_EQ(counters(*fault).matched, 2 * kMany) << "and no neighbour discovery";
  EXPECT_EQ(counters(*fault).injected, to.lost() + from.lost());
}

TEST_F(NetworkLoss, AllAndNoneAreExact) {
  {
    const auto all = arm(loss(1), a_.pod());
    EXPECT_EQ(pod_to_host(2000, a_).lost(), 2000U);
  }
  const auto none = arm(loss(0), a_.pod());
  EXPECT_EQ(pod_to_host(2000, a_).lost(), 0U);
  EXPECT_EQ(counters(*none).matched, 2000U);
  EXPECT_EQ(counters(*none).injected, 0U);
}

TEST_F(NetworkLoss, SameSeedLosesTheSameDatagramsAnotherSeedDoesNot) {
  const auto pattern = [&](std::uint64_t seed, api::NetworkLoss spec) {
    const auto fault = arm(std::move(spec), a_.pod(), {.seed = seed});
    return pod_to_host(5000, a_).arrived;
  };
  EXPECT_EQ(pattern(1, loss(0.2)), pattern(1, loss(0.2)));
  EXPECT_NE(pattern(1, loss(0.2)), pattern(2, loss(0.2)));
  auto correlated = loss(0.2);
  correlated.correlation = {0.5};
  EXPECT_EQ(pattern(1, correlated), pattern(1, correlated));
}

// With correlation c a run of losses has mean 1 / (1 - P(lost | lost)), P(lost | lost) = c + (1 -
// c) p.
TEST_F(NetworkLoss, CorrelatedLossKeepsItsRateAndHasItsLagOneCorrelation) {
  constexpr double kLoss = 0.1, kCorrelation = 0.5;
  auto spec = loss(kLoss);
  spec.correlation = {kCorrelation};
  const auto fault = arm(spec, a_.pod());
  const Delivery d = pod_to_host(static_cast<std::uint32_t>(fewer(100000)), a_);
  const double n = static_cast<double>(d.arrived.size());
  const double rate = static_cast<double>(d.lost()) / n;
  // Variance of the mean of an AR(1)-like chain: p q / n * (1 + c) / (1 - c).
  const double half =
      3.89 * std::sqrt(kLoss * (1 - kLoss) / n * (1 + kCorrelation) / (1 - kCorrelation));
  EXPECT_NEAR(rate, kLoss, half);
  double pairs = 0;
  for (std::size_t i = 1; i < d.arrived.size(); ++i)
    pairs += (!d.arrived[i] && !d.arrived[i - 1]) ? 1 : 0;
  const double correlation = (pairs / (n - 1) - rate * rate) / (rate * (1 - rate));
  std::cout << "rate " << rate << " lag-1 correlation " << correlation << "\n";
  const double wider = std::sqrt(100000 / n);  // 1 on a real CPU
  EXPECT_NEAR(correlation, kCorrelation, 0.03 * wider);
  const auto runs = d.loss_runs();
  const double mean =
      static_cast<double>(std::accumulate(runs.begin(), runs.end(), std::uint64_t{})) /
      static_cast<double>(runs.size());
  EXPECT_NEAR(mean, 1 / (1 - (kCorrelation + (1 - kCorrelation) * kLoss)), 0.1 * wider);
  EXPECT_EQ(d.send_failures, 0U);
}

// badLoss 1, goodLoss 0: a run of losses is a stay in the bad state.
TEST_F(NetworkLoss, BurstsHaveTheAskedMeanLengthAndTheLongRunLoss) {
  constexpr double kLoss = 0.1, kLength = 5;
  auto spec = loss(kLoss);
  spec.burst = api::LossBurst{.length = kLength};
  const auto fault = arm(spec, a_.pod());
  const Delivery d = pod_to_host(static_cast<std::uint32_t>(fewer(200000)), a_);
  const double n = static_cast<double>(d.arrived.size());
  const double rate = static_cast<double>(d.lost()) / n;
  const auto runs = d.loss_runs();
  const double mean = static_cast<double>(d.lost()) / static_cast<double>(runs.size());
  std::cout << "rate " << rate << ", " << runs.size() << " bursts of " << mean << "\n";
  // Lag-k correlation of the chain is (1 - p - r)^k: variance grows by (1 + l) / (1 - l).
  const double r = 1 / kLength, p = r * kLoss / (1 - kLoss), l = 1 - p - r;
  EXPECT_NEAR(rate, kLoss, 3.89 * std::sqrt(kLoss * (1 - kLoss) / n * (1 + l) / (1 - l)));
  // Geometric lengths: standard deviation sqrt(L (L - 1)).
  EXPECT_NEAR(mean, kLength,
              3.89 * std::sqrt(kLength * (kLength - 1) / static_cast<double>(runs.size())));
  // Memoryless: the share of runs of one is r.
  const auto ones = std::ranges::count(runs, 1U);
  EXPECT_TRUE(binomial_interval(r, runs.size())
                  .contains(static_cast<double>(ones) / static_cast<double>(runs.size())));
  EXPECT_EQ(d.send_failures, 0U);
}

TEST_F(NetworkLoss, BurstWithLossInBothStatesKeepsTheLongRunLoss) {
  auto spec = loss(0.1);
  spec.burst = api::LossBurst{.length = 10, .badLoss = {0.5}, .goodLoss = {0.02}};
  const auto fault = arm(spec, a_.pod());
  const Delivery d = pod_to_host(static_cast<std::uint32_t>(fewer(200000)), a_);
  const double n = static_cast<double>(d.arrived.size());
  EXPECT_NEAR(static_cast<double>(d.lost()) / n, 0.1, 0.008 * std::sqrt(200000 / n));
}

TEST_F(NetworkLoss, NeighbourOnTheSameBridgeLosesNothing) {
  TestPod b(net_, "b");
  const auto fault = arm(loss(1, api::Direction::both), a_.pod());
  EXPECT_EQ(pod_to_host(5000, b).lost(), 0U);
  EXPECT_EQ(host_to_pod(5000, b).lost(), 0U);
  EXPECT_EQ(counters(*fault).matched, 0U);
}

TEST_F(NetworkLoss, FiltersHitAndMiss) {
  struct Case {
    const char* what;
    std::function<void(api::NetworkLoss&)> set;
    bool hit;
  };
  const auto cidr = [](const std::string& text) { return api::Cidr::parse(text).value(); };
  const std::vector<Case> cases{
      {"peer port",
       [](auto& f) {
         f.peerPorts = {1, kPort};
       },
       true},
      {"other peer port", [](auto& f) { f.peerPorts = {kPort + 1}; }, false},
      {"pod port is not the peer's", [](auto& f) { f.podPorts = {kPort}; }, false},
      {"pod port", [](auto& f) { f.podPorts = {5555}; }, true},
      {"either end", [](auto& f) { f.ports = {5555}; }, true},
      {"host", [&](auto& f) { f.cidrs = {cidr(net_.host4())}; }, true},
      {"network",
       [&](auto& f) {
         f.cidrs = {cidr("192.0.2.0/24"), cidr("10.0.0.0/8")};
       },
       true},
      {"the pod's own address is no peer", [&](auto& f) { f.cidrs = {cidr(a_.ip4())}; }, false},
      {"IPv6 network", [&](auto& f) { f.cidrs = {cidr("::/96")}; }, false},
      {"all IPv4", [&](auto& f) { f.cidrs = {cidr("0.0.0.0/0")}; }, true},
      {"udp", [](auto& f) { f.protocol = api::Protocol::udp; }, true},
      {"tcp", [](auto& f) { f.protocol = api::Protocol::tcp; }, false},
      {"icmp", [](auto& f) { f.protocol = api::Protocol::icmp; }, false},
      {"one of two wrong",
       [](auto& f) {
         f.peerPorts = {kPort};
         f.protocol = api::Protocol::tcp;
       },
       false}};
  for (const Case& c : cases) {
    auto spec = loss(1);
    c.set(spec);
    const auto fault = arm(spec, a_.pod());
    EXPECT_EQ(pod_to_host(200, a_, false, kPort, 5555).lost(), c.hit ? 200U : 0U) << c.what;
    EXPECT_EQ(counters(*fault).matched, c.hit ? 200U : 0U) << c.what;
  }
}

TEST_F(NetworkLoss, PeerIsItsAddressesWithinTheCidrs) {
  auto spec = loss(1);
  spec.peer = api::Selector{.namespaces = {"x"}};
  {
    const auto fault = arm(spec, a_.pod(), {.peers = {.only = {net_.host6()}}});
    EXPECT_EQ(pod_to_host(100, a_, true).lost(), 100U);
    EXPECT_EQ(pod_to_host(100, a_).lost(), 0U);
  }
  const auto none = try_arm(spec, a_.pod());
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, testing::HasSubstr("no pod with an address"));
}

// "All but SSH": what is left alone lives for as long as the fault does, connections that were open
// before it and those that are made under it.
TEST_F(NetworkLoss, AnExceptionsConnectionsLiveOnUnderATotalLoss) {
  TestPod b(net_, "b");
  const EchoServer shell(a_, 22), web(a_, 80), neighbour(b, 80);
  KeptConnection kept(b, {a_.ip4(), 22}), kept6(b, {a_.ip6(), 22});
  auto spec = loss(1, api::Direction::both);
  spec.except.emplace().podPorts = {22};
  const auto fault = arm(spec, a_.pod());
  for (int i = 0; i < 20; ++i) {
    kept.echo(10);
    kept6.echo(10);
  }
  KeptConnection made_under_it(b, {a_.ip4(), 22});
  made_under_it.echo(10);
  EXPECT_EQ(host_to_pod(200, a_).lost(), 200U) << "everything else is lost";
  EXPECT_EQ(host_to_pod(200, b).lost(), 0U) << "the neighbour is not touched";
  EXPECT_GT(counters(*fault).matched, 0U);
}

TEST_F(NetworkLoss, APeerIsFollowedWhileItIsArmed) {
  auto spec = loss(1);
  spec.peer = api::Selector{.namespaces = {"x"}};
  const auto fault = arm(spec, a_.pod(), {.peers = {.only = {"192.0.2.1"}}});
  EXPECT_EQ(pod_to_host(100, a_).lost(), 0U);
  ASSERT_TRUE(fault->follow({.only = {net_.host4(), net_.host6()}}));
  EXPECT_EQ(pod_to_host(100, a_).lost(), 100U);
  EXPECT_EQ(pod_to_host(100, a_, true).lost(), 100U);
  ASSERT_TRUE(fault->follow({}));
  EXPECT_EQ(pod_to_host(100, a_).lost(), 0U) << "nobody is not everybody";
  EXPECT_EQ(counters(*fault).injected, 200U) << "one arming, its counters go on";
}

TEST_F(NetworkLoss, PingIsLostButNeighboursStillFindEachOther) {
  auto spec = loss(1, api::Direction::both);
  spec.protocol = api::Protocol::icmp;
  const auto fault = arm(spec, a_.pod());
  command({"ip", "neigh", "flush", "dev", net_.bridge()});
  EXPECT_NE(command({"ping", "-c", "2", "-i", "0.1", "-W", "0.2", a_.ip4()}).status, 0);
  EXPECT_NE(command({"ping", "-6", "-c", "2", "-i", "0.1", "-W", "0.2", a_.ip6()}).status, 0);
  EXPECT_THAT(command({"ip", "neigh", "show", "dev", net_.bridge()}).output,
              testing::AllOf(testing::ContainsRegex(a_.ip4() + " lladdr"),
                             testing::ContainsRegex(a_.ip6() + " lladdr")));
}

TEST_F(NetworkLoss, DisarmEndsItAndItsCountersCanStillBeRead) {
  auto fault = arm(loss(1), a_.pod());
  EXPECT_EQ(pod_to_host(100, a_).lost(), 100U);
  ASSERT_TRUE(fault->disarm());
  EXPECT_EQ(pod_to_host(1000, a_).lost(), 0U);
  EXPECT_EQ(counters(*fault).injected, 100U);
  fault.reset();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(NetworkLoss, PodWithoutAHostSideDeviceIsRefusedForToAndWorksForFrom) {
  agent::Pod pod = a_.pod();
  pod.interfaces.front().host_index = agent::IfIndex{};  // as of macvlan
  pod.interfaces.front().host_name.clear();
  const auto refused = try_arm(loss(0.1), pod);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("has no device on the host's side"));
  EXPECT_TRUE(try_arm(loss(0.1, api::Direction::from), pod));
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

}  // namespace
}  // namespace faultline::test
