// SPDX-License-Identifier: Apache-2.0
// How a connect may end, each by a real socket: opened, refused, reset before use, timed out,
// abandoned. None is taken for another.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "testbed/tcp.h"
#include "tests/kernel/effects_tcp.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::Fd;
using std::chrono::milliseconds;

constexpr std::uint16_t kPort = 7420;

enum class Ends { kClosed, kReset, kResetAfterAByte };

void close_with_reset(const Fd& fd) {
  const linger at_once{1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

// Accepts connections and ends each in the same way.
class Ending {
 public:
  Ending(const TestPod& pod, Ends ends) : child_(pod.start([this, ends] { return serve(ends); })) {
    if (!wait_for([this] { return ready_->load(); })) throw std::runtime_error("no server");
  }

 private:
  [[nodiscard]] int serve(Ends ends) const {
    const TcpAddress any("::", kPort);
    const Fd listener = tcp_socket(any);
    if (bind(listener.get(), any.get(), any.size) != 0 || listen(listener.get(), 64) != 0) return 1;
    *ready_ = true;
    for (char byte = 'x';;) {
      const Fd fd(accept(listener.get(), nullptr, nullptr));
      if (ends == Ends::kResetAfterAByte) {
        send(fd.get(), &byte, 1, MSG_NOSIGNAL);
        recv(fd.get(), &byte, 1, 0);  // the other end has read it
      }
      if (ends != Ends::kClosed) close_with_reset(fd);
    }
  }
  Shared<std::atomic<bool>> ready_;
  Child child_;
};

struct Counts {
  double failed, ended, abandoned, resets;
  friend bool operator==(const Counts&, const Counts&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Counts& c) {
    return out << c.failed << " failed of " << c.ended << ", " << c.abandoned << " abandoned, "
               << c.resets << " reset";
  }
};

Counts counts(const Taken& t) {
  const auto [failed, ended] = t.errors();
  return {failed, ended, t.counter("connect.abandoned"), t.counter("connect.resets")};
}

class EffectsTcpEnds : public EffectsTcp {
 protected:
  // What the collector on a_ says after `body` ran there.
  Taken after(const std::function<int()>& body) {
    const auto collector = measure(a_);
    EXPECT_EQ(a_.run(body), 0);
    return take(*collector);
  }
  [[nodiscard]] TcpAddress server() const { return {b_.ip4(), kPort}; }
};

TEST_F(EffectsTcpEnds, ConnectionThatIsClosedNineMillisecondsLaterWasASuccess) {
  const Ending closes(b_, Ends::kClosed);
  const Taken t = after([&] {
    for (int i = 0; i < 20; ++i) {
      const Fd fd = tcp_socket(server());
      if (try_connect(fd, server()) != 0) return 1;
      std::this_thread::sleep_for(milliseconds(9));
      if (i % 2 == 0) close_with_reset(fd);  // its own way to close is no failure either
    }
    return 0;
  });
  EXPECT_EQ(counts(t), (Counts{0, 20, 0, 0}));
  EXPECT_EQ(t.failures(), Failures());
}

TEST_F(EffectsTcpEnds, ResetBeforeUseIsToldApartFromResetInUse) {
  const auto wait_for_end = [&] {
    for (int i = 0; i < 10; ++i) {
      const Fd fd = tcp_socket(server());
      // The reset may come before the program has woken up: then connect() itself says it.
      if (const int error = try_connect(fd, server()); error != 0 && error != ECONNRESET) return 1;
      char byte = 0;
      while (recv(fd.get(), &byte, 1, 0) == 1) send(fd.get(), &byte, 1, MSG_NOSIGNAL);
    }
    return 0;
  };
  {
    const Ending resets(b_, Ends::kReset);
    const Taken t = after(wait_for_end);
    EXPECT_EQ(counts(t), (Counts{0, 10, 0, 10}));
    EXPECT_EQ(t.failures(), Failures());
  }
  const Ending later(b_, Ends::kResetAfterAByte);
  EXPECT_EQ(counts(after(wait_for_end)), (Counts{0, 10, 0, 0}));
}

TEST_F(EffectsTcpEnds, WhatTheProgramGivesUpBeforeAnAnswerIsAbandonedHoweverItDoesThat) {
  FAULTLINE_NEEDS_TC();
  const Ending closes(b_, Ends::kClosed);
  const auto fault = arm(latency(milliseconds(300)), b_.pod());
  const Taken t = after([&] {
    std::vector<Fd> waiting;
    for (int i = 0; i < 4; ++i) {
      waiting.push_back(tcp_socket(server()));
      fcntl(waiting.back().get(), F_SETFL, O_NONBLOCK);
      if (try_connect(waiting.back(), server()) != EINPROGRESS) return 1;
    }
    std::this_thread::sleep_for(milliseconds(9));
    close_with_reset(waiting[1]);
    shutdown(waiting[2].get(), SHUT_RDWR);
    const sockaddr none{.sa_family = AF_UNSPEC, .sa_data = {}};
    connect(waiting[3].get(), &none, sizeof none);
    return 0;  // closes them
  });
  EXPECT_EQ(counts(t), (Counts{0, 0, 4, 0}));
  EXPECT_EQ(t.failures(), Failures());
  EXPECT_EQ(t.counter("connect.attempts"), 4);
}

TEST_F(EffectsTcpEnds, ProgramThatIsKilledAbandonsItsConnect) {
  FAULTLINE_NEEDS_TC();
  const Ending closes(b_, Ends::kClosed);
  const auto fault = arm(latency(milliseconds(2000)), b_.pod());
  const auto collector = measure(a_);
  Child client = a_.start([&] { return try_connect(server()); });
  ASSERT_TRUE(wait_for([&] { return take(*collector).counter("connect.attempts") == 1; }));
  std::this_thread::sleep_for(milliseconds(20));
  client.signal(SIGKILL);
  client.wait();
  EXPECT_EQ(counts(take(*collector)), (Counts{0, 0, 1, 0}));
}

TEST_F(EffectsTcpEnds, HostThatIsNotThereIsEHostUnreach) {
  const std::string nobody = b_.ip4().substr(0, b_.ip4().rfind('.')) + ".250";
  const Taken t = after([&] {
    return try_connect(TcpAddress(nobody, kPort)) == EHOSTUNREACH ? 0 : 1;  // when ARP gives up
  });
  EXPECT_EQ(t.failures(), (Failures{{"EHOSTUNREACH", 1}}));
  EXPECT_EQ(counts(t), (Counts{1, 1, 0, 0}));
}

TEST_F(EffectsTcpEnds, BothEndsThatConnectAtOnceHaveOneConnectionEach) {
  FAULTLINE_NEEDS_TC();
  const auto collector = measure(a_);
  // Both SYNs are on their way before either arrives.
  const auto fault = arm(latency(milliseconds(200)), b_.pod());
  const auto meet = [](const TestPod& from, const TestPod& to) {
    const TcpAddress own(from.ip4(), kPort), other(to.ip4(), kPort);
    const Fd fd = tcp_socket(other);
    return bind(fd.get(), own.get(), own.size) == 0 && try_connect(fd, other) == 0 ? 0 : 1;
  };
  Child there = b_.start([&] { return meet(b_, a_); });
  std::this_thread::sleep_for(milliseconds(100));
  ASSERT_EQ(a_.run([&] { return meet(a_, b_); }), 0) << "refused when the SYN came too late";
  ASSERT_EQ(there.wait(), 0);
  EXPECT_EQ(counts(take(*collector)), (Counts{0, 1, 0, 0}));
}

}  // namespace
}  // namespace faultline::test
