// SPDX-License-Identifier: Apache-2.0
#include "agent/targets/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace faultline::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::uint32_t next_number = 0;

FoundDevice device(std::string name, std::string kind, std::vector<std::string> addresses = {}) {
  FoundDevice found;
  found.device.name = std::move(name);
  found.device.pod_index = IfIndex{++next_number};
  found.device.ethernet = kind != "tun";
  if (kind == "veth" || kind == "netkit") found.device.host_index = IfIndex{100 + next_number};
  found.device.kind = std::move(kind);
  found.addresses = std::move(addresses);
  return found;
}

FoundDevice routed(FoundDevice found) {
  found.default_route = true;
  return found;
}

std::vector<std::string> hit(const Pod& pod) {
  std::vector<std::string> names;
  for (const PodInterface& d : pod.interfaces) names.push_back(d.name);
  return names;
}

std::vector<std::string> aside(const Pod& pod) {
  std::vector<std::string> names;
  for (const AsideDevice& d : pod.aside) names.push_back(d.device.name + ": " + d.reason);
  return names;
}

Pod placed(const std::vector<FoundDevice>& found, const DeviceWish& wish = {}) {
  Pod pod;
  place_devices(found, wish, pod);
  return pod;
}

TEST(Devices, OneThatCannotBeHitStandsAsideAndDoesNotBlockTheOthers) {
  const Pod pod = placed({device("eth0", "veth"), device("tun0", "tun"), device("tap0", "tun2"),
                          device("nk0", "netkit")});
  EXPECT_THAT(hit(pod), ElementsAre("eth0", "nk0"));
  EXPECT_THAT(aside(pod), ElementsAre("tun0: tun without an Ethernet header",
                                      "tap0: tun2 without an end on the host's side"));
}

TEST(Devices, TheOnlyOneIsLeftToTheFaultToRefuseButNeverOneWithoutAnEthernetHeader) {
  EXPECT_THAT(hit(placed({device("eth0", "macvlan")})), ElementsAre("eth0"));
  const Pod tunnel = placed({device("tun0", "tun")});
  EXPECT_THAT(hit(tunnel), IsEmpty());
  EXPECT_THAT(aside(tunnel), ElementsAre(HasSubstr("without an Ethernet header")));
}

TEST(Devices, ThoseWithADefaultRouteAreTheDefault) {
  const Pod pod = placed({routed(device("eth0", "veth")), device("net1", "veth")});
  EXPECT_THAT(hit(pod), ElementsAre("eth0"));
  EXPECT_THAT(aside(pod), ElementsAre("net1: it has no default route"));
}

TEST(Devices, TunnelThatTakesAllTrafficLeavesTheDeviceThatCarriesIt) {
  const Pod pod = placed({device("eth0", "veth"), routed(device("tun0", "tun"))});
  EXPECT_THAT(hit(pod), ElementsAre("eth0"));
}

TEST(Devices, ThoseWithThePodsAddressesGoBeforeTheDefaultRoute) {
  const DeviceWish wish{.addresses = {"10.0.0.5", "FD00:0::5"}};
  const Pod pod = placed({device("eth0", "veth", {"10.0.0.5"}), device("eth1", "veth", {"fd00::5"}),
                          routed(device("net1", "veth", {"10.9.0.5"}))},
                         wish);
  EXPECT_THAT(hit(pod), ElementsAre("eth0", "eth1"));
  EXPECT_THAT(aside(pod), ElementsAre("net1: it has none of the pod's addresses"));
}

TEST(Devices, AddressesThatNoDeviceHasDecideNothing) {
  const Pod pod =
      placed({routed(device("eth0", "veth")), device("net1", "veth")}, {.addresses = {"10.0.0.5"}});
  EXPECT_THAT(hit(pod), ElementsAre("eth0"));
}

TEST(Devices, PrimaryThatCannotBeHitIsNotReplacedByASecondNetwork) {
  const Pod pod = placed({device("eth0", "ipvlan", {"10.0.0.5"}), device("net1", "veth")},
                         {.addresses = {"10.0.0.5"}});
  EXPECT_THAT(hit(pod), ElementsAre("eth0"));
}

TEST(Devices, NamesOfThePodsFileGoBeforeAllElse) {
  const Pod pod = placed({routed(device("eth0", "veth")), device("net1", "veth")},
                         {.names = {"net1", "net7"}, .addresses = {}});
  EXPECT_THAT(hit(pod), ElementsAre("net1"));
  EXPECT_THAT(aside(pod), ElementsAre("eth0: the pods file does not name it"));
}

TEST(Devices, ExperimentNamesOthersAndHearsOfEachThatIsNotHit) {
  const Pod pod =
      placed({routed(device("eth0", "veth")), device("net1", "veth"), device("tun0", "tun")});
  const auto chosen = with_interfaces(pod, {"net1", "tun0", "net7"});
  ASSERT_TRUE(chosen);
  EXPECT_THAT(hit(*chosen), ElementsAre("net1"));
  EXPECT_THAT(aside(*chosen), testing::UnorderedElementsAre("eth0: the experiment does not name it",
                                                            "tun0: tun without an Ethernet header",
                                                            "net7: the pod has no such device"));
  const auto none = with_interfaces(pod, {"tun0", "net7"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::kUnsupported);
  EXPECT_THAT(none.error().message, HasSubstr("tun0: tun without an Ethernet header"));
  EXPECT_THAT(none.error().message, HasSubstr("net7: the pod has no such device"));
  EXPECT_THAT(none.error().message, HasSubstr("it has eth0, net1, tun0"));
}

TEST(Devices, WordsAreAsLongAsTheirPlaceAndPrintable) {
  Pod pod = placed({device("eth0", "veth"), device("tun0", "tun"), device("tun\x1b", "tun")});
  const std::string all = aside_words(pod, 200);
  EXPECT_THAT(all, testing::StartsWith("not hit: tun0 (tun without an Ethernet header), tun"));
  EXPECT_EQ(all.find('\x1b'), std::string::npos);
  const std::string some = aside_words(pod, 60);
  EXPECT_LE(some.size(), 60U);
  EXPECT_EQ(some, "not hit: tun0 (tun without an Ethernet header) and 1 more");
  for (std::size_t most = 0; most < 100; ++most) EXPECT_LE(aside_words(pod, most).size(), most);
  EXPECT_EQ(aside_words(placed({device("eth0", "veth")}), 100), "");
}

}  // namespace
}  // namespace faultline::agent
