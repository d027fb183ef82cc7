// SPDX-License-Identifier: Apache-2.0
// What packet_flow says of connections that are not one plain request after the other: right
// against the client's own count, or a gap.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <fstream>
#include <thread>

#include "agent/effects/packet_flow.h"
#include "agent/kernel/fd.h"
#include "testbed/needs.h"
#include "testbed/program.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using agent::Fd;
using std::chrono::milliseconds;

namespace {

constexpr std::uint16_t kPort = 8080;

sockaddr_in address(const std::string& ip, std::uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  inet_pton(AF_INET, ip.c_str(), &a.sin_addr);
  return a;
}

Fd connected(const std::string& ip, std::uint16_t port = kPort) {
  Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
  const int yes = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  sockaddr_in a = address(ip, port);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0)
    throw std::runtime_error("cannot connect");
  return fd;
}

bool write_all(int fd, const std::string& text) {
  return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

const std::string kMore = "more";

// Answers each piece that it reads with `answer` after `think`, many connections at a time. With a
// pause, kMore follows after it.
int serve(std::uint16_t port, milliseconds think, const std::string& answer,
          std::atomic<int>& ready, milliseconds pause) {
  const Fd listener(::socket(AF_INET, SOCK_STREAM, 0));
  const int yes = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in a = address("0.0.0.0", port);
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0 ||
      ::listen(listener.get(), 64) != 0)
    return 1;
  ready = 1;
  while (true) {
    Fd client(::accept(listener.get(), nullptr, nullptr));
    std::thread([client = std::move(client), think, answer, pause] {
      std::array<char, 4096> piece{};
      while (::recv(client.get(), piece.data(), piece.size(), 0) > 0) {
        std::this_thread::sleep_for(think);
        if (!write_all(client.get(), answer)) return;
        if (pause == milliseconds(0)) continue;
        std::this_thread::sleep_for(pause);
        if (!write_all(client.get(), kMore)) return;
      }
    }).detach();
  }
}

const std::string kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const std::string kUnavailable = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";

class KindsOfConnection : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS_TC(); }

  struct Taken {
    std::vector<api::EffectSample> samples;
    std::vector<api::Gap> gaps;

    [[nodiscard]] const api::EffectSample* find(const std::string& metric, const char* side,
                                                std::uint16_t port = kPort) const {
      for (const auto& sample : samples)
        if (sample.metric == metric && sample.labels.contains("side") &&
            sample.labels.at("side") == side && sample.labels.at("port") == std::to_string(port))
          return &sample;
      return nullptr;
    }
    [[nodiscard]] double value(const std::string& metric, const char* side,
                               std::uint16_t port = kPort) const {
      const auto* sample = find(metric, side, port);
      return sample == nullptr ? -1 : sample->value;
    }
    [[nodiscard]] double median_ms(const std::string& metric, const char* side) const {
      const auto* sample = find(metric, side);
      return sample == nullptr ? -1 : *sample->histogram->quantile(0.5) * 1e3;
    }
    [[nodiscard]] std::string reasons() const {
      std::string all;
      for (const auto& gap : gaps) all += gap.metric + ": " + gap.reason + "\n";
      return all;
    }
  };

  std::unique_ptr<agent::Collector> measure(const TestPod& pod) {
    auto started = agent::start_packet_flow(pod.pod(), {clock_, features_});
    if (!started) throw std::runtime_error(started.error().message);
    return std::move(*started);
  }
  static Taken take(agent::Collector& collector) {
    Taken taken;
    collector.take(taken.samples, taken.gaps);
    return taken;
  }
  Child start_server(milliseconds think, const std::string& answer, std::uint16_t port = kPort,
                     milliseconds pause = milliseconds(0)) {
    *ready_ = 0;
    Child server = server_.start([=, this] { return serve(port, think, answer, *ready_, pause); });
    while (*ready_ == 0) std::this_thread::sleep_for(milliseconds(1));
    return server;
  }
  // One request after the other from the client's pod. Returns how many were answered.
  int ask(int count, const std::string& request) {
    const std::string ip = server_.ip4();
    return client_.run([&] {
      const Fd fd = connected(ip);
      std::array<char, 4096> answer{};
      int answered = 0;
      for (int i = 0; i < count; ++i)
        if (write_all(fd.get(), request) && ::recv(fd.get(), answer.data(), answer.size(), 0) > 0)
          ++answered;
      return answered;
    });
  }

  SystemClock clock_;
  agent::FeatureProbe features_;
  TestNetwork net_;
  TestPod server_{net_, "srv"}, client_{net_, "cli"};
  Shared<std::atomic<int>> ready_;
};

TEST_F(KindsOfConnection, SeveralRequestsAtOnceAreAGap) {
  const Child server = start_server(milliseconds(100), std::string(100, 'x'));
  auto of_server = measure(server_), of_client = measure(client_);
  const std::string ip = server_.ip4();
  client_.run([&] {
    const Fd fd = connected(ip);
    for (int i = 0; i < 30; ++i) {
      write_all(fd.get(), std::string(50, 'r'));
      std::this_thread::sleep_for(milliseconds(10));
    }
    return 0;
  });
  for (const auto& [taken, side] :
       {std::pair{take(*of_server), "server"}, {take(*of_client), "client"}}) {
    EXPECT_EQ(taken.find("request.latency", side), nullptr) << side;
    EXPECT_THAT(taken.reasons(),
                testing::HasSubstr("request.*: 1 of 1 connections: several requests at once"));
    ASSERT_FALSE(taken.gaps.empty());
    EXPECT_EQ(taken.gaps.front().missed, 1);
    EXPECT_EQ(taken.gaps.front().of, 1);
  }
}

TEST_F(KindsOfConnection, RequestsThatTheClientGivesUpAreNotErrorsOfTheServer) {
  const Child server = start_server(milliseconds(250), kOk);
  auto of_server = measure(server_), of_client = measure(client_);
  const std::string ip = server_.ip4();
  client_.run([&] {
    for (int i = 0; i < 10; ++i) {
      const Fd fd = connected(ip);
      write_all(fd.get(), kGet);
      std::this_thread::sleep_for(milliseconds(80));
    }
    return 0;
  });
  std::this_thread::sleep_for(milliseconds(400));  // the late answers come
  for (const auto& [taken, side] :
       {std::pair{take(*of_server), "server"}, {take(*of_client), "client"}}) {
    EXPECT_EQ(taken.value("request.abandoned", side), 10) << side;
    EXPECT_EQ(taken.value("request.rate", side), 0) << side;
    EXPECT_EQ(taken.find("request.errors", side), nullptr) << side;
    EXPECT_TRUE(taken.gaps.empty()) << taken.reasons();
  }
}

TEST_F(KindsOfConnection, AnswersOf503AreErrors) {
  const Child server = start_server(milliseconds(0), kUnavailable);
  auto of_server = measure(server_), of_client = measure(client_);
  ASSERT_EQ(ask(20, kGet), 20);
  for (const auto& [taken, side] :
       {std::pair{take(*of_server), "server"}, {take(*of_client), "client"}}) {
    const auto* errors = taken.find("request.errors", side);
    ASSERT_NE(errors, nullptr) << side;
    EXPECT_EQ(errors->numerator, 20);
    EXPECT_EQ(errors->denominator, 20);
    EXPECT_EQ(taken.value("request.rate", side), 20);
    const auto* responses = taken.find("request.responses", side);
    ASSERT_NE(responses, nullptr);
    EXPECT_EQ(responses->labels.at("class"), "5xx");
    EXPECT_EQ(responses->value, 20);
    EXPECT_TRUE(taken.gaps.empty()) << taken.reasons();
  }
}

TEST_F(KindsOfConnection, AnOlderConnectionOfTheClientHasItsSide) {
  const Child server = start_server(milliseconds(5), kOk);
  const std::string ip = server_.ip4();
  Shared<std::atomic<int>> step;
  const Child client = client_.start([&] {
    const Fd fd = connected(ip);
    *step = 1;
    while (*step == 1) std::this_thread::sleep_for(milliseconds(1));
    std::array<char, 4096> answer{};
    for (int i = 0; i < 30; ++i)
      if (!write_all(fd.get(), kGet) || ::recv(fd.get(), answer.data(), answer.size(), 0) <= 0)
        return 1;
    *step = 3;
    while (true) std::this_thread::sleep_for(milliseconds(100));
  });
  while (*step == 0) std::this_thread::sleep_for(milliseconds(1));
  auto of_client = measure(client_);
  *step = 2;
  while (*step == 2) std::this_thread::sleep_for(milliseconds(1));
  const Taken taken = take(*of_client);
  EXPECT_EQ(taken.value("request.rate", "client"), 30);
  EXPECT_GE(taken.median_ms("request.latency", "client"), 4.9);
  EXPECT_TRUE(taken.gaps.empty()) << taken.reasons();
}

// The answer's second half comes 30 ms after its first.
TEST_F(KindsOfConnection, TheDurationIsFromTheFirstByteToTheLast) {
  const Child server = start_server(milliseconds(5), kOk, kPort, milliseconds(30));
  auto of_client = measure(client_);
  const std::string ip = server_.ip4();
  client_.run([&] {
    const Fd fd = connected(ip);
    std::string answer(kOk.size() + kMore.size(), ' ');
    for (int i = 0; i < 10; ++i) {
      write_all(fd.get(), kGet);
      ::recv(fd.get(), answer.data(), answer.size(), MSG_WAITALL);
    }
    return 0;
  });
  const Taken taken = take(*of_client);
  EXPECT_EQ(taken.value("request.rate", "client"), 10);
  EXPECT_GE(taken.median_ms("request.latency", "client"), 4.9);
  EXPECT_LT(taken.median_ms("request.latency", "client"), 30);
  const auto* duration = taken.find("request.duration", "client");
  ASSERT_NE(duration, nullptr);
  EXPECT_EQ(duration->histogram->count(), 10U);
  EXPECT_GE(taken.median_ms("request.duration", "client"), 34.5);
  EXPECT_LT(taken.median_ms("request.duration", "client"), 100);
}

constexpr const char* kTlsServer = R"(
import socket, ssl, sys, threading, time
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + '/c.pem', sys.argv[1] + '/k.pem')
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('0.0.0.0', 8080))
listener.listen(64)
open(sys.argv[1] + '/ready', 'w').close()
def serve(connection):
    connection = context.wrap_socket(connection, server_side=True)
    while connection.recv(1000):
        time.sleep(0.03)
        connection.sendall(b'x' * 100)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
)";
constexpr const char* kTlsClient = R"(
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, sys.argv[2])
for i in range(20):
    connection = context.wrap_socket(socket.create_connection((sys.argv[1], 8080)))
    connection.sendall(b'r' * 50)
    assert len(connection.recv(1000)) == 100
    connection.close()
)";

TEST_F(KindsOfConnection, TlsWithANewConnectionForEachRequest) {
  const TestFolder folder;
  const std::string& d = folder.path();
  if (server_
          .exec({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", d + "/k.pem", "-out",
                 d + "/c.pem", "-subj", "/CN=x", "-days", "2"})
          .status != 0)
    GTEST_SKIP() << "no openssl";
  const Child server = server_.start([&]() -> int {
    become({"python3", "-c", kTlsServer, d}, {});
  });
  for (int i = 0; i < 500 && !std::ifstream(d + "/ready"); ++i)
    std::this_thread::sleep_for(milliseconds(20));
  auto of_server = measure(server_), of_client = measure(client_);
  for (const char* version : {"TLSv1_2", "TLSv1_3"}) {
    SCOPED_TRACE(version);
    const auto asked = client_.exec({"python3", "-c", kTlsClient, server_.ip4(), version});
    ASSERT_EQ(asked.status, 0) << asked.output;
    for (const auto& [taken, side] :
         {std::pair{take(*of_server), "server"}, {take(*of_client), "client"}}) {
      EXPECT_EQ(taken.value("request.rate", side), 20) << side << taken.reasons();
      EXPECT_GE(taken.median_ms("request.latency", side), 29.5);
      EXPECT_LT(taken.median_ms("request.latency", side), 90);
      EXPECT_EQ(taken.value("request.abandoned", side), 0);
      const auto* errors = taken.find("request.errors", side);
      ASSERT_NE(errors, nullptr);
      EXPECT_EQ(errors->numerator, 0);
      EXPECT_TRUE(taken.gaps.empty()) << taken.reasons();
    }
  }
}

// A sidecar's rule: the client dials 8080, and a program of the pod that listens elsewhere answers.
TEST_F(KindsOfConnection, OfARedirectedConnectionThePortIsTheOneThatTheClientDialled) {
  constexpr std::uint16_t kListens = 19090;
  const auto rule = server_.exec({"iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp",
                                  "--dport", std::to_string(kPort), "-j", "REDIRECT", "--to-ports",
                                  std::to_string(kListens)});
  if (rule.status != 0) GTEST_SKIP() << "needs: iptables with REDIRECT (" << rule.output << ")";
  const Child server = start_server(milliseconds(30), kOk, kListens);
  const std::string ip = server_.ip4();
  Fd old;
  client_.in_netns([&] { old = connected(ip); });
  auto of_server = measure(server_), of_client = measure(client_);
  EXPECT_EQ(ask(20, kGet), 20);
  std::array<char, 4096> answer{};
  EXPECT_TRUE(write_all(old.get(), kGet));
  EXPECT_GT(::recv(old.get(), answer.data(), answer.size(), 0), 0);
  for (const auto& [taken, side] :
       {std::pair{take(*of_server), "server"}, {take(*of_client), "client"}}) {
    EXPECT_GE(taken.value("request.rate", side), 20) << side << taken.reasons();
    EXPECT_NEAR(taken.median_ms("request.latency", side), 30.5, 5) << side;
    for (const api::EffectSample& sample : taken.samples) {
      const auto port = sample.labels.find("port");
      if (port == sample.labels.end()) continue;
      EXPECT_EQ(port->second, std::to_string(kPort)) << side << sample.metric;
    }
  }
}

}  // namespace
}  // namespace faultline::test
