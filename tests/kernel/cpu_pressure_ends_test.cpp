// SPDX-License-Identifier: Apache-2.0
// However cpuPressure ends, its workers end: with the agent, with the lease, with the pod.
#include <filesystem>

#include "cpu_pressure.h"

namespace faultline::test {
namespace {

struct Progress {
  std::atomic<bool> armed = false;
  std::atomic<int> renewals = 0;
};

class CpuPressureEnds : public CpuPressure {
 protected:
  // Stands for the agent: arms, and renews its lease until it is stopped.
  Child owner(std::chrono::nanoseconds lease) {
    const agent::Pod pod = a_.pod();
    return Child([this, pod, lease] {
      const auto fault = arm(workers(2, 50), pod, {.lease = lease});
      for (;;) {
        fault->renew(in(lease));
        if (++progress_->renewals > 2) progress_->armed = true;
        usleep(20'000);
      }
      return 0;
    });
  }
  [[nodiscard]] std::size_t count() const { return workers_in(a_.cgroup_path()).size(); }
  Shared<Progress> progress_;
  CgroupLimits limits_{a_.cgroup_path()};
};

TEST_F(CpuPressureEnds, KilledOwnerEndsThemAtOnceAndLeavesNothing) {
  Child owning = owner(1min);
  ASSERT_TRUE(eventually([&] { return progress_->armed.load(); }));
  ASSERT_EQ(count(), 2U);
  EXPECT_THAT(residue_.now(), testing::Not(testing::IsEmpty())) << "the check must see them";
  owning.signal(SIGKILL);
  EXPECT_EQ(owning.wait(), 128 + SIGKILL);
  EXPECT_TRUE(eventually([&] { return count() == 0; }, 1s));
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(CpuPressureEnds, StoppedOwnerEndsThemWithinItsLease) {
  constexpr auto kLease = 600ms;
  Child owning = owner(kLease);
  ASSERT_TRUE(eventually([&] { return progress_->armed.load(); }));
  std::this_thread::sleep_for(2 * kLease);
  ASSERT_EQ(count(), 2U) << "renewed for longer than one lease";
  owning.signal(SIGSTOP);
  EXPECT_TRUE(eventually([&] { return count() == 0; }, kLease + 400ms));
  const double used = limits_.cpu_seconds();
  std::this_thread::sleep_for(200ms);
  EXPECT_LT(limits_.cpu_seconds() - used, 0.02);
  // Going on, it starts them again.
  owning.signal(SIGCONT);
  EXPECT_TRUE(eventually([&] { return count() == 2; }));
  owning.signal(SIGKILL);
  owning.wait();
  EXPECT_TRUE(eventually([&] { return count() == 0; }));
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(CpuPressureEnds, ALeaseThatIsOverWhenArmingLetsThemDoNothing) {
  const auto fault = arm(workers(1), a_.pod(), {.lease = -1ms});
  std::this_thread::sleep_for(200ms);
  EXPECT_EQ(counters(*fault).matched, 0U);
  EXPECT_LT(limits_.cpu_seconds(), 0.1);
  EXPECT_TRUE(eventually([&] { return count() == 0; }));
  fault->renew(in(1min));
  EXPECT_TRUE(eventually([&] { return counters(*fault).injected > 0; }));
}

TEST_F(CpuPressureEnds, ALeaseThatRunsOutEndsThemAndOneThatComesBackStartsThem) {
  const auto fault = arm(workers(2), a_.pod(), {.lease = 300ms});
  EXPECT_EQ(count(), 2U);
  EXPECT_TRUE(eventually([&] { return count() == 0; }));
  const auto over = counters(*fault);
  EXPECT_LE(over.matched, 620U) << "ms: not longer than the lease";
  EXPECT_GT(over.matched, 300U);  // a worker of a busy machine begins late
  EXPECT_EQ(over.lost, 0U);
  fault->renew(in(1min));
  EXPECT_TRUE(eventually([&] { return count() == 2; }));
  std::this_thread::sleep_for(300ms);
  EXPECT_GT(counters(*fault).injected, over.injected);
  EXPECT_EQ(counters(*fault).lost, 0U);
}

TEST_F(CpuPressureEnds, AWorkerThatSomebodyKillsIsToldAndNotStartedAgain) {
  const auto fault = arm(workers(2), a_.pod());
  std::this_thread::sleep_for(200ms);
  EXPECT_EQ(counters(*fault).lost, 0U);
  kill(workers_in(a_.cgroup_path()).front(), SIGKILL);
  std::this_thread::sleep_for(1s);
  fault->renew(in(1min));
  const auto c = counters(*fault);
  EXPECT_GT(c.lost, 800U) << "ms that nobody asked for";
  EXPECT_LE(c.lost + c.injected, c.matched);
  EXPECT_EQ(count(), 1U);
  ASSERT_TRUE(fault->disarm());
  EXPECT_EQ(count(), 0U);
}

// A runtime that removes a cgroup waits for the processes in it, which it does not know.
TEST_F(CpuPressureEnds, TheyDoNotOutliveThePodsProcesses) {
  std::optional<Child> app;
  app.emplace([&] {
    limits_.join();
    return ::pause();
  });
  ASSERT_TRUE(eventually([&] { return agent::processes_below(a_.cgroup_path()).size() == 1; }));
  const auto fault = arm(workers(2), a_.pod());
  fault->renew(in(1min));
  EXPECT_EQ(count(), 2U);
  app.reset();
  EXPECT_TRUE(eventually([&] {
    fault->renew(in(1min));
    return count() == 0;
  }));
  EXPECT_TRUE(eventually([&] { return std::filesystem::remove(a_.cgroup_path()); }));
  std::this_thread::sleep_for(200ms);
  fault->renew(in(1min));
  EXPECT_GT(counters(*fault).lost, 0U);
  std::filesystem::create_directory(a_.cgroup_path());
}

TEST_F(CpuPressureEnds, FrozenWithThePodTheyEndWhenItThawsAndTheLeaseIsOver) {
  const auto fault = arm(workers(1), a_.pod(), {.lease = 300ms});
  const auto freeze = [&](const char* how) {
    std::ofstream(a_.cgroup_path() + "/cgroup.freeze") << how << std::flush;
  };
  freeze("1");
  std::this_thread::sleep_for(600ms);
  EXPECT_EQ(count(), 1U);
  const double used = limits_.cpu_seconds();
  freeze("0");
  EXPECT_TRUE(eventually([&] { return count() == 0; }));
  EXPECT_LT(limits_.cpu_seconds() - used, 0.05);
}

TEST_F(CpuPressureEnds, FrozenWorkersAreNotSaidToHaveAsked) {
  const auto fault = arm(workers(1), a_.pod());
  std::ofstream(a_.cgroup_path() + "/cgroup.freeze") << "1" << std::flush;
  std::this_thread::sleep_for(1s);
  const auto c = counters(*fault);
  EXPECT_GT(c.stalled, c.matched / 2);
  ASSERT_TRUE(fault->disarm()) << "a frozen process can be killed";
  EXPECT_EQ(count(), 0U);
  std::ofstream(a_.cgroup_path() + "/cgroup.freeze") << "0" << std::flush;
}

TEST_F(CpuPressureEnds, AThrottledPodIsLeftInTime) {
  limits_.set_cpus(0.02);
  const auto fault = arm(workers(4), a_.pod());
  std::this_thread::sleep_for(500ms);
  const auto since = std::chrono::steady_clock::now();
  (void)fault->disarm();  // may say that they have not ended yet
  EXPECT_LT(std::chrono::steady_clock::now() - since, 3s);
  limits_.set_cpus(0);
  EXPECT_TRUE(eventually([&] { return count() == 0; }));
}

TEST_F(CpuPressureEnds, ManyCyclesLeaveNothing) {
  const agent::Pod pod = a_.pod();
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  (void)arm(workers(1), pod);
  const auto open = descriptors();
  for (int i = 0; i < cycles(200); ++i) {
    const auto fault = arm(workers(2, 10), pod);
    if (i % 2 == 0) {
      ASSERT_TRUE(fault->disarm());
    }
  }
  EXPECT_EQ(descriptors(), open);
  EXPECT_EQ(count(), 0U);
  EXPECT_THAT(agent::OwnProcesses::here().all(), testing::IsEmpty());
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

}  // namespace
}  // namespace faultline::test
