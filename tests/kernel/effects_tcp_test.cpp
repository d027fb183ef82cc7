// SPDX-License-Identifier: Apache-2.0
// What tcp_socket says of connects, against what the programs themselves saw: errno and stopwatch.
#include "tests/kernel/effects_tcp.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <iostream>
#include <thread>

#include "testbed/emulated.h"
#include "testbed/tcp.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::Fd;
using agent::TcpSocketCollector;
using std::chrono::milliseconds;

constexpr std::uint16_t kPort = 7400, kClosedPort = 7401;

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.at(values.size() / 2);
}

TEST_F(EffectsTcp, ConnectLatencyIsWhatTheProgramWaitsForWhenTheServerAnswersLate) {
  FAULTLINE_NEEDS_TC();
  constexpr int kConnects = 60;
  const EchoServer server(b_, kPort);
  const auto collector = measure(a_);
  const auto fault = arm(latency(milliseconds(20)), b_.pod());
  Shared<std::array<double, kConnects>> waited;
  ASSERT_EQ(a_.run([&] {
    for (double& seconds : *waited) {
      const TcpAddress to(b_.ip4(), kPort);
      const Fd fd = tcp_socket(to);
      const auto start = std::chrono::steady_clock::now();
      if (try_connect(fd, to) != 0) return 1;
      seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
    return 0;
  }),
            0);
  const Taken t = take(*collector);
  const api::Histogram h = t.histogram("connect.latency");
  ASSERT_EQ(h.count(), static_cast<std::uint64_t>(kConnects));
  const double reported = *h.quantile(0.5), seen = median({waited->begin(), waited->end()});
  std::cout << "connect median " << reported * 1e3 << " ms, stopwatch " << seen * 1e3 << " ms\n";
  EXPECT_NEAR(reported, 0.020, within_ms(2) / 1e3);
  EXPECT_NEAR(reported, seen, within_ms(1) / 1e3);
  EXPECT_EQ(t.counter("connect.attempts"), kConnects);
  EXPECT_EQ(t.failures(), Failures());
  EXPECT_EQ(t.errors(), Fraction(0, kConnects));
  EXPECT_NEAR(*t.histogram("tcp.rtt").quantile(0.5), 0.020, within_ms(2) / 1e3) << "of the SYNs";
}

TEST_F(EffectsTcp, HandshakesThatFailAreCountedByTheErrnoTheProgramGot) {
  FAULTLINE_NEEDS_TC();
  constexpr int kRefused = 30;
  const EchoServer server(b_, kPort);
  const auto collector = measure(a_);
  ASSERT_EQ(a_.run([&] {
    for (int i = 0; i < kRefused; ++i)
      if (try_connect(TcpAddress(i % 2 == 0 ? b_.ip4() : b_.ip6(), kClosedPort)) != ECONNREFUSED)
        return 1;
    return try_connect(TcpAddress(b_.ip6(), kPort));
  }),
            0);
  Taken t = take(*collector);
  EXPECT_EQ(t.counter("connect.attempts"), kRefused + 1);
  EXPECT_EQ(t.failures(), (Failures{{"ECONNREFUSED", kRefused}}));
  EXPECT_EQ(t.errors(), Fraction(kRefused, kRefused + 1));
  EXPECT_EQ(t.histogram("connect.latency").count(), 1U);

  const auto fault = arm(loss(1), a_.pod());
  ASSERT_EQ(a_.run([&] {
    const TcpAddress to(b_.ip4(), kPort);
    const Fd fd = tcp_socket(to);
    const int ms = 500;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
    return try_connect(fd, to) == ETIMEDOUT ? 0 : 1;
  }),
            0);
  t = take(*collector);
  EXPECT_EQ(t.failures(), (Failures{{"ECONNREFUSED", 0}, {"ETIMEDOUT", 1}}));
  EXPECT_EQ(t.errors(), Fraction(1, 1));
}

TEST_F(EffectsTcp, WhatTheKernelRefusesAtOnceIsUnknownAndWhatTheProgramGivesUpNoFailure) {
  FAULTLINE_NEEDS_TC();
  const EchoServer server(b_, kPort);
  const auto collector = measure(a_);
  {
    const auto fault = arm(loss(1), a_.pod());
    ASSERT_EQ(a_.run([&] {
      const TcpAddress to(b_.ip4(), kPort);
      const Fd fd = tcp_socket(to);
      fcntl(fd.get(), F_SETFL, O_NONBLOCK);
      return try_connect(fd, to) == EINPROGRESS ? 0 : 1;  // and closes it
    }),
              0);
    const Taken t = take(*collector);
    EXPECT_EQ(t.failures(), Failures());
    EXPECT_EQ(t.counter("connect.abandoned"), 1);
    EXPECT_EQ(t.errors(), Fraction(0, 0));
    EXPECT_EQ(t.counter("connect.attempts"), 1);
  }
  ASSERT_EQ(a_.run([&] {
    const TcpAddress nowhere("203.0.113.1", kPort);  // no route: the pod has no gateway
    const Fd once = tcp_socket(nowhere), twice = tcp_socket(nowhere);
    for (const Fd* fd : {&once, &twice, &twice})
      if (try_connect(*fd, nowhere) != ENETUNREACH) return 1;
    return 0;
  }),
            0);
  std::this_thread::sleep_for(milliseconds(600));  // its age is how it is told
  const Taken t = take(*collector);
  EXPECT_EQ(t.failures(), (Failures{{"unknown", 3}}));
  EXPECT_EQ(t.counter("connect.attempts"), 3);
  EXPECT_EQ(t.errors(), Fraction(3, 3));
  EXPECT_EQ(take(*collector).failures(), (Failures{{"unknown", 0}})) << "and only once";
}

TEST_F(EffectsTcp, ConnectThatKeepsItsSynForTheFirstDataHasNotFailed) {
  const EchoServer server(b_, kPort);
  const auto collector = measure(a_);
  struct State {
    std::atomic<bool> connected = false, send = false;
  };
  Shared<State> state;
  Child client = a_.start([&] {
    // Fast open as a client, also without the server's cookie (ip-sysctl.rst: 0x1, 0x4).
    std::ofstream("/proc/sys/net/ipv4/tcp_fastopen") << "5" << std::flush;
    const TcpAddress to(b_.ip4(), kPort);
    const Fd fd = tcp_socket(to);
    const int on = 1;
    if (setsockopt(fd.get(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on) != 0) return 1;
    if (try_connect(fd, to) != 0) return 2;
    state->connected = true;
    wait_for([&] { return state->send.load(); });
    char byte = 'x';
    return send(fd.get(), &byte, 1, 0) == 1 && recv(fd.get(), &byte, 1, 0) == 1 ? 0 : 3;
  });
  ASSERT_TRUE(wait_for([&] { return state->connected.load(); }));
  std::this_thread::sleep_for(milliseconds(700));  // so long that another would be given up
  const Taken waiting = take(*collector);
  EXPECT_EQ(waiting.counter("connect.attempts"), 1);
  EXPECT_EQ(waiting.errors(), Fraction(0, 0));
  state->send = true;
  ASSERT_EQ(client.wait(), 0);
  const Taken t = take(*collector);
  EXPECT_EQ(t.errors(), Fraction(0, 1));
  EXPECT_EQ(t.histogram("connect.latency").count(), 1U);
  EXPECT_LT(t.histogram("connect.latency").max, 0.5) << "from the SYN, not from connect()";
}

TEST_F(EffectsTcp, ConnectThatWaitsForAnAnswerIsNeitherOpenNorFailedYet) {
  FAULTLINE_NEEDS_TC();
  const EchoServer server(b_, kPort);
  const auto collector = measure(a_);
  const auto fault = arm(latency(milliseconds(1500)), b_.pod());
  const Child client = a_.start([&] { return try_connect(TcpAddress(b_.ip4(), kPort)); });
  std::this_thread::sleep_for(milliseconds(800));
  const Taken waiting = take(*collector);
  EXPECT_EQ(waiting.counter("connect.attempts"), 1);
  EXPECT_EQ(waiting.errors(), Fraction(0, 0));
  Taken t;
  ASSERT_TRUE(wait_for([&] { return (t = take(*collector)).errors().second > 0; }));
  EXPECT_EQ(t.errors(), Fraction(0, 1));
  // The program counts the connect and its latency one after the other: a reading may come in
  // between (under emulation even several), and then the latency is of a later window.
  double latency_seen = t.histogram("connect.latency").max;
  EXPECT_TRUE(wait_for([&] {
    if (latency_seen == 0) latency_seen = take(*collector).histogram("connect.latency").max;
    return latency_seen > 0;
  }));
  EXPECT_GE(latency_seen, 1.4);
}

TEST_F(EffectsTcp, ConnectsThatAFaultRefusesHaveItsErrnoWheneverItWasArmed) {
  constexpr int kCalls = 40;
  const auto refused = [&](int number) {
    EXPECT_EQ(a_.run([&] {
      for (int i = 0; i < kCalls; ++i)
        if (try_connect(TcpAddress(i % 2 == 0 ? b_.ip4() : b_.ip6(), kPort)) != number) return 1;
      return 0;
    }),
              0);
  };
  const EchoServer server(b_, kPort);
  std::unique_ptr<TcpSocketCollector> collector;
  {
    const auto before = arm(connect_error(ETIMEDOUT), a_.pod());
    collector = measure(a_);
    refused(ETIMEDOUT);
    const Taken t = take(*collector);
    EXPECT_EQ(t.counter("connect.attempts"), kCalls);
    EXPECT_EQ(t.failures(), (Failures{{"ETIMEDOUT", kCalls}}));
    EXPECT_EQ(t.errors(), Fraction(kCalls, kCalls));
    EXPECT_EQ(t.histogram("connect.latency").count(), 0U);
  }
  ASSERT_TRUE(collector->faults_changed());
  refused(0);
  EXPECT_EQ(take(*collector).failures(), (Failures{{"ETIMEDOUT", 0}}));
  for (const int number : {ENETDOWN, 4000}) {  // more than once, and one without a name
    const auto after = arm(connect_error(number), a_.pod());
    ASSERT_TRUE(collector->faults_changed());
    refused(number);
    const Taken t = take(*collector);
    EXPECT_EQ(t.counter("connect.attempts"), kCalls);
    EXPECT_EQ(t.failures().at(number == ENETDOWN ? "ENETDOWN" : "4000"), kCalls);
    EXPECT_EQ(t.errors(), Fraction(kCalls, kCalls));
  }
}

TEST_F(EffectsTcp, NoConnectIsLostOrCountedTwiceWhileTheHooksMove) {
  struct State {
    std::atomic<bool> go = false, stop = false;
    std::atomic<int> calls = 0;
  };
  Shared<State> state;
  // Forked before there are links: it would keep those that it inherits.
  Child client = a_.start([&] {
    wait_for([&] { return state->go.load(); });
    for (; !state->stop; ++state->calls) try_connect(TcpAddress(b_.ip4(), kClosedPort));
    return 0;
  });
  const auto collector = measure(a_);
  state->go = true;
  ASSERT_TRUE(wait_for([&] { return state->calls > 0; }));
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(collector->faults_changed());
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  state->stop = true;
  ASSERT_EQ(client.wait(), 0);
  const Taken t = take(*collector);
  std::cout << state->calls << " connects during 300 moves\n";
  EXPECT_EQ(t.counter("connect.attempts"), state->calls);
  EXPECT_EQ(t.failures(), (Failures{{"ECONNREFUSED", static_cast<double>(state->calls)}}));
}

TEST_F(EffectsTcp, ProcessesOutsideTheCgroupAddNothing) {
  const EchoServer server(b_, kPort);
  KeptConnection before(a_, TcpAddress(b_.ip4(), kPort), KeptConnection::Place::kInNetnsOnly);
  before.echo(1);
  const auto collector = measure(a_);
  before.echo(5);
  KeptConnection after(a_, TcpAddress(b_.ip4(), kPort), KeptConnection::Place::kInNetnsOnly);
  after.echo(5);
  a_.in_netns([&] { return try_connect(TcpAddress(b_.ip4(), kClosedPort)); });
  const Taken t = take(*collector);
  for (const auto& s : t.samples) EXPECT_EQ(s.value, 0) << s.metric;
  EXPECT_EQ(t.histogram("tcp.rtt").count(), 0U);
  EXPECT_EQ(t.histogram("connect.latency").count(), 0U);
  ASSERT_EQ(a_.run([&] { return try_connect(TcpAddress(b_.ip4(), kPort)); }), 0);
  EXPECT_EQ(take(*collector).counter("connect.attempts"), 1) << "while the pod's own are seen";
}

TEST_F(EffectsTcp, ConnectsThatFindNoRoomToBeTimedAreToldAsAGap) {
  FAULTLINE_NEEDS_TC();
  constexpr int kConnects = FL_TCP_CONNECTS + 200;
  const auto collector = measure(a_);
  const auto fault = arm(loss(1), a_.pod());
  ASSERT_EQ(a_.run([&] {
    const rlimit many{kConnects + 100, kConnects + 100};
    if (setrlimit(RLIMIT_NOFILE, &many) != 0) return 1;
    std::vector<Fd> waiting;
    for (int i = 0; i < kConnects; ++i) {
      // Two ports: there are fewer than that many for one destination.
      const TcpAddress to(b_.ip4(), i % 2 == 0 ? kPort : kClosedPort);
      waiting.push_back(tcp_socket(to));
      fcntl(waiting.back().get(), F_SETFL, O_NONBLOCK);
      if (try_connect(waiting.back(), to) != EINPROGRESS) return 2;
    }
    return 0;
  }),
            0);
  Taken t;
  collector->take(t.samples, t.gaps);
  ASSERT_EQ(t.gaps.size(), 1U);
  EXPECT_EQ(t.gaps[0].metric, "connect.latency");
  EXPECT_THAT(t.gaps[0].reason, testing::EndsWith(": 200"));
  EXPECT_EQ(t.counter("connect.attempts"), kConnects);
  EXPECT_EQ(t.counter("connect.abandoned"), kConnects) << "counted without the table";
  EXPECT_TRUE(take(*collector).gaps.empty()) << "and room again";
}

TEST_F(EffectsTcp, UdpIsNotAConnect) {
  const auto collector = measure(a_);
  ASSERT_EQ(a_.run([&] {
    const TcpAddress to(b_.ip4(), kPort);
    const Fd fd(socket(AF_INET, SOCK_DGRAM, 0));
    return connect(fd.get(), to.get(), to.size);
  }),
            0);
  EXPECT_EQ(take(*collector).counter("connect.attempts"), 0);
}

TEST_F(EffectsTcp, NothingIsLeftAndConnectionsGoOnWhenMeasuringEnds) {
  const EchoServer server(b_, kPort);
  KeptConnection connection(a_, TcpAddress(b_.ip4(), kPort));
  {
    const auto collector = measure(a_);
    ASSERT_TRUE(collector->faults_changed());
    KeptConnection fresh(a_, TcpAddress(b_.ip4(), kPort));
    EXPECT_THAT(residue_.now(), testing::Not(testing::IsEmpty()));
  }
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
  connection.echo(3);
}

}  // namespace
}  // namespace faultline::test
