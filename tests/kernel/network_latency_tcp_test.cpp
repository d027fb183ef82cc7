// SPDX-License-Identifier: Apache-2.0
// TCP through the delay line: large segments stay whole, every byte and checksum is right.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <iostream>
#include <thread>

#include "testbed/arm.h"
#include "testbed/bulk_tcp.h"
#include "testbed/emulated.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using std::chrono::milliseconds;

api::NetworkLatency latency(milliseconds ms, api::Direction direction) {
  api::NetworkLatency fault;
  fault.latency.value = ms;
  fault.direction = direction;
  return fault;
}

// Whole blocks of transfer().
std::size_t megabytes(int n) { return static_cast<std::size_t>(fewer(n)) << 20; }

// The device computes no checksums, so the kernel must: at the place the packet says it is to be.
void compute_checksums_in_software(const std::string& device) {
  const agent::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_value off{ETHTOOL_STXCSUM, 0};
  ifreq request{};
  device.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&off);
  if (::ioctl(fd.get(), SIOCETHTOOL, &request)) throw std::runtime_error("ETHTOOL_STXCSUM");
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
  for (const TestPod* pod : {&a_, &b_}) EXPECT_EQ(tcp_counter(*pod, "InCsumErrors"), 0);
}

TEST_F(NetworkLatencyTcp, JitterReordersNoSegment) {
  const std::size_t kBytes = megabytes(32);
  auto spec = latency(milliseconds(5), api::Direction::to);
  spec.jitter.value = milliseconds(5);
  const auto fault = arm(spec, a_.pod());
  const long before = tcp_counter(b_, "TCPOFOQueue");
  EXPECT_EQ(transfer(a_, b_, b_.ip4(), kBytes), kBytes);
  EXPECT_EQ(tcp_counter(b_, "TCPOFOQueue") - before, 0) << "segments that arrived out of order";
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
