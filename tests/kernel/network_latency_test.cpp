// SPDX-License-Identifier: Apache-2.0
// The delay line against clocks that are not its own: ping, and datagrams that carry the time they
// were sent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <thread>

#include "testbed/arm.h"
#include "testbed/emulated.h"
#include "testbed/latency_probe.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
constexpr std::uint16_t kPort = 7100;

api::NetworkLatency latency(std::chrono::nanoseconds ms,
                            api::Direction direction = api::Direction::to) {
  api::NetworkLatency fault;
  fault.latency.value = ms;
  fault.direction = direction;
  return fault;
}

double mean_added_ms(const agent::FaultCounters& c) {
  const std::uint64_t n = c.added_latency.count();
  return n == 0 ? 0 : c.added_latency.sum / static_cast<double>(n) * 1e3;
}

// What a fault added to a round trip, in milliseconds. The way itself takes no constant time: it is
// longer where the processors sleep between packets than where packets are always under way. It
// took no less than nothing, and no more than the longer of what was measured without the fault.
struct Added {
  double least = 0, most = 0;
  static Added of(double before, double during, double after) {
    // ping(8) prints whole milliseconds from one second on, tenths from 100 ms on, rounded.
    const double rounded = during >= 999.5 ? 0.5 : during >= 99.95 ? 0.05 : 0;
    return {.least = during - rounded - std::max(before, after), .most = during + rounded};
  }
};

class NetworkLatency : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS_TC(); }

  Samples pod_to_host(int count, std::chrono::microseconds gap, const TestPod& pod, bool v6 = false,
                      std::uint16_t source_port = 0) {
    const std::string host = v6 ? net_.host6() : net_.host4();
    const auto receiver = udp_receiver(host, kPort);
    auto sender = pod.in_netns([&] { return udp_sender(host, kPort, source_port); });
    return one_way(std::move(sender), receiver, count, gap);
  }
  Samples host_to_pod(int count, std::chrono::microseconds gap, const TestPod& pod) {
    const auto receiver = pod.in_netns([&] { return udp_receiver(pod.ip4(), kPort); });
    return one_way(udp_sender(pod.ip4(), kPort), receiver, count, gap);
  }
  static void expect_within(double value, const Added& added, double off, const char* what) {
    EXPECT_GE(value, added.least - off) << what;
    EXPECT_LE(value, added.most + off) << what;
  }
  // What `asked` adds to the round trip, by ping, and what the fault says it was.
  void expect_added(milliseconds asked, int most, const std::string& address) {
    const int pings = fewer(most);
    const Samples before = ping(address, pings);
    auto fault = arm(latency(asked), a_.pod());
    const Samples during = ping(address, pings);
    const auto c = counters(*fault);
    EXPECT_EQ(c.matched, static_cast<std::uint64_t>(pings));
    EXPECT_EQ(c.injected, c.matched);
    EXPECT_EQ(c.lost, 0U);
    EXPECT_TRUE(fault->disarm());
    const Samples after = ping(address, pings);
    const Added median = Added::of(before.median(), during.median(), after.median());
    const Added mean = Added::of(before.mean(), during.mean(), after.mean());
    const double want = static_cast<double>(asked.count());
    const double reported = mean_added_ms(c);
    const double reported_median = c.added_latency.quantile(0.5).value_or(0) * 1e3;
    std::cout << asked.count() << " ms asked, " << address << ": ping median +" << median.least
              << " to " << median.most << ", mean +" << mean.least << " to " << mean.most
              << "; reported mean " << reported << ", median " << reported_median << "\n";
    expect_within(want, median, within_ms(0.5), "asked");
    expect_within(reported, mean, within_ms(0.3), "reported mean");
    // A quantile is right to 1.6 %; without fq all of one delay are in one bucket, whose mean it
    // is.
    const Added either{std::min(median.least, mean.least), std::max(median.most, mean.most)};
    expect_within(reported_median, either, within_ms(0.3) + (emulated() ? 0.016 * want : 0),
                  "reported median");
  }
  void expect_deviation(api::Distribution distribution, double want_ms, double correlation = 0) {
    // What the machine itself adds, measured on packets that wait as long without jitter: that is
    // independent of ours, so that variances add up.
    const auto without_jitter = [this] {
      const auto fault = arm(latency(milliseconds(20)), a_.pod());
      return ping(a_.ip4(), 200);
    };
    auto spec = latency(milliseconds(20));
    spec.jitter.value = milliseconds(2);
    spec.distribution = distribution;
    spec.correlation = {correlation};
    const Samples base = without_jitter();
    auto fault = arm(spec, a_.pod());
    const Samples during = ping(a_.ip4(), 800);
    fault.reset();
    const double noise = std::max(base.deviation(), without_jitter().deviation());
    std::cout << "deviation " << during.deviation() << ", asked " << want_ms << ", without jitter "
              << noise << ", mean +" << during.mean() - base.mean() << "\n";
    EXPECT_GT(during.deviation(), want_ms * 0.85);
    EXPECT_LT(during.deviation(), std::hypot(want_ms * 1.15, noise));
    EXPECT_NEAR(during.mean() - base.mean(), 0, 0.5);
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"};
};

TEST_F(NetworkLatency, Adds20Ms) { expect_added(milliseconds(20), 400, a_.ip4()); }
TEST_F(NetworkLatency, Adds20MsOverIpv6) { expect_added(milliseconds(20), 400, a_.ip6()); }
TEST_F(NetworkLatency, Adds200Ms) { expect_added(milliseconds(200), 300, a_.ip4()); }
TEST_F(NetworkLatency, AddsOneSecond) { expect_added(milliseconds(1000), 200, a_.ip4()); }
TEST_F(NetworkLatency, AddsOneMs) { expect_added(milliseconds(1), 400, a_.ip4()); }

TEST_F(NetworkLatency, UniformJitterHasItsDeviation) {
  FAULTLINE_NEEDS_REAL_TIME;
  expect_deviation(api::Distribution::uniform, 2 / std::sqrt(3.0));
}
TEST_F(NetworkLatency, NormalJitterHasItsDeviation) {
  FAULTLINE_NEEDS_REAL_TIME;
  expect_deviation(api::Distribution::normal, 2);
}
TEST_F(NetworkLatency, ParetoJitterHasItsDeviation) {
  FAULTLINE_NEEDS_REAL_TIME;
  expect_deviation(api::Distribution::pareto, 2);
}
TEST_F(NetworkLatency, CorrelationKeepsTheDeviation) {
  FAULTLINE_NEEDS_REAL_TIME;
  expect_deviation(api::Distribution::normal, 2, 0.5);
}

TEST_F(NetworkLatency, DirectionIsWhatThePodSendsReceivesOrBoth) {
  struct Case {
    api::Direction direction;
    double to, from;
  };
  for (const Case& c : {Case{api::Direction::to, 20, 0}, Case{api::Direction::from, 0, 20},
                        Case{api::Direction::both, 20, 20}}) {
    const auto fault = arm(latency(milliseconds(20), c.direction), a_.pod());
    const Samples to = pod_to_host(100, milliseconds(1), a_);
    const Samples from = host_to_pod(100, milliseconds(1), a_);
    EXPECT_NEAR(to.median(), c.to, within_ms(0.5));
    EXPECT_NEAR(from.median(), c.from, within_ms(0.5));
    EXPECT_EQ(to.lost + from.lost, 0);
    EXPECT_EQ(counters(*fault).matched, (c.to > 0 ? 100U : 0U) + (c.from > 0 ? 100U : 0U));
  }
}

TEST_F(NetworkLatency, FiltersHitAndMiss) {
  const auto cidr = [](const std::string& text) { return api::Cidr::parse(text).value(); };
  struct Case {
    const char* what;
    std::function<void(api::NetworkLatency&)> set;
    bool hit;
  };
  const std::vector<Case> cases{
      {"peer port", [](auto& f) { f.peerPorts = {kPort}; }, true},
      {"other peer port", [](auto& f) { f.peerPorts = {kPort + 1}; }, false},
      {"pod port", [](auto& f) { f.podPorts = {5555}; }, true},
      {"pod port is not the peer's", [](auto& f) { f.podPorts = {kPort}; }, false},
      {"either end", [](auto& f) { f.ports = {kPort}; }, true},
      {"the host", [&](auto& f) { f.cidrs = {cidr(net_.host4())}; }, true},
      {"another network", [&](auto& f) { f.cidrs = {cidr("192.0.2.0/24")}; }, false},
      {"udp", [](auto& f) { f.protocol = api::Protocol::udp; }, true},
      {"tcp", [](auto& f) { f.protocol = api::Protocol::tcp; }, false},
      {"icmp", [](auto& f) { f.protocol = api::Protocol::icmp; }, false}};
  for (const Case& c : cases) {
    auto spec = latency(milliseconds(20));
    c.set(spec);
    const auto fault = arm(spec, a_.pod());
    const Samples s = pod_to_host(50, milliseconds(1), a_, false, 5555);
    EXPECT_NEAR(s.median(), c.hit ? 20 : 0, within_ms(0.5)) << c.what;
    EXPECT_EQ(counters(*fault).matched, c.hit ? 50U : 0U) << c.what;
  }
}

TEST_F(NetworkLatency, FlowsKeepTheirOrderUnderJitterAndOvertakeEachOther) {
  auto spec = latency(milliseconds(10));
  spec.jitter.value = milliseconds(10);
  const auto fault = arm(spec, a_.pod());
  const auto receiver = udp_receiver(net_.host4(), kPort);
  std::vector<agent::Fd> flows;
  for (int i = 0; i < 4; ++i)
    flows.push_back(a_.in_netns([&] { return udp_sender(net_.host4(), kPort); }));
  const Samples s = one_way(flows, receiver, 8000, microseconds(200));
  EXPECT_EQ(s.lost, 0);
  EXPECT_EQ(s.reordered_within_flow, 0);
  EXPECT_GT(s.reordered_between_flows, 1000) << "else there was no jitter";
}

TEST_F(NetworkLatency, ProbabilityDelaysThatShareAndLeavesTheRest) {
  FAULTLINE_NEEDS_REAL_TIME;
  auto spec = latency(milliseconds(20));
  spec.probability = {0.3};
  const auto fault = arm(spec, a_.pod());
  // Many flows, each with nothing in the line when its next packet comes: one that the dice spare
  // then passes at once (else it goes behind its flow: network_travels_test.cpp).
  const auto receiver = udp_receiver(net_.host4(), kPort);
  std::vector<agent::Fd> flows;
  for (int i = 0; i < 200; ++i)
    flows.push_back(a_.in_netns([&] { return udp_sender(net_.host4(), kPort); }));
  const Samples s = one_way(flows, receiver, 4000, microseconds(500));
  const auto delayed = std::ranges::count_if(s.ms, [](double ms) { return ms > 15; });
  EXPECT_NEAR(static_cast<double>(delayed) / 4000, 0.3, 3.89 * std::sqrt(0.3 * 0.7 / 4000));
  // None is delayed a bit. A busy machine makes some of those late that nobody delays.
  EXPECT_LT(std::ranges::count_if(s.ms, [](double ms) { return ms > 3 && ms < 19.5; }), 40);
  const auto c = counters(*fault);
  EXPECT_EQ(c.matched, 4000U);
  EXPECT_EQ(c.injected, static_cast<std::uint64_t>(delayed));
}

TEST_F(NetworkLatency, NeighbourOnTheSameBridgeIsNotDelayed) {
  TestPod b(net_, "b");
  const Samples before = ping(b.ip4(), fewer(400));
  const auto fault = arm(latency(milliseconds(50), api::Direction::both), a_.pod());
  const Samples during = ping(b.ip4(), fewer(400));
  EXPECT_NEAR(during.median(), before.median(), within_ms(0.1));
  EXPECT_EQ(counters(*fault).matched, 0U);
}

TEST_F(NetworkLatency, TwoOnOnePodAddUp) {
  const auto first = arm(latency(milliseconds(10)), a_.pod());
  const auto second = arm(latency(milliseconds(20)), a_.pod());
  const Samples s = pod_to_host(200, milliseconds(1), a_);
  EXPECT_NEAR(s.median(), 30, within_ms(0.7));
  EXPECT_EQ(counters(*first).matched, 200U);
  EXPECT_EQ(counters(*second).matched, 200U);
}

TEST_F(NetworkLatency, AllInterfacesOfThePodAreDelayed) {
  const std::string outside = "flt" + std::to_string(getpid()) + "x";
  must({"ip", "link", "add", outside, "type", "veth", "peer", "name", "eth1", "netns", a_.name()});
  must({"ip", "addr", "add", "198.18.7.1/24", "dev", outside});
  must({"ip", "link", "set", outside, "up"});
  must({"ip", "-n", a_.name(), "addr", "add", "198.18.7.2/24", "dev", "eth1"});
  must({"ip", "-n", a_.name(), "link", "set", "eth1", "up"});
  const auto pod = a_.pod();
  ASSERT_EQ(pod.interfaces.size(), 2U);
  const auto fault = arm(latency(milliseconds(20), api::Direction::both), pod);
  EXPECT_NEAR(ping("198.18.7.2", 100).median(), 40, within_ms(1));
  EXPECT_NEAR(ping(a_.ip4(), 100).median(), 40, within_ms(1));
}

TEST_F(NetworkLatency, PodWithoutAHostSideDeviceIsRefused) {
  agent::Pod pod = a_.pod();
  pod.interfaces.at(0).host_index = {};
  const auto refused = try_arm(latency(milliseconds(20)), pod);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("has no host-side device"));
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

}  // namespace
}  // namespace faultline::test
