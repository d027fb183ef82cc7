// SPDX-License-Identifier: Apache-2.0
// TCP through the delay line: large segments stay whole, every byte and checksum is right.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <iostream>
#include <sstream>
#include <thread>

#include "testbed/arm.h"
#include "testbed/emulated.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using std::chrono::milliseconds;
constexpr std::uint16_t kPort = 7300;

api::NetworkLatency latency(milliseconds ms, api::Direction direction) {
  api::NetworkLatency fault;
  fault.latency.value = ms;
  fault.direction = direction;
  return fault;
}

// Whole blocks of transfer().
std::size_t megabytes(int n) { return static_cast<std::size_t>(fewer(n)) << 20; }

// A byte that depends on its place.
unsigned char pattern(std::size_t i) { return static_cast<unsigned char>((i * 2654435761u) >> 13); }

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  explicit Address(const std::string& text) {
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
      v4.sin_family = AF_INET;
      v4.sin_port = htons(kPort);
      std::memcpy(&storage, &v4, size = sizeof v4);
    } else if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(kPort);
      std::memcpy(&storage, &v6, size = sizeof v6);
    }
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// Sends `bytes` of the pattern from one namespace to a listener in another; how many arrived right.
std::size_t transfer(const TestPod& from, const TestPod& to, const std::string& address,
                     std::size_t bytes) {
  const Address a(address);
  agent::Fd listener = to.in_netns(
      [&] { return agent::Fd(::socket(a.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)); });
  const int on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(listener.get(), a.get(), a.size) || ::listen(listener.get(), 1))
    throw std::runtime_error(std::string("listen: ") + std::strerror(errno));
  agent::Fd sender = from.in_netns(
      [&] { return agent::Fd(::socket(a.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)); });
  std::thread writer([&] {
    if (::connect(sender.get(), a.get(), a.size)) return;
    std::vector<unsigned char> block(1 << 18);
    for (std::size_t at = 0; at < bytes; at += block.size()) {
      for (std::size_t i = 0; i < block.size(); ++i) block[i] = pattern(at + i);
      for (std::size_t done = 0; done < block.size();) {
        const ssize_t n = ::send(sender.get(), block.data() + done, block.size() - done, 0);
        if (n <= 0) return;
        done += static_cast<std::size_t>(n);
      }
    }
    ::shutdown(sender.get(), SHUT_WR);
  });
  const agent::Fd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  std::vector<unsigned char> block(1 << 18);
  std::size_t right = 0;
  for (ssize_t n; (n = ::recv(connection.get(), block.data(), block.size(), 0)) > 0;)
    for (ssize_t i = 0; i < n; ++i) {
      if (block[static_cast<std::size_t>(i)] != pattern(right)) {
        ::shutdown(connection.get(), SHUT_RDWR);
        writer.join();
        return right;
      }
      ++right;
    }
  writer.join();
  return right;
}

// The device computes no checksums, so the kernel must: at the place the packet says it is to be.
void compute_checksums_in_software(const std::string& device) {
  const agent::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_value off{ETHTOOL_STXCSUM, 0};
  ifreq request{};
  device.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&off);
  if (::ioctl(fd.get(), SIOCETHTOOL, &request)) throw std::runtime_error("ETHTOOL_STXCSUM");
}

long counter(const TestPod& pod, const std::string& name) {
  const auto r = pod.exec({"cat", "/proc/self/net/netstat", "/proc/self/net/snmp"});
  // Lines come in pairs: names, values.
  std::istringstream lines(r.output);
  for (std::string names, values; std::getline(lines, names) && std::getline(lines, values);) {
    std::istringstream n(names), v(values);
    for (std::string key, value; n >> key && v >> value;)
      if (key == name) return std::stol(value);
  }
  throw std::runtime_error("no counter " + name);
}

class NetworkLatencyTcp : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS_TC(); }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"}, b_{net_, "b"};
};

TEST_F(NetworkLatencyTcp, LargeSegmentsStayWholeAndArriveRightBothWays) {
  const std::size_t kBytes = megabytes(64);
  for (const bool v6 : {false, true}) {
    const auto fault = arm(latency(milliseconds(1), api::Direction::both), a_.pod());
    EXPECT_EQ(transfer(a_, b_, v6 ? b_.ip6() : b_.ip4(), kBytes), kBytes);
    const auto c = counters(*fault);
    // Acknowledgements come the other way: half of the packets are small.
    std::cout << kBytes / c.injected << " bytes a packet\n";
    EXPECT_GT(kBytes / c.injected, 5000U);
    EXPECT_EQ(c.lost + c.errors, 0U);
    EXPECT_EQ(transfer(b_, a_, v6 ? a_.ip6() : a_.ip4(), kBytes), kBytes);
  }
}

TEST_F(NetworkLatencyTcp, ChecksumsLeftToTheDeviceAreComputedAtTheRightPlace) {
  const std::size_t kBytes = megabytes(16);
  compute_checksums_in_software(a_.host_device());
  compute_checksums_in_software(b_.host_device());
  const auto fault = arm(latency(milliseconds(1), api::Direction::both), a_.pod());
  for (const bool v6 : {false, true}) {
    EXPECT_EQ(transfer(a_, b_, v6 ? b_.ip6() : b_.ip4(), kBytes), kBytes);
    EXPECT_EQ(transfer(b_, a_, v6 ? a_.ip6() : a_.ip4(), kBytes), kBytes);
  }
  for (const TestPod* pod : {&a_, &b_}) EXPECT_EQ(counter(*pod, "InCsumErrors"), 0);
}

TEST_F(NetworkLatencyTcp, JitterReordersNoSegment) {
  const std::size_t kBytes = megabytes(32);
  auto spec = latency(milliseconds(5), api::Direction::to);
  spec.jitter.value = milliseconds(5);
  const auto fault = arm(spec, a_.pod());
  const long before = counter(b_, "TCPOFOQueue");
  EXPECT_EQ(transfer(a_, b_, b_.ip4(), kBytes), kBytes);
  EXPECT_EQ(counter(b_, "TCPOFOQueue") - before, 0) << "segments that arrived out of order";
}

TEST_F(NetworkLatencyTcp, AKeptConnectionMovesGigabitsThroughIt) {
  const auto fault = arm(latency(milliseconds(1), api::Direction::to), a_.pod());
  Child server = b_.start([] {
    execlp("iperf3", "iperf3", "-s", "-1", nullptr);
    return 127;
  });
  std::this_thread::sleep_for(milliseconds(500));
  const auto r = a_.exec({"iperf3", "-c", b_.ip4(), "-t", "3", "-P", "4", "-f", "m"});
  EXPECT_EQ(r.status, 0) << r.output;
  std::cout << r.output.substr(r.output.rfind("[SUM]"));
  const auto c = counters(*fault);
  EXPECT_EQ(c.lost, 0U);
  const std::string sum = r.output.substr(r.output.rfind("[SUM]"));
  const auto unit = sum.find("Mbits/sec");
  ASSERT_NE(unit, std::string::npos);
  const auto start = sum.rfind(' ', unit - 2);
  // A rate is bench/'s business; this says only that it is no trickle.
  EXPECT_GT(std::stod(sum.substr(start)), emulated() ? 5 : 500) << sum;
}

}  // namespace
}  // namespace faultline::test
