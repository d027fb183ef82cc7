// SPDX-License-Identifier: Apache-2.0
// packet_flow against the clients' own stopwatch and the kernel's interface counters.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <sstream>
#include <thread>

#include "agent/effects/packet_flow.h"
#include "agent/kernel/fd.h"
#include "testbed/arm.h"
#include "testbed/emulated.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/tcp.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using agent::Fd;
using std::chrono::milliseconds;

namespace {

constexpr std::uint16_t kPort = 8080;
constexpr int kRequest = 100, kAnswer = 3000;

enum class Manner { kServe, kHangUp };

sockaddr_in address(const std::string& ip, std::uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  inet_pton(AF_INET, ip.c_str(), &a.sin_addr);
  return a;
}

bool read_all(int fd, std::size_t size) {
  std::vector<char> buffer(size);
  return ::recv(fd, buffer.data(), size, MSG_WAITALL) == static_cast<ssize_t>(size);
}

// Serves one connection after the other: each request takes `think`.
int serve(std::atomic<int>& ready, milliseconds think, Manner manner) {
  const Fd listener(::socket(AF_INET, SOCK_STREAM, 0));
  const int yes = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in a = address("0.0.0.0", kPort);
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0 ||
      ::listen(listener.get(), 64) != 0)
    return 1;
  ready = 1;
  const std::vector<char> answer(kAnswer, 'a');
  while (true) {
    const Fd client(::accept(listener.get(), nullptr, nullptr));
    ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    while (read_all(client.get(), kRequest)) {
      std::this_thread::sleep_for(think);
      if (manner == Manner::kHangUp) break;
      // In two writes: only the first is the answer's first data.
      if (::send(client.get(), answer.data(), 1000, MSG_NOSIGNAL) < 0 ||
          ::send(client.get(), answer.data(), kAnswer - 1000, MSG_NOSIGNAL) < 0)
        break;
    }
  }
}

struct Asked {
  std::array<double, 2000> ms{};
  int answered = 0, failed = 0;
  [[nodiscard]] double median() const {
    std::vector<double> sorted(ms.begin(), ms.begin() + answered);
    std::ranges::sort(sorted);
    return sorted.empty() ? 0 : sorted[sorted.size() / 2];
  }
};

Fd connected(const std::string& ip) {
  Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
  const int yes = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  sockaddr_in a = address(ip, kPort);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0)
    throw std::runtime_error("cannot connect");
  return fd;
}

// By one call, since a second request is what data means that comes 5 ms later.
void send_in_two_segments(const Fd& fd, const std::vector<char>& request) {
  std::array<iovec, 2> halves{iovec{const_cast<char*>(request.data()), 40},
                              iovec{const_cast<char*>(request.data()) + 40, request.size() - 40}};
  std::array<mmsghdr, 2> messages{};
  for (std::size_t i = 0; i < halves.size(); ++i) {
    messages[i].msg_hdr.msg_iov = &halves[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  ::sendmmsg(fd.get(), messages.data(), messages.size(), MSG_NOSIGNAL);
}

// Requests over one connection, each timed from its last write to the answer's first byte.
void ask(const Fd& fd, int count, Asked& asked, bool in_two = true) {
  const std::vector<char> request(kRequest, 'r');
  for (int i = 0; i < count; ++i) {
    if (in_two)
      send_in_two_segments(fd, request);
    else
      ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
    const auto begin = std::chrono::steady_clock::now();
    if (!read_all(fd.get(), 1)) {
      ++asked.failed;
      return;
    }
    asked.ms[static_cast<std::size_t>(asked.answered++)] =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    if (!read_all(fd.get(), kAnswer - 1)) throw std::runtime_error("answer cut short");
  }
}

class PacketFlow : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS_TC(); }

  using Samples = std::vector<api::EffectSample>;

  std::unique_ptr<agent::Collector> measure(const TestPod& pod) {
    auto started = agent::start_packet_flow(pod.pod(), {clock_, features_});
    if (!started) throw std::runtime_error(started.error().message);
    return std::move(*started);
  }
  static Samples take(agent::Collector& collector) {
    Samples samples;
    std::vector<api::Gap> gaps;
    collector.take(samples, gaps);
    for (const api::Gap& gap : gaps) ADD_FAILURE() << gap.metric << ": " << gap.reason;
    return samples;
  }
  static const api::EffectSample* find(const Samples& samples, const std::string& metric,
                                       const std::map<std::string, std::string>& labels) {
    for (const auto& sample : samples)
      if (sample.metric == metric && sample.labels == labels) return &sample;
    return nullptr;
  }
  static double value(const Samples& samples, const std::string& metric,
                      const std::map<std::string, std::string>& labels) {
    const auto* sample = find(samples, metric, labels);
    return sample == nullptr ? -1 : sample->value;
  }
  static double median_ms(const Samples& samples, const char* side) {
    const auto* sample =
        find(samples, "request.latency", {{"side", side}, {"port", std::to_string(kPort)}});
    return sample == nullptr ? -1 : *sample->histogram->quantile(0.5) * 1e3;
  }
  Child start_server(milliseconds think, Manner manner = Manner::kServe) {
    Child server = server_.start([this, think, manner] { return serve(*ready_, think, manner); });
    while (*ready_ == 0) std::this_thread::sleep_for(milliseconds(1));
    return server;
  }
  // From the client pod, over one connection.
  void ask_from_client(int count) {
    const std::string ip = server_.ip4();
    client_.run([&] {
      ask(connected(ip), count, *asked_);
      return 0;
    });
  }

  SystemClock clock_;
  agent::FeatureProbe features_;
  ResidueCheck residue_;
  TestNetwork net_;
  TestPod server_{net_, "srv"}, client_{net_, "cli"};
  Shared<std::atomic<int>> ready_;
  Shared<Asked> asked_;
  const std::map<std::string, std::string> server_side_{{"side", "server"}, {"port", "8080"}},
      client_side_{{"side", "client"}, {"port", "8080"}};
};

struct Device {
  double rx_bytes = 0, rx_packets = 0, tx_bytes = 0, tx_packets = 0;
};

Device device_of(const TestPod& pod) {
  std::istringstream in(pod.exec({"cat", "/proc/self/net/dev"}).output);
  for (std::string line; std::getline(in, line);) {
    const auto at = line.find("eth0:");
    if (at == std::string::npos) continue;
    std::istringstream words(line.substr(at + 5));
    Device d;
    double skip = 0;
    words >> d.rx_bytes >> d.rx_packets;
    for (int i = 0; i < 6; ++i) words >> skip;
    words >> d.tx_bytes >> d.tx_packets;
    return d;
  }
  throw std::runtime_error("no eth0");
}

// The device as it is when nothing has passed it for a moment: a new device speaks of itself
// (neighbour discovery, multicast) for a while, and loading the programs takes long enough for it.
Device quiet_device_of(const TestPod& pod) {
  Device last = device_of(pod);
  for (int i = 0; i < 50; ++i) {
    std::this_thread::sleep_for(milliseconds(200));
    const Device now = device_of(pod);
    if (now.rx_packets == last.rx_packets && now.tx_packets == last.tx_packets) return now;
    last = now;
  }
  return last;
}

TEST_F(PacketFlow, CountsPacketsAndBytesAsTheDeviceDoes) {
  const Child server = start_server(milliseconds(0));
  auto collector = measure(client_);
  const Device before = quiet_device_of(client_);
  take(*collector);
  ask_from_client(200);
  const Device after = quiet_device_of(client_);
  const Samples samples = take(*collector);
  // Neighbour discovery may come between the readings.
  constexpr double kFew = 6, kFewBytes = 600;
  EXPECT_GT(after.tx_packets - before.tx_packets, 400);
  EXPECT_NEAR(value(samples, "net.packets", {{"direction", "to"}}),
              after.tx_packets - before.tx_packets, kFew);
  EXPECT_NEAR(value(samples, "net.packets", {{"direction", "from"}}),
              after.rx_packets - before.rx_packets, kFew);
  EXPECT_NEAR(value(samples, "net.bytes", {{"direction", "to"}}), after.tx_bytes - before.tx_bytes,
              kFewBytes);
  EXPECT_NEAR(value(samples, "net.bytes", {{"direction", "from"}}),
              after.rx_bytes - before.rx_bytes, kFewBytes);
}

TEST_F(PacketFlow, RemembersWhoAsked) {
  const Child server = start_server(milliseconds(0));
  const TestPod neighbour(net_, "idle");
  auto of_server = measure(server_), of_client = measure(client_), of_idle = measure(neighbour);
  ask_from_client(1);
  const auto address_of = [](const TestPod& pod) {
    return std::to_array(api::Cidr::parse(pod.ip4())->address);
  };
  agent::PeerAddresses peers;
  of_server->add_peers(peers);
  EXPECT_THAT(peers, testing::ElementsAre(address_of(client_)));
  peers.clear();
  of_client->add_peers(peers);
  EXPECT_THAT(peers, testing::ElementsAre(address_of(server_)));
  peers.clear();
  of_idle->add_peers(peers);
  EXPECT_THAT(peers, testing::IsEmpty());
}

TEST_F(PacketFlow, BothSidesAgreeWithTheClientsStopwatch) {
  const Child server = start_server(milliseconds(3));
  auto of_server = measure(server_), of_client = measure(client_);
  ask_from_client(200);
  ASSERT_EQ(asked_->answered, 200);
  const Samples server_samples = take(*of_server), client_samples = take(*of_client);
  EXPECT_EQ(value(server_samples, "request.rate", server_side_), 200);
  EXPECT_EQ(value(client_samples, "request.rate", client_side_), 200);
  EXPECT_EQ(value(server_samples, "request.rate", client_side_), -1);
  EXPECT_EQ(value(client_samples, "request.rate", server_side_), -1);
  // What the stopwatch has more is the way through the sockets and a wake-up.
  EXPECT_NEAR(median_ms(server_samples, "server"), asked_->median(), within_ms(0.5));
  EXPECT_NEAR(median_ms(client_samples, "client"), asked_->median(), within_ms(0.5));
  EXPECT_GE(median_ms(client_samples, "client"), 2.9);
  const auto* errors = find(client_samples, "request.errors", client_side_);
  ASSERT_NE(errors, nullptr);
  EXPECT_EQ(errors->numerator, 0);
  EXPECT_EQ(errors->denominator, 200);
  EXPECT_EQ(value(take(*of_server), "request.rate", server_side_), 0) << "told again";
}

// A server's latency is what its callers are made to feel, whichever way they are delayed, and
// whether the fault or the measurement came first.
TEST_F(PacketFlow, ADelayIsSeenOnBothSides) {
  const Child server = start_server(milliseconds(1));
  for (const api::Direction direction : {api::Direction::to, api::Direction::from})
    for (const bool fault_first : {false, true}) {
      SCOPED_TRACE(std::string(direction == api::Direction::to ? "to" : "from") +
                   (fault_first ? ", fault first" : ", measurement first"));
      *asked_ = {};
      api::NetworkLatency spec;
      spec.latency.value = milliseconds(20);
      spec.direction = direction;
      std::unique_ptr<agent::ArmedFault> fault;
      std::unique_ptr<agent::Collector> of_server, of_client;
      if (fault_first) fault = arm(spec, server_.pod());
      of_server = measure(server_);
      of_client = measure(client_);
      if (!fault_first) {
        fault = arm(spec, server_.pod());
        ASSERT_TRUE(of_server->faults_changed());
      }
      ask_from_client(30);
      ASSERT_EQ(asked_->answered, 30);
      EXPECT_GE(asked_->median(), 20.9);
      const Samples server_samples = take(*of_server), client_samples = take(*of_client);
      EXPECT_EQ(value(server_samples, "request.rate", server_side_), 30);
      EXPECT_NEAR(median_ms(server_samples, "server"), asked_->median(), within_ms(0.8));
      EXPECT_NEAR(median_ms(client_samples, "client"), asked_->median(), within_ms(0.8));
    }
}

// The client's own delay: its application waits, the server answers as fast as ever.
TEST_F(PacketFlow, ADelayOfTheClientIsNotTheServers) {
  const Child server = start_server(milliseconds(1));
  auto of_server = measure(server_), of_client = measure(client_);
  api::NetworkLatency spec;
  spec.latency.value = milliseconds(20);
  const auto fault = arm(spec, client_.pod());
  ASSERT_TRUE(of_client->faults_changed());
  ask_from_client(30);
  ASSERT_EQ(asked_->answered, 30);
  EXPECT_NEAR(median_ms(take(*of_client), "client"), asked_->median(), within_ms(0.8));
  EXPECT_LT(median_ms(take(*of_server), "server"), within_ms(5));
}

TEST_F(PacketFlow, LostAndRepeatedSegmentsAreOneRequest) {
  const Child server = start_server(milliseconds(0));
  auto of_server = measure(server_), of_client = measure(client_);
  api::NetworkLoss spec;
  spec.loss = {0.1};
  spec.direction = api::Direction::both;
  const auto fault = arm(spec, server_.pod());
  ASSERT_TRUE(of_server->faults_changed());
  ask_from_client(150);
  ASSERT_EQ(asked_->answered, 150);
  ASSERT_GT(counters(*fault).injected, 10U);
  const Samples server_samples = take(*of_server), client_samples = take(*of_client);
  EXPECT_EQ(value(server_samples, "request.rate", server_side_), 150);
  EXPECT_EQ(value(client_samples, "request.rate", client_side_), 150);
  // The slowest waited for a retransmission, and both sides saw the wait.
  const double slowest = *std::max_element(asked_->ms.begin(), asked_->ms.begin() + 150);
  ASSERT_GT(slowest, 100);
  const auto* seen = find(client_samples, "request.latency", client_side_);
  ASSERT_NE(seen, nullptr);
  EXPECT_NEAR(seen->histogram->max * 1e3, slowest, slowest * (emulated() ? 0.5 : 0.25));
}

TEST_F(PacketFlow, RequestsWithoutAnAnswerAreErrors) {
  const Child server = start_server(milliseconds(0), Manner::kHangUp);
  auto of_server = measure(server_), of_client = measure(client_);
  for (int i = 0; i < 20; ++i) ask_from_client(1);
  ASSERT_EQ(asked_->failed, 20);
  for (const auto& [samples, labels] :
       {std::pair{take(*of_server), server_side_}, {take(*of_client), client_side_}}) {
    const auto* errors = find(samples, "request.errors", labels);
    ASSERT_NE(errors, nullptr) << labels.at("side");
    EXPECT_EQ(errors->numerator, 20);
    EXPECT_EQ(errors->denominator, 20);
    EXPECT_EQ(value(samples, "request.rate", labels), 0);
  }
}

// Each window has fewer than it would be told for by itself. A request that waits meanwhile is
// forgotten before it counts; where all are answered at once nothing is.
TEST_F(PacketFlow, ManyConnectionsWhileARequestWaitsAreToldThoughNoWindowHasMany) {
  constexpr int kEach = 4000;
  const Child server = start_server(milliseconds(0));
  auto of_server = measure(server_);
  const std::string ip = server_.ip4();
  const auto told_of_a_window = [&] {
    const int opened = client_.run([&] {
      for (int i = 0; i < kEach; ++i) {
        const Fd fd = connected(ip);
        char byte = 0;  // what the server closes is open no more on either side
        if (::shutdown(fd.get(), SHUT_WR) != 0 || ::recv(fd.get(), &byte, 1, 0) != 0) return 1;
      }
      return 0;
    });
    EXPECT_EQ(opened, 0);
    Samples samples;
    std::vector<api::Gap> gaps;
    of_server->take(samples, gaps);
    std::string told;
    for (const api::Gap& gap : gaps) told += gap.metric + ": " + gap.reason;
    return told;
  };
  for (int window = 0; window < 3; ++window) EXPECT_EQ(told_of_a_window(), "") << window;
  // Its connection waits to be accepted.
  const TcpAddress deaf(ip, 7999);
  const Fd listener = server_.in_netns([&] { return tcp_socket(deaf); });
  ASSERT_EQ(::bind(listener.get(), deaf.get(), deaf.size), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  const Fd waits = client_.in_netns([&] { return tcp_socket(deaf); });
  ASSERT_EQ(try_connect(waits, deaf), 0);
  ASSERT_EQ(::send(waits.get(), "x", 1, 0), 1);
  std::this_thread::sleep_for(milliseconds(500));
  std::string told;
  for (int window = 0; window < 3; ++window) told += told_of_a_window();
  EXPECT_THAT(told, testing::HasSubstr("request.*: requests wait for so long, and so many "));
}

TEST_F(PacketFlow, AConnectionOlderThanTheMeasurementHasItsSides) {
  const Child server = start_server(milliseconds(0));
  const Fd connection = connected(server_.ip4());  // from the host: no SYN will be seen
  ask(connection, 5, *asked_);
  auto of_server = measure(server_);
  // In one segment each: who has just used much of the processor is easily kept off it for more
  // than 5 ms between two, which then are two requests at once (decision 0026).
  ask(connection, 50, *asked_, false);
  const Samples samples = take(*of_server);
  EXPECT_EQ(value(samples, "request.rate", server_side_), 50);
  EXPECT_EQ(value(samples, "request.rate", client_side_), -1);
}

TEST_F(PacketFlow, OtherPodsCountNothingAndNothingIsLeft) {
  TestPod neighbour(net_, "nbr");
  const Child server = start_server(milliseconds(0));
  auto of_neighbour = measure(neighbour);
  ask_from_client(200);
  const Samples samples = take(*of_neighbour);
  // ARP requests are for all.
  EXPECT_LT(value(samples, "net.packets", {{"direction", "from"}}), 20);
  EXPECT_EQ(find(samples, "request.rate", server_side_), nullptr);
  EXPECT_FALSE(residue_.now().empty());
  of_neighbour.reset();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(PacketFlow, ResetsAreCounted) {
  auto of_server = measure(server_);
  const std::string ip = server_.ip4();
  const int refused = client_.run([&] {
    int n = 0;
    for (int i = 0; i < 10; ++i) {
      const Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
      sockaddr_in a = address(ip, 9);
      if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) ++n;
    }
    return n;
  });
  ASSERT_EQ(refused, 10);
  EXPECT_EQ(value(take(*of_server), "tcp.resets", {}), 10);
}

}  // namespace
}  // namespace faultline::test
