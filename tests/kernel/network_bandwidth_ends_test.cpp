// SPDX-License-Identifier: Apache-2.0
// However a narrow link ends, packets pass untouched afterwards, what waited is given back, and
// nothing is left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
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
constexpr std::uint16_t kPort = 7500;
constexpr double kMbit = 1e6;

api::NetworkBandwidth at_most(double bits_per_second) {
  api::NetworkBandwidth fault;
  fault.rate.bits_per_second = static_cast<std::uint64_t>(bits_per_second);
  return fault;
}

class NetworkBandwidthEnds : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS_TC(); }

  Flood to_host(const FloodOptions& options) {
    const auto receiver = udp_receiver(net_.host4(), kPort);
    const auto sender = a_.in_netns([&] { return udp_sender(net_.host4(), kPort); });
    return flood(sender, receiver, options);
  }
  // 300 ms at 10 Mbit/s, of which a link of 1 Mbit/s would let a tenth and its queue pass.
  bool is_held() { return to_host({.bits_per_second = 10 * kMbit, .count = 260}).lost() > 100; }
  bool is_free() { return to_host({.bits_per_second = 10 * kMbit, .count = 260}).lost() == 0; }

  // A process of its own that arms, says so, and holds the fault with leases of `lease`.
  Child armed_elsewhere(milliseconds lease) {
    Child child([&, pod = a_.pod()] {
      const auto fault = arm(at_most(1 * kMbit), pod, {.lease = lease});
      *armed_ = true;
      for (;;) {
        fault->renew(in(lease));
        std::this_thread::sleep_for(milliseconds(50));
      }
      return 0;
    });
    for (int i = 0; i < 500 && !*armed_; ++i) std::this_thread::sleep_for(milliseconds(10));
    return child;
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"};
  Shared<std::atomic<bool>> armed_;
};

TEST_F(NetworkBandwidthEnds, KillEndsItAndLeavesNothingBehind) {
  Child child = armed_elsewhere(std::chrono::seconds(30));
  ASSERT_TRUE(*armed_);
  EXPECT_TRUE(is_held());
  child.signal(SIGKILL);
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
  const Samples after = ping(a_.ip4(), 50);
  EXPECT_LT(after.median(), within_ms(1));
  EXPECT_TRUE(is_free());
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(NetworkBandwidthEnds, AStoppedProcessHoldsNothingAfterItsLease) {
  Child child = armed_elsewhere(milliseconds(500));
  ASSERT_TRUE(*armed_);
  EXPECT_TRUE(is_held());
  child.signal(SIGSTOP);
  std::this_thread::sleep_for(milliseconds(600));
  EXPECT_TRUE(is_free());
  child.signal(SIGCONT);
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_TRUE(is_held()) << "it goes on when it is told to";
}

TEST_F(NetworkBandwidthEnds, WhatWaitsIsGivenBackWhenItIsDisarmed) {
  auto fault = arm(at_most(2 * kMbit), a_.pod());
  KtimeNs stop{};
  // At 3 Mbit/s the queue is about half full after half of them.
  const Flood f = to_host({.bits_per_second = 3 * kMbit, .count = 60, .during = [&] {
                             stop = SystemClock().ktime();
                             const auto done = fault->disarm();
                             EXPECT_TRUE(done) << done.error().message;
                           }});
  EXPECT_EQ(f.lost(), 0U);
  const auto c = counters(*fault);
  EXPECT_EQ(c.lost, 0U);
  EXPECT_EQ(c.link.value_or(api::LinkUse{}).dropped, 0U);
  EXPECT_GT(c.injected, 10U);
  const double last_ms =
      (static_cast<double>(c.last_injected.ns) - static_cast<double>(stop.ns)) / 1e6;
  std::cout << "last injected after stop: " << last_ms << " ms\n";
  EXPECT_LT(last_ms, 200) << "at the pace it came: the queue holds 130 ms of this link";
}

TEST_F(NetworkBandwidthEnds, WhenTheLeaseRunsOutWhatIsHeldIsGivenBack) {
  // The queue is full at 400 ms: 33 frames of 1442 bytes are 3.8 s at this rate.
  const auto fault = arm(at_most(100'000), a_.pod(), {.lease = milliseconds(400)});
  const Flood f = to_host({.bits_per_second = 0.6 * kMbit, .count = 40});
  EXPECT_LT(f.lost(), 10U) << "those that found the queue full";
  EXPECT_LT(f.at.back() * 1e3, 1600) << "400 ms, and the second in which all leave";
  const auto c = counters(*fault);
  EXPECT_EQ(c.lost, 0U);
  EXPECT_EQ(c.link.value_or(api::LinkUse{}).dropped, f.lost());
}

TEST_F(NetworkBandwidthEnds, ManyCyclesLeaveNothing) {
  for (int i = 0; i < cycles(100); ++i) {
    auto fault = arm(at_most(1 * kMbit), a_.pod());
    EXPECT_EQ(to_host({.count = 10, .patience = milliseconds(300)}).lost(), 0U);
    EXPECT_TRUE(fault->disarm());
    EXPECT_EQ(counters(*fault).lost, 0U);
  }
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(NetworkBandwidthEnds, PodWithoutAHostSideDeviceIsRefused) {
  agent::Pod pod = a_.pod();
  pod.interfaces.at(0).host_index = {};
  const auto refused = try_arm(at_most(kMbit), pod);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("has no host-side device"));
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

}  // namespace
}  // namespace faultline::test
