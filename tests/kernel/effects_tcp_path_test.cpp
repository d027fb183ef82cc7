// SPDX-License-Identifier: Apache-2.0
// tcp.rtt is the path's, whatever the peer does before it acknowledges: against peers that think,
// that keep acknowledgements back, and a path that is made slower.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <iostream>
#include <string>
#include <thread>

#include "testbed/emulated.h"
#include "testbed/tcp.h"
#include "tests/kernel/effects_tcp.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::Fd;
using std::chrono::milliseconds;

constexpr std::uint16_t kPort = 7410;
constexpr std::size_t kMost = 65536;

bool receive_all(const Fd& fd, std::size_t bytes) {
  static char buffer[kMost];
  return recv(fd.get(), buffer, bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes);
}

// Sends `answer` bytes for each byte it gets, at once. One connection after the other.
class Answering {
 public:
  Answering(const TestPod& pod, std::size_t answer)
      : child_(pod.start([this, answer] { return serve(answer); })) {
    if (!wait_for([this] { return ready_->load(); })) throw std::runtime_error("no server");
  }

 private:
  [[nodiscard]] int serve(std::size_t answer) const {
    const TcpAddress any("::", kPort);
    const Fd listener = tcp_socket(any);
    const int on = 1;
    setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener.get(), any.get(), any.size) != 0 || listen(listener.get(), 16) != 0) return 1;
    *ready_ = true;
    const std::string text(answer, 'x');
    for (;;) {
      const Fd fd(accept(listener.get(), nullptr, nullptr));
      while (receive_all(fd, 1))
        if (send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) break;
    }
  }
  Shared<std::atomic<bool>> ready_;
  Child child_;
};

// Asks, reads the answer, thinks, asks again.
int ask(const TestPod& server, std::size_t answer, int times, milliseconds think) {
  const TcpAddress to(server.ip4(), kPort);
  const Fd fd = tcp_socket(to);
  if (try_connect(fd, to) != 0) return 1;
  for (int i = 0; i < times; ++i) {
    const char byte = 'x';
    if (send(fd.get(), &byte, 1, 0) != 1 || !receive_all(fd, answer)) return 2;
    std::this_thread::sleep_for(think);
  }
  return 0;
}

class EffectsTcpPath : public EffectsTcp {
 protected:
  // What the server's end says of that many connections, one after the other.
  Taken asked(int connections, std::size_t answer, int times, milliseconds think) {
    EXPECT_EQ(a_.run([&] {
      for (int i = 0; i < connections; ++i)
        if (const int rc = ask(b_, answer, times, think); rc != 0) return rc;
      return 0;
    }),
              0);
    return take(*collector_);
  }
  std::unique_ptr<agent::TcpSocketCollector> collector_;
};

constexpr std::size_t kSmall = 200, kBig = 20000;
// Each handshake is a sample: of several an emulated machine may be late once.
constexpr int kHandshakes = 5;

TEST_F(EffectsTcpPath, PeerThatThinksBeforeItAsksAgainIsNoSlowPath) {
  const Answering server(b_, kSmall);
  collector_ = measure(b_);
  const Taken t = asked(kHandshakes, kSmall, 8, milliseconds(30));
  const api::Histogram h = t.histogram("tcp.rtt");
  std::cout << h.count() << " round trips, median " << *h.quantile(0.5) * 1e3 << " ms\n";
  EXPECT_EQ(h.count(), static_cast<std::uint64_t>(kHandshakes));
  EXPECT_LT(*h.quantile(0.5), within_ms(2) / 1e3) << "it thinks 30 ms";
}

TEST_F(EffectsTcpPath, BigAnswersToAPeerThatThinksAreThePaths) {
  const Answering server(b_, kBig);
  collector_ = measure(b_);
  const Taken t = asked(1, kBig, 40, milliseconds(10));
  const api::Histogram h = t.histogram("tcp.rtt");
  std::cout << h.count() << " round trips, median " << *h.quantile(0.5) * 1e3 << " ms\n";
  EXPECT_GE(h.count(), 35U);
  EXPECT_LT(*h.quantile(0.5), within_ms(2) / 1e3);
}

TEST_F(EffectsTcpPath, WindowWithoutAPromptAcknowledgementIsAGap) {
  const Answering server(b_, kSmall);
  collector_ = measure(b_);
  struct State {
    std::atomic<int> go = 0, done = 0;
  };
  Shared<State> state;
  const Child client = a_.start([&] {
    const TcpAddress to(b_.ip4(), kPort);
    const Fd fd = tcp_socket(to);
    if (try_connect(fd, to) != 0) return 1;
    const int off = 0;
    for (;;) {
      while (state->done == state->go) std::this_thread::sleep_for(milliseconds(1));
      setsockopt(fd.get(), IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);  // keeps its ACKs back
      const char byte = 'x';
      if (send(fd.get(), &byte, 1, 0) != 1 || !receive_all(fd, kSmall)) return 2;
      std::this_thread::sleep_for(milliseconds(100));
      ++state->done;
    }
  });
  const auto once = [&] {
    ++state->go;
    return wait_for([&] { return state->done == state->go; });
  };
  ASSERT_TRUE(once());
  EXPECT_EQ(take(*collector_).histogram("tcp.rtt").count(), 1U) << "the handshake's";
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(once());
  const Taken t = take(*collector_);
  EXPECT_EQ(t.histogram("tcp.rtt").count(), 0U);
  ASSERT_EQ(t.gaps.size(), 1U);
  EXPECT_EQ(t.gaps[0].metric, "tcp.rtt");
  EXPECT_THAT(t.gaps[0].reason, testing::HasSubstr("may have waited"));
  EXPECT_GE(t.late(), 4U);
}

TEST_F(EffectsTcpPath, SlowerPathShowsInHandshakesAndInBigAnswers) {
  FAULTLINE_NEEDS_TC();
  const Answering server(b_, kBig);
  collector_ = measure(b_);
  const auto asking = measure(a_);
  const double before = *asked(1, kBig, 10, milliseconds(10)).histogram("tcp.rtt").quantile(0.5);
  take(*asking);
  const auto fault = arm(latency(milliseconds(20)), b_.pod());
  const api::Histogram h = asked(kHandshakes, kBig, 4, milliseconds(10)).histogram("tcp.rtt");
  std::cout << "median " << before * 1e3 << " -> " << *h.quantile(0.5) * 1e3 << " ms\n";
  EXPECT_NEAR(*h.quantile(0.5) - before, 0.020, within_ms(2) / 1e3);
  EXPECT_GE(h.count(), 15U);
  const api::Histogram client = take(*asking).histogram("tcp.rtt");
  EXPECT_EQ(client.count(), static_cast<std::uint64_t>(kHandshakes)) << "requests are a byte each";
  EXPECT_NEAR(*client.quantile(0.5), 0.020, within_ms(2) / 1e3);
}

TEST_F(EffectsTcpPath, RoundTripIsCountedOnce) {
  constexpr int kAnswers = 30;
  const Answering server(b_, kBig);
  collector_ = measure(b_);
  EXPECT_THAT(asked(1, kBig, kAnswers, milliseconds(1)).histogram("tcp.rtt").count(),
              testing::AllOf(testing::Ge(kAnswers / 2U), testing::Le(kAnswers + 2U)))
      << "one an answer, two for the first (ten segments may be under way at first), the SYN-ACK's";
}

}  // namespace
}  // namespace faultline::test
