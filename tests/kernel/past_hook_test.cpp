// SPDX-License-Identifier: Apache-2.0
// What does not come by our hooks is told: a CNI that delivers with bpf_redirect_peer(), and a
// program that was put before ours.
#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <net/if.h>

#include "agent/effects/packet_flow.h"
#include "agent/kernel/link.h"
#include "testbed/arm.h"
#include "testbed/latency_probe.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"
#include "testbed/udp.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using testing::HasSubstr;

namespace {

constexpr bpf_insn load(int reg, int value) {
  return {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = static_cast<__u8>(reg), .imm = value};
}
constexpr bpf_insn call(int helper) { return {.code = BPF_JMP | BPF_CALL, .imm = helper}; }
constexpr bpf_insn kExit{.code = BPF_JMP | BPF_EXIT};

class PastHook : public testing::Test {
 protected:
  void SetUp() override {
    FAULTLINE_NEEDS(agent::KernelFeature::kTcx);
    auto started = agent::start_packet_flow(b_.pod(), {clock_, features_});
    ASSERT_TRUE(started) << started.error().message;
    flow_ = std::move(*started);
    ping(b_.ip4(), 30);
    EXPECT_EQ(told(), "");
  }

  static agent::Fd program(std::initializer_list<bpf_insn> code) {
    return agent::Fd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "cni_test", "GPL", code.begin(),
                                   code.size(), nullptr));
  }
  // What a sends comes into b as some CNIs deliver it.
  Result<agent::Link> deliver_by_redirect_peer() const {
    const agent::Fd peer =
        program({load(1, static_cast<int>(if_nametoindex(b_.host_device().c_str()))), load(2, 0),
                 call(BPF_FUNC_redirect_peer), kExit});
    return agent::attach_tcx(peer.get(), agent::IfIndex{if_nametoindex(a_.host_device().c_str())},
                             agent::TcHook::kIngress);
  }
  // What the collector says of packets that went past; empty: nothing.
  std::string told(std::uint64_t* missed = nullptr) {
    std::vector<api::EffectSample> samples;
    std::vector<api::Gap> gaps;
    flow_->take(samples, gaps);
    for (const api::Gap& gap : gaps)
      if (gap.metric == "net.bypass") {
        if (missed != nullptr) *missed = gap.missed.value_or(0);
        return gap.reason;
      }
    return "";
  }

  ResidueCheck residue_;
  SystemClock clock_;
  const agent::FeatureProbe& features_ = features();
  TestNetwork net_;
  TestPod a_{net_, "a"}, b_{net_, "b"};
  std::unique_ptr<agent::Collector> flow_;
};

TEST_F(PastHook, WhatRedirectPeerBringsIntoThePodIsCounted) {
  auto link = deliver_by_redirect_peer();
  ASSERT_TRUE(link) << link.error().message;
  a_.in_netns([&] { return ping(b_.ip4(), 100); });
  std::uint64_t missed = 0;
  EXPECT_THAT(told(&missed), HasSubstr("past the hook on its host-side device"));
  // Those that the two pods tell each other of themselves come along.
  EXPECT_GE(missed, 95U);
  EXPECT_LE(missed, 120U);
  link->detach();
  ping(b_.ip4(), 100);
  EXPECT_EQ(told(), "") << "it is over";
}

// It cannot be cut there: what comes in one piece is lost in one piece, and counted by its packets.
TEST_F(PastHook, ALossTakesPiecesThatRedirectPeerBringsWhole) {
  auto link = deliver_by_redirect_peer();
  ASSERT_TRUE(link) << link.error().message;
  a_.in_netns([&] { ping(b_.ip4(), 1); });
  api::NetworkLoss loss;
  loss.loss.value = 0.2;
  loss.direction = api::Direction::from;
  const auto fault = arm(loss, b_.pod());
  const auto receiver = b_.in_netns([&] { return udp_receiver(b_.ip4(), 7000); });
  const auto sender = a_.in_netns([&] { return udp_sender(b_.ip4(), 7000); });
  const Delivery d = send_numbered(sender, receiver, 6000, 20);
  EXPECT_EQ(counters(*fault).matched, 6000U);
  EXPECT_EQ(counters(*fault).injected, d.lost());
  EXPECT_GT(d.lost(), 0U);
  for (const std::uint64_t run : d.loss_runs()) EXPECT_EQ(run % 20, 0U);
}

// networkLoss takes what the pod receives on the pod's own device, which nothing leads past.
TEST_F(PastHook, ALossTakesWhatRedirectPeerBrings) {
  auto link = deliver_by_redirect_peer();
  ASSERT_TRUE(link) << link.error().message;
  a_.in_netns([&] { ping(b_.ip4(), 10); });
  api::NetworkLoss loss;
  loss.loss.value = 1;
  loss.direction = api::Direction::from;
  const auto fault = arm(loss, b_.pod());
  EXPECT_THAT(a_.exec({"ping", "-c", "30", "-i", "0.01", "-W", "1", b_.ip4()}).output,
              HasSubstr(" 0 received"));
  const auto counters = fault->read();
  ASSERT_TRUE(counters) << counters.error().message;
  EXPECT_EQ(counters->injected, 30);
}

TEST_F(PastHook, AProgramThatWasPutBeforeOursIsNamed) {
  const agent::Fd pass = program({load(0, 0), kExit});  // TC_ACT_OK: the chain ends here
  ASSERT_TRUE(pass.valid());
  const auto device = agent::IfIndex{if_nametoindex(b_.host_device().c_str())};
  auto link = agent::attach_tcx(pass.get(), device, agent::TcHook::kIngress);
  ASSERT_TRUE(link) << link.error().message;
  EXPECT_THAT(told(), testing::AllOf(HasSubstr("the program cni_test of others came before ours"),
                                     HasSubstr(b_.host_device() + " ingress")));
  link->detach();
  EXPECT_EQ(told(), "");
}

TEST_F(PastHook, WhatADelayHoldsAndALossTakesIsNoBypass) {
  api::NetworkLatency slow;
  slow.latency.value = std::chrono::milliseconds(100);
  slow.direction = api::Direction::from;
  const auto fault = arm(slow, b_.pod());
  ASSERT_TRUE(flow_->faults_changed());
  ping(b_.ip4(), 100);
  EXPECT_EQ(told(), "");
  api::NetworkLoss loss;
  loss.loss.value = 0.3;
  loss.direction = api::Direction::from;
  const auto lossy = arm(loss, b_.pod());
  command({"ping", "-c", "50", "-i", "0.01", "-W", "1", b_.ip4()});
  EXPECT_EQ(told(), "");
}

}  // namespace
}  // namespace faultline::test
