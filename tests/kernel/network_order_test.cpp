// SPDX-License-Identifier: Apache-2.0
// A flow keeps its order behind what makes packets wait, while other flows of the same pod keep
// every CPU busy with the same line.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>

#include <atomic>
#include <fstream>
#include <iostream>
#include <thread>

#include "agent/kernel/receive_steering.h"
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

using std::chrono::microseconds;
using std::chrono::milliseconds;
constexpr std::uint16_t kPort = 7410, kOtherPort = 7411;
constexpr auto kFq = agent::KernelFeature::kFq, kTap = agent::KernelFeature::kTun;

// A flow whose sender moves between CPUs overtakes itself without any fault.
void stay_on_cpu(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
}

struct Case {
  const char* name;
  std::optional<api::FaultSpec> fault;  // none: that the way itself keeps the order
  // Where there is fq: as if the kernel had no such thing, so by the delay line, or by EDT.
  std::optional<agent::KernelFeature> without = {};
  friend std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }
};

api::FaultSpec jittered() {
  api::NetworkLatency spec;
  spec.latency.value = milliseconds(5);
  spec.jitter.value = milliseconds(5);
  return spec;
}

api::FaultSpec with_probability() {
  api::NetworkLatency spec;
  spec.latency.value = milliseconds(5);
  spec.probability.value = 0.5;
  return spec;
}

api::FaultSpec narrow() {
  api::NetworkBandwidth spec;
  // Twice as fast as what comes, a packet at a time: a little burst has to wait.
  spec.rate.bits_per_second = emulated() ? 2'500'000 : 24'000'000;
  spec.burst.bytes = 64;
  return spec;
}

class NetworkOrder : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    FAULTLINE_NEEDS_TC();
    if (GetParam().without) FAULTLINE_NEEDS(agent::KernelFeature::kFq);
    const int cpus = static_cast<int>(std::thread::hardware_concurrency());
    for (int cpu = 0; cpu < cpus; ++cpu)
      others_.emplace_back([this, cpu] {
        stay_on_cpu(cpu);
        const auto sender = a_.in_netns([&] { return udp_sender(net_.host4(), kOtherPort); });
        while (!over_) {
          const char bytes[16] = {};
          static_cast<void>(::send(sender.get(), bytes, sizeof bytes, MSG_DONTWAIT));
          std::this_thread::sleep_for(microseconds(emulated() ? 3000 : 300));
        }
      });
  }
  void TearDown() override {
    over_ = true;
    for (std::thread& other : others_) other.join();
  }

  [[nodiscard]] std::unique_ptr<agent::ArmedFault> arm_it() const {
    if (!GetParam().fault) return nullptr;
    if (!GetParam().without) return arm(*GetParam().fault, a_.pod());
    const agent::FeatureProbe features{*GetParam().without, "this test does without"};
    return arm(*GetParam().fault, a_.pod(), {.features = &features});
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"};
  agent::Fd sink_ = udp_receiver(net_.host4(), kOtherPort);
  std::atomic<bool> over_ = false;
  std::vector<std::thread> others_;
};

TEST_P(NetworkOrder, NoneOfAHundredThousandDatagramsOvertakesAnother) {
  const auto fault = arm_it();
  const auto receiver = udp_receiver(net_.host4(), kPort);
  const int sent = emulated() ? 20'000 : 100'000;
  Samples s;
  std::thread([&] {
    stay_on_cpu(0);
    std::vector<agent::Fd> flows;
    for (int i = 0; i < 2; ++i)
      flows.push_back(a_.in_netns([&] { return udp_sender(net_.host4(), kPort); }));
    s = one_way(flows, receiver, sent, microseconds(emulated() ? 500 : 50));
  }).join();
  EXPECT_EQ(s.lost, 0);
  const auto c = fault ? counters(*fault) : agent::FaultCounters{};
  // A line that this machine stalled lets packets pass, and then keeps no order (decision 0029).
  if (c.stalled == 0) {
    EXPECT_EQ(s.reordered_within_flow, 0);
  }
  if (!fault) return;
  std::cout << fault->mechanism() << ": " << c.matched << " matched, " << c.injected
            << " injected, stalled " << c.stalled << ", " << s.reordered_within_flow
            << " out of order, " << s.reordered_between_flows << " passed other flows" << std::endl;
  EXPECT_GE(c.matched, static_cast<std::uint64_t>(sent));
  EXPECT_GT(c.injected, 0U);
  EXPECT_EQ(c.lost, 0U);
}

class NetworkOrderOfAFlood : public NetworkOrder {};

TEST_P(NetworkOrderOfAFlood, NothingIsLostNorOvertaken) {
  over_ = true;
  const auto fault = arm_it();
  const auto receiver = udp_receiver(net_.host4(), kPort);
  const int room = 64 << 20;
  ASSERT_EQ(::setsockopt(receiver.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room), 0);
  const auto sender = a_.in_netns([&] { return udp_sender(net_.host4(), kPort); });
  const Flood f = flood(sender, receiver, {.count = 20'000, .payload = 100});
  const auto c = counters(*fault);
  std::cout << fault->mechanism() << ": " << f.at.size() / f.at.back() << " a second, stalled "
            << c.stalled << ", " << f.overtaken() << " out of order" << std::endl;
  EXPECT_EQ(f.lost(), 0U);
  EXPECT_EQ(c.lost, 0U);
  if (c.stalled == 0) {
    EXPECT_EQ(f.overtaken(), 0U);
  }
}

// The kernel counts who steers, and a device that goes with its setting stays counted.
TEST(ReceiveSteering, IsTakenBack) {
  TestNetwork net;
  const TestPod pod{net, "a"};
  const auto cpus = [&] {
    std::string text;
    std::getline(std::ifstream("/sys/class/net/" + pod.host_device() + "/queues/rx-0/rps_cpus"),
                 text);
    return text;
  };
  const std::string none = cpus();
  if (none.empty()) GTEST_SKIP() << "needs: RPS (CONFIG_RPS)";
  EXPECT_EQ(none.find_first_not_of("0,"), std::string::npos) << none;
  {
    const auto steering = agent::ReceiveSteering::of(pod.host_device());
    ASSERT_TRUE(steering) << steering.error().message;
    EXPECT_NE(cpus(), none);
  }
  EXPECT_EQ(cpus(), none);
}

INSTANTIATE_TEST_SUITE_P(Kernel, NetworkOrder,
                         testing::Values(Case{"Unharmed", std::nullopt}, Case{"Jitter", jittered()},
                                         Case{"Probability", with_probability()},
                                         Case{"NarrowLink", narrow()},
                                         Case{"JitterWithoutFq", jittered(), kFq},
                                         Case{"ProbabilityWithoutFq", with_probability(), kFq},
                                         Case{"NarrowLinkWithoutTap", narrow(), kTap}));
INSTANTIATE_TEST_SUITE_P(Kernel, NetworkOrderOfAFlood,
                         testing::Values(Case{"Jitter", jittered()},
                                         Case{"Probability", with_probability()},
                                         Case{"JitterWithoutFq", jittered(), kFq}));

}  // namespace
}  // namespace faultline::test
