// SPDX-License-Identifier: Apache-2.0
// Pods with more devices than eth0, as their programs and other networks make them: what can be hit
// is hit, and what cannot is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "agent/kernel/netlink.h"
#include "agent/targets/devices.h"
#include "testbed/arm.h"
#include "testbed/emulated.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/tcp.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using std::chrono::milliseconds;

// "tun0: tun without an Ethernet header"
std::vector<std::string> aside(const agent::Pod& pod) {
  std::vector<std::string> words;
  for (const agent::AsideDevice& d : pod.aside) words.push_back(d.device.name + ": " + d.reason);
  return words;
}

std::vector<std::string> hit(const agent::Pod& pod) {
  std::vector<std::string> names;
  for (const agent::PodInterface& d : pod.interfaces) names.push_back(d.name);
  return names;
}

class TargetsDevices : public testing::Test {
 protected:
  void in_pod(std::vector<std::string> words) const {
    const std::vector<std::string> ip = {"ip", "-n", a_.name()};
    words.insert(words.begin(), ip.begin(), ip.end());
    must(words);
  }
  // A second network: a pair of its own between the pod and the host.
  std::string add_second_network() {
    const std::string outside = "flt" + std::to_string(getpid()) + "x";
    must(
        {"ip", "link", "add", outside, "type", "veth", "peer", "name", "net1", "netns", a_.name()});
    must({"ip", "addr", "add", "198.18.7.1/24", "dev", outside});
    must({"ip", "link", "set", outside, "up"});
    in_pod({"addr", "add", "198.18.7.2/24", "dev", "net1"});
    in_pod({"link", "set", "net1", "up"});
    return outside;
  }
  // Answers of five.
  static int pings(const std::string& address) {
    const auto result = command({"ping", "-c", "5", "-i", "0.05", "-W", "1", address});
    int answers = 0;
    for (std::size_t at = 0; (at = result.output.find("bytes from", at)) != std::string::npos; ++at)
      ++answers;
    return answers;
  }
  static api::NetworkLoss all_lost(api::Direction direction) {
    api::NetworkLoss fault;
    fault.loss = {1};
    fault.direction = direction;
    return fault;
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"};
};

TEST_F(TargetsDevices, TunnelOfAProgramInThePodIsNamedAndTheRestIsHit) {
  FAULTLINE_NEEDS(agent::KernelFeature::kTun);
  FAULTLINE_NEEDS_TC();
  in_pod({"tuntap", "add", "tun0", "mode", "tun"});
  in_pod({"addr", "add", "10.99.0.1/24", "dev", "tun0"});
  in_pod({"link", "set", "tun0", "up"});
  in_pod({"tuntap", "add", "tap0", "mode", "tap"});
  in_pod({"link", "set", "tap0", "up"});
  const agent::Pod pod = a_.pod();
  EXPECT_THAT(hit(pod), testing::ElementsAre("eth0"));
  EXPECT_THAT(aside(pod), testing::ElementsAre("tun0: tun without an Ethernet header",
                                               "tap0: tun without an end on the host's side"));
  EXPECT_EQ(pings(a_.ip4()), 5);
  for (const api::Direction direction : {api::Direction::to, api::Direction::from}) {
    const auto fault = arm(all_lost(direction), pod);
    EXPECT_EQ(pings(a_.ip4()), 0);
    EXPECT_EQ(counters(*fault).injected, 5U);
  }
  api::NetworkLatency latency;
  latency.latency.value = milliseconds(20);
  EXPECT_TRUE(try_arm(latency, pod)) << "was refused for the whole pod";
}

TEST_F(TargetsDevices, TunnelThatAppearsLaterMovesNothing) {
  FAULTLINE_NEEDS(agent::KernelFeature::kTun);
  const agent::Pod before = a_.pod();
  in_pod({"tuntap", "add", "tun0", "mode", "tun"});
  in_pod({"link", "set", "tun0", "up"});
  EXPECT_TRUE(a_.pod().same_place(before));
  EXPECT_EQ(a_.pod().interfaces, before.interfaces);
}

TEST_F(TargetsDevices, DeviceOnTopOfAnotherIsNamed) {
  in_pod({"link", "add", "mac0", "link", "eth0", "type", "macvlan"});
  in_pod({"link", "set", "mac0", "up"});
  EXPECT_THAT(hit(a_.pod()), testing::ElementsAre("eth0"));
  EXPECT_THAT(aside(a_.pod()),
              testing::ElementsAre("mac0: macvlan without an end on the host's side"));
}

TEST_F(TargetsDevices, DefaultRouteDecidesWhichNetworkIsHit) {
  FAULTLINE_NEEDS_TC();
  add_second_network();
  EXPECT_THAT(hit(a_.pod()), testing::ElementsAre("eth0", "net1")) << "no default route at all";
  in_pod({"route", "add", "default", "via", net_.host4()});
  const agent::Pod pod = a_.pod();
  EXPECT_THAT(hit(pod), testing::ElementsAre("eth0"));
  EXPECT_THAT(aside(pod), testing::ElementsAre("net1: it has no default route"));
  const auto fault = arm(all_lost(api::Direction::to), pod);
  EXPECT_EQ(pings(a_.ip4()), 0);
  EXPECT_EQ(pings("198.18.7.2"), 5);
}

TEST_F(TargetsDevices, NamedDeviceIsHitInsteadAndItsPacketsAreCounted) {
  FAULTLINE_NEEDS_TC();
  add_second_network();
  in_pod({"route", "add", "default", "via", net_.host4()});
  const auto chosen = agent::with_interfaces(a_.pod(), {"net1"});
  ASSERT_TRUE(chosen);
  const auto fault = arm(all_lost(api::Direction::both), *chosen);
  EXPECT_EQ(pings(a_.ip4()), 5);
  EXPECT_EQ(pings("198.18.7.2"), 0);
  EXPECT_EQ(counters(*fault).injected, 5U) << "the requests; there was nothing to answer";
}

TEST_F(TargetsDevices, DefaultRouteOfSeveralHopsOrOfIPv6Counts) {
  auto routes = [&] {
    return a_.in_netns([] { return agent::Netlink::open()->default_route_devices(); }).value();
  };
  EXPECT_THAT(routes(), testing::IsEmpty()) << "the kernel's own unreachable one is none";
  add_second_network();
  const auto of = [&](const std::string& name) {
    const agent::Pod pod = a_.pod();
    return std::ranges::find(pod.interfaces, name, &agent::PodInterface::name)->pod_index;
  };
  const auto eth0 = of("eth0"), net1 = of("net1");
  in_pod(
      {"route", "add", "default", "nexthop", "via", net_.host4(), "nexthop", "via", "198.18.7.1"});
  EXPECT_THAT(routes(), testing::UnorderedElementsAre(eth0, net1));
  in_pod({"route", "del", "default"});
  in_pod({"-6", "route", "add", "default", "via", net_.host6()});
  EXPECT_THAT(routes(), testing::ElementsAre(eth0));
}

TEST_F(TargetsDevices, NetkitIsADeviceLikeVeth) {
  FAULTLINE_NEEDS_TC();
  const std::string outside = "flt" + std::to_string(getpid()) + "n";
  const auto made = command({"ip", "link", "add", outside, "type", "netkit"});
  if (made.status != 0) GTEST_SKIP() << "needs: netkit devices";
  auto host = agent::Netlink::open();
  const auto peer = host->link(host->link(outside)->peer);
  ASSERT_TRUE(peer);
  must({"ip", "link", "set", peer->name, "netns", a_.name(), "name", "nk1"});
  must({"ip", "addr", "add", "198.18.8.1/24", "dev", outside});
  must({"ip", "link", "set", outside, "up"});
  in_pod({"addr", "add", "198.18.8.2/24", "dev", "nk1"});
  in_pod({"link", "set", "nk1", "up"});
  in_pod({"route", "add", "default", "via", "198.18.8.1"});
  ASSERT_EQ(pings("198.18.8.2"), 5);
  const agent::Pod pod = a_.pod();
  ASSERT_THAT(hit(pod), testing::ElementsAre("nk1"));
  EXPECT_EQ(pod.interfaces[0].host_name, outside);
  for (const api::Direction direction : {api::Direction::to, api::Direction::from}) {
    const auto fault = arm(all_lost(direction), pod);
    EXPECT_EQ(pings("198.18.8.2"), 0);
    EXPECT_EQ(counters(*fault).injected, 5U);
  }
  api::NetworkLatency latency;
  latency.latency.value = milliseconds(20);
  latency.direction = api::Direction::both;
  const auto fault = arm(latency, pod);
  EXPECT_EQ(pings("198.18.8.2"), 5) << "delayed, and delivered";
  EXPECT_EQ(counters(*fault).injected, 10U);
  must({"ip", "link", "del", outside});
}

}  // namespace
}  // namespace faultline::test
