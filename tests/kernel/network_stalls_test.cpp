// SPDX-License-Identifier: Apache-2.0
// An agent that stands still, for whatever reason, is no outage of the pod whose packets wait in
// it, nor of its neighbour; and what a kill leaves then is nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <fstream>
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

using std::chrono::milliseconds;

enum class Stall { kStopped, kFrozen, kBehindARealTimeThread };

struct Case {
  const char* name;
  Stall stall;
  api::FaultSpec fault;
  double added_ms;  // a round trip, while the agent works
  friend std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }
};

api::FaultSpec delay() {
  api::NetworkLatency spec;
  spec.latency.value = milliseconds(50);
  spec.jitter.value = milliseconds(1);
  spec.direction = api::Direction::both;
  return spec;
}

api::FaultSpec narrow() {
  api::NetworkBandwidth spec;
  spec.rate.bits_per_second = 10'000'000;
  spec.direction = api::Direction::both;
  return spec;
}

class NetworkStalls : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    FAULTLINE_NEEDS_TC();
    FAULTLINE_NEEDS_REAL_TIME;
  }
  // All threads of the agent are on one CPU, and in a cgroup of their own.
  Child agent() {
    Child child([&, pod = a_.pod()] {
      cpu_set_t cpu;
      CPU_ZERO(&cpu);
      CPU_SET(last_cpu(), &cpu);
      if (::sched_setaffinity(0, sizeof cpu, &cpu) != 0) return 1;
      join_cgroup(own_.cgroup_path());
      const auto fault = arm(GetParam().fault, pod, {.lease = std::chrono::seconds(30)});
      *armed_ = true;
      for (;;) std::this_thread::sleep_for(milliseconds(50));
      return 0;
    });
    for (int i = 0; i < 500 && !*armed_; ++i) std::this_thread::sleep_for(milliseconds(10));
    return child;
  }
  static int last_cpu() { return static_cast<int>(std::thread::hardware_concurrency()) - 1; }
  void freeze(const char* how) const {
    std::ofstream(own_.cgroup_path() + "/cgroup.freeze") << how << std::flush;
  }
  void begin(const Child& child) {
    switch (GetParam().stall) {
      case Stall::kStopped:
        return child.signal(SIGSTOP);
      case Stall::kFrozen:
        return freeze("1");
      case Stall::kBehindARealTimeThread:
        busy_ = std::jthread([](const std::stop_token& stop) {
          cpu_set_t cpu;
          CPU_ZERO(&cpu);
          CPU_SET(last_cpu(), &cpu);
          ::sched_setaffinity(0, sizeof cpu, &cpu);
          const sched_param priority{.sched_priority = 10};
          ::sched_setscheduler(0, SCHED_FIFO, &priority);
          while (!stop.stop_requested()) continue;
        });
    }
  }
  void end(const Child& child) {
    busy_ = {};
    freeze("0");
    child.signal(SIGCONT);
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"}, b_{net_, "b"};
  TestPod own_{net_, "own"};  // its cgroup is the agent's
  Shared<std::atomic<bool>> armed_;
  std::jthread busy_;
};

TEST_P(NetworkStalls, IsNoOutageAndAKillThenLeavesNothing) {
  constexpr double kBoundMs = 100;
  Child child = agent();
  ASSERT_TRUE(*armed_);
  const double added = ping(a_.ip4(), 20).median();
  EXPECT_NEAR(added, GetParam().added_ms, 5);
  begin(child);
  std::this_thread::sleep_for(milliseconds(60));
  // Once a second the kernel lets others run beside a real-time thread, and packets wait again.
  const Samples target = ping(a_.ip4(), 60), neighbour = ping(b_.ip4(), 40);
  std::cout << GetParam() << ": at most " << target.max() << " ms, a neighbour " << neighbour.max()
            << " ms\n";
  EXPECT_LT(target.max(), GetParam().added_ms + kBoundMs);
  EXPECT_LT(neighbour.max(), kBoundMs);
  end(child);
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_NEAR(ping(a_.ip4(), 20).median(), GetParam().added_ms, 5) << "it goes on by itself";
  begin(child);
  child.signal(SIGKILL);
  freeze("0");
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
  busy_ = {};
  const Samples after = ping(a_.ip4(), 40);
  EXPECT_LT(after.max(), kBoundMs);
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Kernel, NetworkStalls,
                         testing::Values(Case{"DelayStopped", Stall::kStopped, delay(), 100},
                                         Case{"DelayFrozen", Stall::kFrozen, delay(), 100},
                                         Case{"DelayBehindARealTimeThread",
                                              Stall::kBehindARealTimeThread, delay(), 100},
                                         Case{"NarrowStopped", Stall::kStopped, narrow(), 0},
                                         Case{"NarrowFrozen", Stall::kFrozen, narrow(), 0},
                                         Case{"NarrowBehindARealTimeThread",
                                              Stall::kBehindARealTimeThread, narrow(), 0}));

}  // namespace
}  // namespace faultline::test
