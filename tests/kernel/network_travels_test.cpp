// SPDX-License-Identifier: Apache-2.0
// What goes through a line comes out as it went in: in the order of its flow, and with what a CNI
// wrote on it.
#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <iostream>
#include <map>
#include <thread>
#include <tuple>

#include "agent/kernel/tc.h"
#include "packet_fields.skel.h"
#include "testbed/arm.h"
#include "testbed/emulated.h"
#include "testbed/latency_probe.h"
#include "testbed/needs.h"
#include "testbed/rate_probe.h"
#include "testbed/residue.h"
#include "testbed/stats.h"
#include "testbed/test_pod.h"
#include "tests/kernel/packets.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
constexpr std::uint16_t kPort = 7400;
constexpr std::uint32_t kCniMark = 0x1a2b0f00, kCniPriority = 6, kCniIndex = 0x55,
                        kCniHash = 0x12345678;

api::NetworkLatency latency(milliseconds ms, api::Direction direction) {
  api::NetworkLatency fault;
  fault.latency.value = ms;
  fault.direction = direction;
  return fault;
}

// mark, priority, tc_index, hash.
using Fields = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>;

class NetworkTravels : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS(agent::KernelFeature::kTcx); }

  // A CNI's programs on `device` at `hook`: one that sees what comes behind all others there, and,
  // in the pod, one that writes on what the pod sends.
  void see(agent::IfIndex device, agent::TcHook hook) {
    cni_->rodata->port = kPort;
    cni_->rodata->mark = kCniMark;
    cni_->rodata->priority = kCniPriority;
    cni_->rodata->tc_index = kCniIndex;
    cni_->rodata->hash = kCniHash;
    ASSERT_TRUE(cni_.load());
    keep(agent::attach_tc(agent::TcMeans::kTcx, bpf_program__fd(cni_->progs.packet_fields_see),
                          device, hook));
  }
  void write_in_pod() {
    const auto pod = a_.pod();
    keep(agent::attach_tc(agent::TcMeans::kTcx, bpf_program__fd(cni_->progs.packet_fields_write),
                          pod.interfaces.at(0).pod_index, agent::TcHook::kEgress, pod.netns_path));
  }
  void keep(Result<agent::Link> link) {
    ASSERT_TRUE(link) << link.error().message;
    links_.push_back(std::move(*link));
  }
  [[nodiscard]] std::map<Fields, std::uint64_t> seen() const {
    std::map<Fields, std::uint64_t> out;
    const int map = bpf_map__fd(cni_->maps.seen);
    std::array<std::uint32_t, 4> key{}, next{};
    for (void* at = nullptr; bpf_map_get_next_key(map, at, next.data()) == 0; at = key.data()) {
      key = next;
      std::uint64_t n = 0;
      bpf_map_lookup_elem(map, key.data(), &n);
      out[{key[0], key[1], key[2], key[3]}] = n;
    }
    return out;
  }
  agent::Fd marked_sender(std::uint32_t mark) {
    auto sender = udp_sender(a_.ip4(), kPort);
    const int priority = kCniPriority;
    EXPECT_EQ(::setsockopt(sender.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
    EXPECT_EQ(::setsockopt(sender.get(), SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority), 0);
    return sender;
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"};
  agent::Skeleton<packet_fields_bpf> cni_ = opened<packet_fields_bpf>("packet_fields");
  std::vector<agent::Link> links_;
};

TEST_F(NetworkTravels, WhatTheSenderWroteIsThereBehindADelayAtEgress) {
  see(a_.pod().interfaces.at(0).host_index, agent::TcHook::kEgress);
  const auto fault = arm(latency(milliseconds(20), api::Direction::from), a_.pod());
  const auto receiver = a_.in_netns([&] { return udp_receiver(a_.ip4(), kPort); });
  const Samples s = one_way(marked_sender(kCniMark), receiver, 100, milliseconds(1));
  EXPECT_NEAR(s.median(), 20, within_ms(2));
  std::uint64_t same = 0, all = 0;
  for (const auto& [fields, n] : seen()) {
    all += n;
    if (std::get<0>(fields) == kCniMark && std::get<1>(fields) == kCniPriority &&
        std::get<2>(fields) == 0)
      same += n;
  }
  EXPECT_EQ(all, 100U);
  EXPECT_EQ(same, 100U);
  EXPECT_EQ(seen().size(), 1U) << "one flow has one hash";
}

TEST_F(NetworkTravels, WhatAProgramOfThePodWroteIsThereBehindADelayAtIngress) {
  see(a_.pod().interfaces.at(0).host_index, agent::TcHook::kIngress);
  write_in_pod();
  const auto fault = arm(latency(milliseconds(20), api::Direction::to), a_.pod());
  const auto receiver = udp_receiver(net_.host4(), kPort);
  auto sender = a_.in_netns([&] { return udp_sender(net_.host4(), kPort); });
  const Samples s = one_way(std::move(sender), receiver, 100, milliseconds(1));
  EXPECT_NEAR(s.median(), 20, within_ms(2));
  // The kernel clears mark and priority on the way out of the pod, before our hook.
  EXPECT_EQ(seen(), (std::map<Fields, std::uint64_t>{{{0, 0, kCniIndex, kCniHash}, 100}}));
}

TEST_F(NetworkTravels, NoMarkExemptsFromAFault) {
  const auto receiver = a_.in_netns([&] { return udp_receiver(a_.ip4(), kPort); });
  const auto fault = arm(latency(milliseconds(20), api::Direction::from), a_.pod());
  for (const std::uint32_t mark : {0x0fa17000U, 0x0fa17001U, 0x0fa17fffU, 1U, ~0U}) {
    const Samples s = one_way(marked_sender(mark), receiver, 20, milliseconds(1));
    EXPECT_NEAR(s.median(), 20, within_ms(2)) << std::hex << mark;
  }
  EXPECT_EQ(counters(*fault).matched, 100U);
}

// A loss, too, is asked once: before the delay and not again behind it.
TEST_F(NetworkTravels, ALossThatWasArmedLaterHitsADelayedPacketOnce) {
  const auto receiver = udp_receiver(net_.host4(), kPort);
  const auto delay = arm(latency(milliseconds(5), api::Direction::to), a_.pod());
  api::NetworkLoss half;
  half.loss = {0.5};
  half.direction = api::Direction::to;
  const auto loss = arm(half, a_.pod());
  const auto sender = a_.in_netns([&] { return udp_sender(net_.host4(), kPort); });
  const Delivery d = send_numbered(sender, receiver, 4000);
  EXPECT_EQ(counters(*loss).matched, 4000U);
  EXPECT_EQ(counters(*loss).injected, d.lost());
  EXPECT_EQ(counters(*delay).matched, 4000 - d.lost());
}

TEST_F(NetworkTravels, WhatTheDiceSpareGoesBehindItsFlow) {
  FAULTLINE_NEEDS_REAL_TIME;
  auto spec = latency(milliseconds(30), api::Direction::to);
  spec.probability = {0.5};
  constexpr int kSent = 20000;
  const auto fault = arm(spec, a_.pod());
  const auto receiver = udp_receiver(net_.host4(), kPort);
  std::vector<agent::Fd> flow;
  flow.push_back(a_.in_netns([&] { return udp_sender(net_.host4(), kPort); }));
  const Samples dense = one_way(flow, receiver, kSent, microseconds(100));
  EXPECT_EQ(dense.lost, 0);
  const auto c = counters(*fault);
  std::cout << dense.reordered_within_flow << " out of order, stalled " << c.stalled << "\n";
  // A line that this machine stalled lets packets pass, and then keeps no order (decision 0029).
  if (c.stalled == 0) {
    EXPECT_EQ(dense.reordered_within_flow, 0);
  }
  EXPECT_EQ(c.matched, std::uint64_t{kSent});
  EXPECT_TRUE(binomial_interval(0.5, kSent).contains(static_cast<double>(c.injected) / kSent));
  EXPECT_EQ(c.added_latency.count(), c.injected) << "those that only follow were not delayed";
  EXPECT_EQ(c.lost, 0U);
  // Whose flow has nothing in the line passes at once.
  const Samples sparse = one_way(flow, receiver, 100, milliseconds(40));
  EXPECT_EQ(sparse.reordered_within_flow, 0);
  const auto late = std::ranges::count_if(sparse.ms, [](double ms) { return ms > 25; });
  EXPECT_NEAR(static_cast<double>(late), 50, 20);
}

// Datagrams of `bytes` on one flow, as many fragments each; how many arrived whole.
int arrived_whole(const agent::Fd& sender, const agent::Fd& receiver, int count,
                  std::size_t bytes) {
  std::vector<char> data(bytes, 'x'), room(bytes);
  timeval patience{0, 500000};
  ::setsockopt(receiver.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  int arrived = 0;
  std::thread reader([&] {
    while (::recv(receiver.get(), room.data(), room.size(), 0) == static_cast<ssize_t>(bytes))
      ++arrived;
  });
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(::send(sender.get(), data.data(), bytes, 0), static_cast<ssize_t>(bytes));
    std::this_thread::sleep_for(milliseconds(2));
  }
  reader.join();
  return arrived;
}

TEST_F(NetworkTravels, FragmentsWaitWithTheFirstOfTheirDatagram) {
  for (const bool v6 : {false, true}) {
    auto spec = latency(milliseconds(80), api::Direction::to);
    spec.peerPorts = {kPort};
    const auto fault = arm(spec, a_.pod());
    const std::string host = v6 ? net_.host6() : net_.host4();
    const auto receiver = udp_receiver(host, kPort), other = udp_receiver(host, kPort + 1);
    const auto sender = a_.in_netns([&] { return udp_sender(host, kPort); });
    EXPECT_EQ(arrived_whole(sender, receiver, 200, 7000), 200);
    EXPECT_EQ(counters(*fault).matched, 1000U) << "five fragments each";
    EXPECT_EQ(counters(*fault).injected, 1000U);
    const auto unmeant = a_.in_netns([&] { return udp_sender(host, kPort + 1); });
    EXPECT_EQ(arrived_whole(unmeant, other, 100, 7000), 100);
    EXPECT_EQ(counters(*fault).matched, 1000U);
  }
}

TEST_F(NetworkTravels, ALossHitsADatagramWithAllItsFragmentsOrNone) {
  for (const bool v6 : {false, true}) {
    api::NetworkLoss spec;
    spec.loss = {0.3};
    spec.direction = api::Direction::to;
    spec.peerPorts = {kPort};
    const auto fault = arm(spec, a_.pod());
    const std::string host = v6 ? net_.host6() : net_.host4();
    const auto receiver = udp_receiver(host, kPort);
    const auto sender = a_.in_netns([&] { return udp_sender(host, kPort); });
    const int lost = 300 - arrived_whole(sender, receiver, 300, 7000);
    EXPECT_TRUE(binomial_interval(0.3, 300).contains(lost / 300.0)) << lost;
    EXPECT_EQ(counters(*fault).matched, 1500U);
    EXPECT_EQ(counters(*fault).injected, static_cast<std::uint64_t>(lost) * 5);
  }
}

// What came within 50 ms, at its densest.
std::size_t densest(const std::vector<double>& at) {
  std::size_t most = 0;
  for (std::size_t first = 0, last = 0; last < at.size(); ++last) {
    while (at[last] - at[first] > 0.05) ++first;
    most = std::max(most, last - first + 1);
  }
  return most;
}

// The buffer is large, so that a busy machine loses nothing: what would overflow an application's
// own is how much comes at once.
TEST_F(NetworkTravels, TheEndOfADelayUnderLoadIsNoBurst) {
  FAULTLINE_NEEDS_REAL_TIME;
  constexpr std::uint32_t kSent = 40000;  // 4 s of 112 Mbit/s: 500 packets in 50 ms
  auto fault = arm(latency(milliseconds(1000), api::Direction::to), a_.pod());
  const auto receiver = udp_receiver(net_.host4(), kPort);
  const auto sender = a_.in_netns([&] { return udp_sender(net_.host4(), kPort); });
  std::thread stop;
  std::chrono::steady_clock::duration took{};
  const Flood seen = flood(
      sender, receiver,
      {.bits_per_second = 112e6, .count = kSent, .patience = milliseconds(1500), .during = [&] {
         stop = std::thread([&] {
           const auto begun = std::chrono::steady_clock::now();
           const auto done = fault->disarm();
           EXPECT_TRUE(done) << done.error().message;
           took = std::chrono::steady_clock::now() - begun;
         });
       }});
  stop.join();
  const auto c = counters(*fault);
  std::cout << "at most " << densest(seen.at) << " in 50 ms, lost " << seen.lost()
            << ", held at the end " << c.flushed << ", ended in "
            << std::chrono::duration<double, std::milli>(took).count() << " ms\n";
  EXPECT_GT(c.flushed, 5000U);
  EXPECT_LT(densest(seen.at), 6000U) << "1 000 when calm: 500 held, 500 sent; at once were 10 000";
  EXPECT_EQ(seen.lost(), 0U);
  EXPECT_EQ(c.lost, 0U);
  EXPECT_LT(took, std::chrono::milliseconds(1500)) << "1 s, and a busy machine";
}

}  // namespace
}  // namespace faultline::test
