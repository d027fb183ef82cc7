// SPDX-License-Identifier: Apache-2.0
// However the delay line ends, packets pass untouched afterwards, none is lost that could be saved,
// and nothing is left.
#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include <atomic>
#include <fstream>
#include <iostream>
#include <thread>

#include "agent/faults/delay_line/packet_budget.h"
#include "agent/faults/edt/edt_memory.h"
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
constexpr std::uint16_t kPort = 7200;
const double kUntouchedMs =
    testbed::within_ms(5);  // far below any delay asked here, far above a busy machine

api::NetworkLatency latency(milliseconds ms, api::Direction direction = api::Direction::to) {
  api::NetworkLatency fault;
  fault.latency.value = ms;
  fault.direction = direction;
  return fault;
}

int descriptors() {
  int n = 0;
  DIR* dir = opendir("/proc/self/fd");
  while (readdir(dir) != nullptr) ++n;
  closedir(dir);
  return n;
}
long resident_kb() {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;)
    if (word == "VmRSS:") {
      long kb = 0;
      file >> kb;
      return kb;
    }
  return -1;
}
int threads() {
  int n = 0;
  DIR* dir = opendir("/proc/self/task");
  while (readdir(dir) != nullptr) ++n;
  closedir(dir);
  return n;
}

class NetworkLatencyEnds : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS_TC(); }

  // A process of its own that arms, says so, and holds the fault with leases of `lease`.
  Child armed_elsewhere(const api::NetworkLatency& spec, milliseconds lease) {
    Child child([&, pod = a_.pod()] {
      const auto fault = arm(spec, pod, {.lease = lease});
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

TEST_F(NetworkLatencyEnds, KillLeavesTheNextPacketsUntouchedAndNothingBehind) {
  Child child =
      armed_elsewhere(latency(milliseconds(100), api::Direction::both), std::chrono::seconds(30));
  ASSERT_TRUE(*armed_);
  EXPECT_NEAR(ping(a_.ip4(), 20).median(), 200, within_ms(2));
  child.signal(SIGKILL);
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
  const Samples after = ping(a_.ip4(), 100);
  EXPECT_LT(after.median(), within_ms(1));
  EXPECT_LT(after.max(), kUntouchedMs);
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(NetworkLatencyEnds, AStoppedProcessStopsDelayingAtTheEndOfItsLease) {
  Child child = armed_elsewhere(latency(milliseconds(50), api::Direction::both), milliseconds(500));
  ASSERT_TRUE(*armed_);
  EXPECT_NEAR(ping(a_.ip4(), 20).median(), 100, within_ms(2));
  child.signal(SIGSTOP);
  std::this_thread::sleep_for(milliseconds(600));
  const Samples stopped = ping(a_.ip4(), 100);
  EXPECT_LT(stopped.median(), within_ms(1));
  EXPECT_LT(stopped.max(), kUntouchedMs);
  child.signal(SIGCONT);
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_NEAR(ping(a_.ip4(), 20).median(), 100, within_ms(2)) << "it goes on when it is told to";
}

TEST_F(NetworkLatencyEnds, WhenTheLeaseRunsOutWhatIsHeldIsGivenBackInOrder) {
  const auto receiver = udp_receiver(net_.host4(), kPort);
  std::vector<agent::Fd> flow;
  flow.push_back(a_.in_netns([&] { return udp_sender(net_.host4(), kPort); }));
  // 8 s of delay, but a lease of 400 ms from when it is armed, which may take longer than that
  // where filters need a journal: the first 400 ms of the stream are held until then.
  const auto fault = arm(latency(std::chrono::seconds(8)), a_.pod());
  fault->renew(in(milliseconds(400)));
  const Samples s = one_way(flow, receiver, 800, milliseconds(1), milliseconds(1500));
  EXPECT_EQ(s.lost, 0);
  EXPECT_LT(s.max(), 1460) << "400 ms, and the second in which all leave at the pace they came";
  const auto c = counters(*fault);
  EXPECT_GT(c.injected, 100U);
  EXPECT_LT(c.injected, 500U);
  EXPECT_EQ(c.lost, 0U);
}

TEST_F(NetworkLatencyEnds, DisarmLosesNoPacketAndIsDoneInASecond) {
  FAULTLINE_NEEDS_REAL_TIME;
  const auto receiver = udp_receiver(net_.host4(), kPort);
  std::vector<agent::Fd> flow;
  flow.push_back(a_.in_netns([&] { return udp_sender(net_.host4(), kPort); }));
  auto spec = latency(milliseconds(500));
  spec.jitter.value = milliseconds(200);
  std::vector<double> last_ms;
  for (int round = 0; round < 5; ++round) {
    auto fault = arm(spec, a_.pod());
    KtimeNs stop{};
    const Samples s =
        one_way(flow, receiver, 4000, std::chrono::microseconds(250), milliseconds(1000), [&] {
          stop = SystemClock().ktime();
          const auto done = fault->disarm();
          EXPECT_TRUE(done) << done.error().message;
        });
    EXPECT_EQ(s.lost, 0);
    const auto c = counters(*fault);
    EXPECT_EQ(c.lost, 0U);
    EXPECT_GT(c.matched, 1500U);
    last_ms.push_back(static_cast<double>(c.last_injected.ns - stop.ns) / 1e6);
  }
  std::cout << "last injected after stop, ms:";
  for (const double ms : last_ms) std::cout << " " << ms;
  std::cout << "\n";
  EXPECT_THAT(last_ms, testing::Each(testing::Lt(1050)));
}

// With jitter it is the delay line on every kernel, whose packets wait in the process that is
// stopped. Its lease is long: what lets packets pass here is that nobody is there to take them.
TEST_F(NetworkLatencyEnds, AStoppedProcessIsNoOutage) {
  FAULTLINE_NEEDS_REAL_TIME;
  auto spec = latency(milliseconds(50), api::Direction::both);
  spec.jitter.value = milliseconds(1);
  Child child = armed_elsewhere(spec, std::chrono::seconds(30));
  ASSERT_TRUE(*armed_);
  EXPECT_NEAR(ping(a_.ip4(), 20).median(), 100, within_ms(4));
  child.signal(SIGSTOP);
  std::this_thread::sleep_for(milliseconds(60));
  const Samples stopped = ping(a_.ip4(), 200);
  EXPECT_EQ(stopped.lost, 0);
  EXPECT_LT(stopped.max(), kUntouchedMs);
  child.signal(SIGCONT);
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_NEAR(ping(a_.ip4(), 20).median(), 100, within_ms(4)) << "it goes on by itself";
}

TEST_F(NetworkLatencyEnds, WhatFindsNoRoomPassesAtOnceAndIsCounted) {
  FAULTLINE_NEEDS_REAL_TIME;
  constexpr int kSent = 60000, kBytes = 8000;
  const auto receiver = udp_receiver(net_.host4(), kPort);
  must({"ip", "-n", a_.name(), "link", "set", "eth0", "mtu", "9000"});
  must({"ip", "link", "set", a_.host_device(), "mtu", "9000"});
  must({"ip", "link", "set", net_.bridge(), "mtu", "9000"});
  const auto sender = a_.in_netns([&] { return udp_sender(net_.host4(), kPort); });
  auto spec = latency(std::chrono::seconds(9));
  spec.jitter.value = milliseconds(1);
  auto fault = arm(spec, a_.pod());
  // 480 MB: more than a line may hold, with the TAP's ring.
  std::vector<char> data(kBytes);
  std::atomic<int> arrived = 0;
  std::jthread reader([&](const std::stop_token& stop) {
    std::vector<char> room(kBytes);
    timeval timeout{0, 100000};
    ::setsockopt(receiver.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    while (!stop.stop_requested())
      if (::recv(receiver.get(), room.data(), room.size(), 0) == kBytes) ++arrived;
  });
  for (int i = 0; i < kSent; ++i) {
    EXPECT_EQ(::send(sender.get(), data.data(), data.size(), 0), kBytes) << "send must never fail";
    if (i % 64 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const auto before = counters(*fault);
  const auto done = fault->disarm();
  std::this_thread::sleep_for(milliseconds(500));
  reader.request_stop();
  reader.join();
  const auto c = counters(*fault);
  std::cout << "sent " << kSent << ", arrived " << arrived << ", passed at once " << c.stalled
            << ", lost " << c.lost << "\n";
  EXPECT_GT(before.stalled, 1000U) << "it is known while the fault is armed";
  EXPECT_GT(arrived, static_cast<int>(c.stalled) / 2) << "what the receiver's buffer took";
  EXPECT_EQ(c.matched, static_cast<std::uint64_t>(kSent));
  EXPECT_EQ(c.injected + c.stalled, c.matched);
  EXPECT_EQ(c.lost, 0U);
  EXPECT_TRUE(done) << done.error().message;
}

// It is the kernel's memory, of which no cgroup counts anything.
TEST_F(NetworkLatencyEnds, AllLinesByEdtShareOneBound) {
  FAULTLINE_NEEDS(agent::KernelFeature::kFq);
  constexpr int kSent = 200;
  auto& budget = agent::PacketBudget::of_process();
  const std::size_t usual = budget.limit();
  budget.set_limit(100 * 1000);  // some fifty packets
  TestPod b(net_, "b");
  auto first = arm(latency(std::chrono::seconds(2)), a_.pod());
  auto second = arm(latency(std::chrono::seconds(2)), b.pod());
  budget.set_limit(usual);
  const auto memory = agent::EdtMemory::of_process();
  ASSERT_TRUE(memory) << memory.error().message;
  const auto receiver = udp_receiver(net_.host4(), kPort);
  const std::vector<char> data(1000, 'x');
  for (const TestPod* pod : {&a_, &b}) {
    const auto sender = pod->in_netns([&] { return udp_sender(net_.host4(), kPort); });
    for (int i = 0; i < kSent; ++i)
      EXPECT_EQ(::send(sender.get(), data.data(), data.size(), 0), 1000);
  }
  const auto of_first = counters(*first), of_second = counters(*second);
  std::cout << of_first.stalled << " and " << of_second.stalled << " of " << kSent
            << " passed at once, " << (*memory)->held() << " bytes held\n";
  EXPECT_GT(of_first.injected, 20U);
  EXPECT_GT(of_first.stalled, 100U);
  EXPECT_EQ(of_second.stalled, static_cast<std::uint64_t>(kSent)) << "the first one has all";
  EXPECT_LE((*memory)->held(), 102 * 1000);
  EXPECT_TRUE(first->disarm());
  EXPECT_EQ((*memory)->held(), 0);
  // A line that ends with its device gives back what its packets held.
  auto third = arm(latency(std::chrono::seconds(2)), a_.pod());
  const auto sender = a_.in_netns([&] { return udp_sender(net_.host4(), kPort); });
  EXPECT_EQ(::send(sender.get(), data.data(), data.size(), 0), 1000);
  EXPECT_GT((*memory)->held(), 1000);
  third.reset();
  EXPECT_EQ((*memory)->held(), 0);
}

TEST_F(NetworkLatencyEnds, ADeviceThatVanishesTakesTheFaultWithIt) {
  auto fault = arm(latency(milliseconds(20)), a_.pod());
  EXPECT_NEAR(ping(a_.ip4(), 20).median(), 20, within_ms(1));
  must({"ip", "link", "del", a_.host_device()});
  EXPECT_TRUE(fault->read());
  const auto done = fault->disarm();
  EXPECT_TRUE(done) << done.error().message;
  fault.reset();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(NetworkLatencyEnds, ManyCyclesLeaveNothingAndDoNotGrow) {
  const auto cycle = [&] {
    auto fault = arm(latency(milliseconds(5), api::Direction::both), a_.pod());
    command({"ping", "-c", "2", "-i", "0.002", a_.ip4()});
    EXPECT_TRUE(fault->disarm());
  };
  for (int i = 0; i < cycles(10); ++i) cycle();
  const int fds = descriptors(), tasks = threads();
  const long kb = resident_kb();
  for (int i = 0; i < cycles(200); ++i) cycle();
  std::cout << "resident " << kb << " -> " << resident_kb() << " kB\n";
  EXPECT_EQ(descriptors(), fds);
  EXPECT_EQ(threads(), tasks);
  EXPECT_LT(resident_kb(), kb + 1024);
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

}  // namespace
}  // namespace faultline::test
