// SPDX-License-Identifier: Apache-2.0
// While a call of the pod is delayed, a neighbour gets every lock that the call needs: the call
// waits where it holds none, or the fault is refused with the lock's name.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>

#include "agent/faults/syscalls/latency_plan.h"
#include "testbed/arm.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
namespace {

using agent::KernelFeature;
using std::string;
using Clock = std::chrono::steady_clock;

struct Seen {
  std::atomic<int> inside{0}, go{0}, done{0};
};

class SyscallLatencyLocks : public testing::Test {
 protected:
  void SetUp() override {
    FAULTLINE_NEEDS(KernelFeature::kTaskFromPid);
    FAULTLINE_NEEDS(KernelFeature::kFuse);
    FAULTLINE_NEEDS(KernelFeature::kSleepableLsm);
    std::ofstream(file()) << "text";
  }
  [[nodiscard]] string file() const { return folder_.path() + "/there"; }
  [[nodiscard]] string second(const char* name) const { return folder_.path() + "/" + name; }

  [[nodiscard]] api::SyscallLatency slow(const char* call, std::chrono::nanoseconds by) const {
    api::SyscallLatency fault;
    fault.syscalls = {call};
    fault.latency.value = by;
    fault.path = folder_.path();
    return fault;
  }
  // A process of the pod that makes the call when it is told to.
  Child caller(const std::function<long()>& call) {
    Child child = pod_.start([this, call] {
      seen_->inside = 1;
      while (seen_->go == 0) ::usleep(1000);
      const long result = call();
      seen_->done = 1;
      return result < 0 ? 1 : 0;
    });
    for (int i = 0; i < 5000 && seen_->inside == 0; ++i) std::this_thread::sleep_for(2ms);
    return child;
  }
  // Refused with the lock's name, or the call is under way and a neighbour makes a directory
  // beside.
  void neighbour_goes_on(const char* call, const std::function<long()>& body) {
    Child waiting = caller(body);
    auto fault = try_arm(slow(call, 9s), pod_.pod());
    if (!fault) {
      EXPECT_FALSE(features().has(KernelFeature::kTaskWork)) << fault.error().message;
      EXPECT_EQ(fault.error().code, Errc::kUnsupported);
      EXPECT_THAT(fault.error().message, testing::HasSubstr("i_rwsem")) << call;
      seen_->go = 1;
      EXPECT_EQ(waiting.wait(), 0);
      return;
    }
    seen_->go = 1;
    for (int i = 0; i < 2000 && counters(**fault).matched == 0; ++i)
      std::this_thread::sleep_for(2ms);
    ASSERT_EQ(counters(**fault).matched, 1U) << call;
    std::this_thread::sleep_for(300ms);
    const auto begin = Clock::now();
    EXPECT_EQ(::mkdir(second("neighbour").c_str(), 0755), 0);
    EXPECT_LT(Clock::now() - begin, 3s) << call << " by " << (*fault)->mechanism();
    EXPECT_EQ(seen_->done, 0) << "the call still waits";
    EXPECT_TRUE((*fault)->disarm());
    EXPECT_EQ(waiting.wait(), 0);
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod pod_{net_, "a"};
  TestFolder folder_;
  Shared<Seen> seen_;
};

TEST_F(SyscallLatencyLocks, MakingADirectory) {
  neighbour_goes_on("mkdirat",
                    [&] { return ::syscall(SYS_mkdirat, AT_FDCWD, second("new").c_str(), 0755); });
}

TEST_F(SyscallLatencyLocks, RemovingAFile) {
  neighbour_goes_on("unlinkat",
                    [&] { return ::syscall(SYS_unlinkat, AT_FDCWD, file().c_str(), 0); });
}

TEST_F(SyscallLatencyLocks, RenamingAFile) {
  neighbour_goes_on("renameat2", [&] {
    return ::syscall(SYS_renameat2, AT_FDCWD, file().c_str(), AT_FDCWD, second("moved").c_str(), 0);
  });
}

TEST_F(SyscallLatencyLocks, ChangingTheModeOfAFile) {
  neighbour_goes_on(
      "fchmodat", [&] { return ::syscall(SYS_fchmodat, AT_FDCWD, folder_.path().c_str(), 0755); });
}

// Whoever freezes the file system waits for an open that truncates.
TEST_F(SyscallLatencyLocks, AnOpenThatTruncatesWaitsAfterwardsOrNotAtAll) {
  Child truncating = caller([&] {
    return ::syscall(SYS_openat, AT_FDCWD, file().c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  });
  const auto fault = arm(slow("openat", 50ms), pod_.pod());
  seen_->go = 1;
  EXPECT_EQ(truncating.wait(), 0);
  const auto c = counters(*fault);
  const bool can = features().has(KernelFeature::kTaskWork);
  EXPECT_EQ(c.matched, 1U);
  EXPECT_EQ(c.injected, can ? 1U : 0U) << fault->mechanism();
  EXPECT_EQ(c.errors, can ? 0U : 1U) << "it is told that the call was not delayed";
}

// Of every hook where the kernel holds a lock, whether or not it lets programs sleep there.
TEST_F(SyscallLatencyLocks, NoCallSleepsAtAHookThatHoldsALock) {
  const agent::FeatureProbe hooks_only(
      {{KernelFeature::kTaskWork, "hidden"}, {KernelFeature::kSleepableSyscall, "hidden"}});
  int refused = 0;
  for (const api::Syscall& call : api::syscall_table()) {
    const agent::SecurityHook* hook = agent::security_hook(call);
    if (hook == nullptr || hook->held.empty() || agent::syscall_number(call) < 0) continue;
    api::SyscallLatency spec;
    spec.syscalls = {string(call.name)};
    spec.latency.value = 1ms;
    for (const bool spin : {false, true}) {
      spec.spin = spin;
      const auto plan = agent::plan_latency(spec, hooks_only);
      // To spin on the call itself is no waiting under a lock.
      if (plan && plan->calls.calls.front().rung == agent::SyscallRung::kSystemCall) continue;
      ASSERT_FALSE(plan) << call.name;
      EXPECT_THAT(plan.error().message, testing::HasSubstr(string(hook->held))) << call.name;
      ++refused;
    }
  }
  EXPECT_GE(refused, 15);
}

}  // namespace
}  // namespace faultline::test
