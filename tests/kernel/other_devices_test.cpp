// SPDX-License-Identifier: Apache-2.0
// Traffic on devices that no fault hits is told with its count: lo, and a second network.
#include "agent/effects/other_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "testbed/arm.h"
#include "testbed/latency_probe.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

class OtherDevices : public testing::Test {
 protected:
  void SetUp() override {
    outside_ = "flt" + std::to_string(getpid()) + "y";
    must({"ip", "link", "add", outside_, "type", "veth", "peer", "name", "net1", "netns",
          a_.name()});
    must({"ip", "addr", "add", "198.18.9.1/24", "dev", outside_});
    must({"ip", "link", "set", outside_, "up"});
    must({"ip", "-n", a_.name(), "addr", "add", "198.18.9.2/24", "dev", "net1"});
    must({"ip", "-n", a_.name(), "link", "set", "net1", "up"});
    must({"ip", "-n", a_.name(), "route", "add", "default", "via", net_.host4()});
  }
  static std::vector<api::Gap> told(agent::Collector& collector) {
    std::vector<api::EffectSample> samples;
    std::vector<api::Gap> gaps;
    collector.take(samples, gaps);
    EXPECT_THAT(samples, IsEmpty());
    return gaps;
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"};
  std::string outside_;
};

TEST_F(OtherDevices, WhatIsNeitherHitNorMeasuredIsTold) {
  agent::OtherDevices collector(a_.pod());
  ping(a_.ip4(), 50);
  EXPECT_THAT(told(collector), IsEmpty()) << "eth0 is hit";
  a_.in_netns([] { ping("127.0.0.1", 50); });
  auto gaps = told(collector);
  ASSERT_EQ(gaps.size(), 1U);
  EXPECT_THAT(gaps[0].reason, HasSubstr("packets on lo (the pod's traffic with itself)"));
  EXPECT_EQ(gaps[0].missed, 100U) << "each ping and its answer came in once";
  ping("198.18.9.2", 50);
  gaps = told(collector);
  ASSERT_EQ(gaps.size(), 1U);
  EXPECT_THAT(gaps[0].reason, HasSubstr("packets on net1 (it has no default route)"));
  EXPECT_NEAR(static_cast<double>(gaps[0].missed.value_or(0)), 100, 8);
  EXPECT_THAT(told(collector), IsEmpty()) << "each packet is told once";
}

TEST_F(OtherDevices, ANamespaceThatCannotBeEnteredIsAGap) {
  agent::Pod gone = a_.pod();
  gone.netns_path += "-gone";
  agent::OtherDevices collector(gone);
  const auto gaps = told(collector);
  ASSERT_EQ(gaps.size(), 1U);
  EXPECT_THAT(gaps[0].reason, HasSubstr("could not be read"));
}

TEST(DeviceCounters, HostileTextsAreLeftOut) {
  EXPECT_THAT(agent::packets_by_device(
                  "Inter-|   Receive |  Transmit\n face |bytes packets\n"
                  "    lo: 1 2 0 0 0 0 0 0 1 2 0 0 0 0 0 0\n"
                  "a:b: 9 3 0 0 0 0 0 0 9 4 0 0 0 0 0 0\n  eth0: 1 2 3\n eth1: x\n:\n"),
              ElementsAre(testing::Pair("a:b", 7U), testing::Pair("lo", 2U)));
  EXPECT_THAT(agent::packets_by_device(""), IsEmpty());
}

}  // namespace
}  // namespace faultline::test
