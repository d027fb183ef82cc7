// SPDX-License-Identifier: Apache-2.0
// What tcp_socket says of the traffic on connections, against what the kernel counts for the whole
// namespace (/proc/net/snmp) and the round trips that the test itself made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "testbed/emulated.h"
#include "testbed/tcp.h"
#include "tests/kernel/effects_tcp.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::Fd;
using agent::TcpSocketCollector;
using std::chrono::milliseconds;

constexpr std::uint16_t kPort = 7402;

class EffectsTcpTraffic : public EffectsTcp {};

// Segments that the namespace sent again, as the kernel counts them for SNMP.
std::uint64_t retransmitted(const TestPod& pod) {
  return pod.in_netns([] {
    std::ifstream in("/proc/thread-self/net/snmp");
    std::vector<std::string> names;
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::vector<std::string> row;
      for (std::string word; words >> word;) row.push_back(word);
      if (row.empty() || row[0] != "Tcp:") continue;
      if (names.empty()) {
        names = row;
        continue;
      }
      const auto at = std::ranges::find(names, "RetransSegs") - names.begin();
      return std::stoull(row.at(static_cast<std::size_t>(at)));
    }
    throw std::runtime_error("no RetransSegs");
  });
}

TEST_F(EffectsTcpTraffic, ConnectionFromBeforeGivesNoRoundTripAndThatIsTold) {
  const EchoServer server(b_, kPort);
  KeptConnection connection(a_, TcpAddress(b_.ip4(), kPort));
  connection.echo(1);
  const auto collector = measure(a_);
  EXPECT_TRUE(take(*collector).gaps.empty()) << "idle: nothing is missing";
  connection.echo(5);
  const Taken t = take(*collector);
  EXPECT_EQ(t.histogram("tcp.rtt").count(), 0U);
  ASSERT_EQ(t.gaps.size(), 1U);
  EXPECT_EQ(t.gaps[0].metric, "tcp.rtt");
  EXPECT_THAT(t.gaps[0].reason, testing::HasSubstr("from before"));
  EXPECT_EQ(t.gaps[0].missed, 1U);
  EXPECT_TRUE(take(*collector).gaps.empty()) << "idle again";
}

TEST_F(EffectsTcpTraffic, ConnectionsThatBeginWhileMeasuringBeginsAreCountedOnce) {
  const EchoServer server(b_, kPort);
  struct State {
    std::atomic<bool> stop = false, echo = false, done = false;
    std::atomic<int> open = 0;
  };
  Shared<State> state;
  Child client = a_.start([&] {
    std::vector<Fd> kept;
    const TcpAddress to(b_.ip4(), kPort);
    for (; !state->stop && kept.size() < 900; state->open = static_cast<int>(kept.size())) {
      kept.push_back(tcp_socket(to));
      if (try_connect(kept.back(), to) != 0) return 1;
    }
    while (!state->echo) std::this_thread::sleep_for(milliseconds(1));
    for (const Fd& fd : kept) {
      char byte = 'x';
      send(fd.get(), &byte, 1, 0);
      if (recv(fd.get(), &byte, 1, MSG_WAITALL) != 1) return 1;
    }
    state->done = true;
    pause();
    return 0;
  });
  ASSERT_TRUE(wait_for([&] { return state->open > 20; }));
  auto started = TcpSocketCollector::start(a_.pod(), {clock_, features_});
  ASSERT_TRUE(started);
  const int during = state->open;
  std::this_thread::sleep_for(milliseconds(2));
  state->stop = true;
  const int last = state->open;
  std::this_thread::sleep_for(milliseconds(20));
  take(**started);
  state->echo = true;
  ASSERT_TRUE(wait_for([&] { return state->done.load(); }));
  // A byte each: none of these round trips is the path's, and each connection is counted.
  const auto samples = static_cast<int>(take(**started).late());
  std::cout << samples << " round trips of " << state->open << " connections, " << during
            << " of them from before; opened when asked to stop: " << last << "\n";
  EXPECT_LE(samples, state->open);
  EXPECT_GE(samples, state->open * 9 / 10);
}

TEST_F(EffectsTcpTraffic, RetransmitsUnderLossAreThoseTheKernelCountsAndOnlyThePods) {
  FAULTLINE_NEEDS_TC();
  const TestPod neighbour(net_, "c");
  const EchoServer server(b_, kPort);
  KeptConnection old(a_, TcpAddress(b_.ip4(), kPort));
  const auto collector = measure(a_), beside = measure(neighbour);
  KeptConnection fresh(a_, TcpAddress(b_.ip4(), kPort)),
      other(neighbour, TcpAddress(b_.ip4(), kPort));
  const std::uint64_t before = retransmitted(a_);
  ASSERT_EQ(take(*collector).counter("tcp.retransmits"), 0);
  const auto fault = arm(loss(0.2), a_.pod());
  old.echo(60);
  const double by_old = take(*collector).counter("tcp.retransmits");
  fresh.echo(60);
  other.echo(60);
  const double by_fresh = take(*collector).counter("tcp.retransmits");
  const auto kernel = static_cast<double>(retransmitted(a_) - before);
  std::cout << by_old << " + " << by_fresh << " retransmits, the kernel counts " << kernel << "\n";
  EXPECT_GE(by_old, 3);
  EXPECT_GE(by_fresh, 3);
  EXPECT_NEAR(by_old + by_fresh, kernel, 1) << "one may be sent between the readings";
  EXPECT_EQ(take(*beside).counter("tcp.retransmits"), 0);
}

}  // namespace
}  // namespace faultline::test
