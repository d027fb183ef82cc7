// SPDX-License-Identifier: Apache-2.0
// The programs that measured pods share (agent/effects/flow_node.h) count for each what is its own,
// whoever comes and goes beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "agent/effects/flow_node.h"
#include "agent/effects/packet_flow.h"
#include "testbed/emulated.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/tcp.h"
#include "testbed/test_pod.h"
#include "tests/kernel/packets.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::uint16_t kPort = 8080;

class FlowManyPods : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS_TC(); }

  std::unique_ptr<agent::Collector> measure(const TestPod& pod) {
    auto started = agent::start_packet_flow(pod.pod(), {clock_, features_});
    if (!started) throw std::runtime_error(started.error().message);
    return std::move(*started);
  }
  // Requests that were answered, by side; a gap is a failure.
  static std::map<std::string, double> requests(agent::Collector& collector) {
    std::vector<api::EffectSample> samples;
    std::vector<api::Gap> gaps;
    collector.take(samples, gaps);
    for (const api::Gap& gap : gaps) ADD_FAILURE() << gap.metric << ": " << gap.reason;
    std::map<std::string, double> sum;
    for (const auto& sample : samples)
      if (sample.metric == "request.rate") sum[sample.labels.at("side")] += sample.value;
    return sum;
  }

  SystemClock clock_;
  agent::FeatureProbe features_;
  ResidueCheck residue_;
  TestNetwork net_;
};

TEST_F(FlowManyPods, WhoComesAndGoesTakesNothingFromTheOthers) {
  const int rounds = emulated() ? 2 : 8;
  TestPod server(net_, "srv"), stays(net_, "stay"), comes(net_, "come");
  const EchoServer echo(server, kPort);
  // A process that is begun later would keep the descriptors of what measures.
  KeptConnection kept(stays, {server.ip4(), kPort});
  auto of_stays = measure(stays), of_server = measure(server);
  bool over = false;
  int asked = 0;
  std::thread traffic([&] {
    for (; !std::atomic_ref(over).load(); asked += 20) kept.echo(20);
  });
  for (int round = 0; round < rounds; ++round) {
    auto of_comes = measure(comes);  // in the slot that the one before it had
    KeptConnection fresh(comes, {server.ip4(), kPort});
    fresh.echo(50);
    EXPECT_EQ(requests(*of_comes), (std::map<std::string, double>{{"client", 50}}));
  }
  std::atomic_ref(over).store(true);
  traffic.join();
  EXPECT_GT(asked, 0);
  EXPECT_EQ(requests(*of_stays), (std::map<std::string, double>{{"client", asked}}));
  EXPECT_EQ(requests(*of_server), (std::map<std::string, double>{{"server", asked + 50 * rounds}}));
  of_stays.reset();
  of_server.reset();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(FlowManyPods, OneMoreThanThereAreSlotsIsRefusedUntilOneIsGivenBack) {
  std::vector<std::unique_ptr<agent::FlowSeat>> seats;
  auto object = opened<packet_flow_bpf>("packet_flow");
  for (std::uint32_t i = 0; i < FL_FLOW_PODS; ++i) {
    auto seat = agent::FlowSeat::take(*object);
    ASSERT_TRUE(seat) << i << ": " << seat.error().message;
    EXPECT_EQ(object->rodata->fl_flow_slot, i);
    seats.push_back(std::move(*seat));
  }
  const auto refused = agent::FlowSeat::take(*object);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("512 pods"));
  seats[7].reset();
  const auto again = agent::FlowSeat::take(*object);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(object->rodata->fl_flow_slot, 7U);
}

}  // namespace
}  // namespace faultline::test
