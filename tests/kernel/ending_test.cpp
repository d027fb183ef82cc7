// SPDX-License-Identifier: Apache-2.0
// However the owner of a fault ends, the fault ends: the processes here stand for the agent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "testbed/arm.h"
#include "testbed/emulated.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"
#include "testbed/udp.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using namespace std::chrono_literals;

struct Progress {
  std::atomic<bool> armed = false;
  std::atomic<int> renewals = 0;
};

class Ending : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS_TC(); }

  // Arms all faults of this kernel layer, and renews their leases until it is stopped.
  Child owner(std::chrono::nanoseconds lease, Progress& progress) {
    const agent::Pod pod = a_.pod();
    return Child([this, pod, lease, &progress] {
      api::NetworkLoss loss;
      loss.loss = {1.0};
      loss.correlation = {0.5};  // so that it has a pair of devices that cuts packets
      loss.direction = api::Direction::both;
      loss.except.emplace().cidrs = {api::Cidr::parse("192.0.2.0/24").value()};  // fills a map
      api::SocketError error;
      error.operations = {api::SocketOperation::connect, api::SocketOperation::setsockopt};
      error.errno_ = {EIO};
      std::vector<std::unique_ptr<agent::ArmedFault>> faults;
      faults.push_back(arm(loss, pod, {.lease = lease}));
      faults.push_back(arm(error, pod, {.lease = lease}));
      progress.armed = true;
      for (;;) {
        for (const auto& fault : faults) fault->renew(in(lease));
        ++progress.renewals;
        usleep(10000);
      }
      return 0;
    });
  }
  static void wait_for(const std::atomic<bool>& flag) {
    for (int i = 0; i < 1000 && !flag; ++i) std::this_thread::sleep_for(5ms);
    ASSERT_TRUE(flag);
  }
  // Sent by a process of the pod, to the host; the socket was connected before.
  std::uint64_t lost(std::uint32_t count = 20) {
    const auto receiver = udp_receiver(net_.host4(), 7000);
    const auto sender = a_.in_netns([&] { return udp_sender(net_.host4(), 7000); });
    return send_numbered(sender, receiver, count).lost();
  }
  int connect_errno() {
    return a_.run([&] {
      try {
        (void)udp_sender(net_.host4(), 7000);
      } catch (const std::system_error& e) {
        return e.code().value();
      }
      return 0;
    });
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"};
  Shared<Progress> progress_;
};

TEST_F(Ending, KilledOwnerEndsTheFaultAtOnceAndLeavesNothing) {
  Child owning = owner(1min, *progress_);
  wait_for(progress_->armed);
  ASSERT_EQ(lost(), 20U);
  ASSERT_EQ(connect_errno(), EIO);
  EXPECT_THAT(residue_.now(), testing::Not(testing::IsEmpty())) << "the check must see them";
  owning.signal(SIGKILL);
  EXPECT_EQ(owning.wait(), 128 + SIGKILL);
  // Without tcx links a worker of the kernel empties the filter; it takes milliseconds.
  if (!features().has(agent::KernelFeature::kTcx))
    for (int i = 0; i < 100 && lost(1) > 0; ++i) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(lost(1000), 0U) << "from the very next packet on";
  EXPECT_EQ(connect_errno(), 0);
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(Ending, StoppedOwnerEndsTheFaultWithItsLease) {
  constexpr auto kLease = 500ms;
  Child owning = owner(kLease, *progress_);
  wait_for(progress_->armed);
  std::this_thread::sleep_for(2 * kLease);
  ASSERT_EQ(lost(), 20U) << "renewed for longer than one lease";
  ASSERT_EQ(connect_errno(), EIO);
  owning.signal(SIGSTOP);
  const auto stopped = std::chrono::steady_clock::now();
  ASSERT_EQ(lost(1), 1U) << "still within the lease";
  std::this_thread::sleep_until(stopped + kLease);
  EXPECT_EQ(lost(1000), 0U);
  EXPECT_EQ(connect_errno(), 0);
  // Going on, it takes its faults up again; ending, it leaves nothing.
  const int before = progress_->renewals;
  owning.signal(SIGCONT);
  while (progress_->renewals < before + 3) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(lost(), 20U);
  owning.signal(SIGKILL);
  owning.wait();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(Ending, LeaseThatIsOverWhenArmingInjectsNothing) {
  api::NetworkLoss loss;
  loss.loss = {1.0};
  const auto fault = arm(loss, a_.pod(), {.lease = -1ms});
  EXPECT_EQ(lost(100), 0U);
  EXPECT_EQ(counters(*fault).matched, 0U);
}

TEST_F(Ending, ManyCyclesLeaveNoDescriptorsProgramsOrMemory) {
  const agent::Pod pod = a_.pod();
  api::NetworkLoss loss;
  loss.loss = {0.5};
  loss.direction = api::Direction::both;
  api::SocketError error;
  error.operations = {api::SocketOperation::connect};
  error.errno_ = {EIO};
  const auto cycle = [&] {
    const auto one = arm(loss, pod);
    const auto two = arm(error, pod);
    ASSERT_TRUE(one->disarm());
  };
  const auto kilobytes = [] {
    return std::stol(command({"grep", "-oP", "VmRSS:\\s*\\K\\d+",
                              "/proc/" + std::to_string(getpid()) + "/status"})
                         .output);
  };
  const auto descriptors = [] {
    return std::stol(
        command({"sh", "-c", "ls /proc/" + std::to_string(getpid()) + "/fd | wc -l"}).output);
  };
  for (int i = 0; i < cycles(10); ++i) cycle();
  const long memory = kilobytes(), open = descriptors();
  for (int i = 0; i < cycles(500); ++i) cycle();  // natively a thousand faults start and stop
  EXPECT_EQ(descriptors(), open);
  EXPECT_LT(kilobytes() - memory, 1024);
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

// The harness itself: a test that is killed leaves no pod behind.
TEST(Harness, KilledTestIsSweptUp) {
  Shared<std::atomic<int>> ready;
  pid_t pid = 0;
  {
    Child test([&] {
      TestNetwork net;
      TestPod pod(net, "x");
      Child inside = pod.start([] { return pause(); });
      *ready = 1;
      pause();
      return 0;
    });
    pid = test.pid();
    for (int i = 0; i < 1000 && *ready == 0; ++i) std::this_thread::sleep_for(5ms);
    ASSERT_EQ(*ready, 1);
  }  // killed
  const std::string name = "flt" + std::to_string(pid);
  const auto left = [&] {
    return command({"sh", "-c",
                    "ls /run/netns | grep '^" + name + "'; ip -o link | grep " + name +
                        "; find $(findmnt -nt cgroup2 -o TARGET) -name '" + name + "*'"})
        .output;
  };
  for (int i = 0; i < 100 && !left().empty(); ++i) std::this_thread::sleep_for(50ms);
  EXPECT_EQ(left(), "");
}

}  // namespace
}  // namespace faultline::test
