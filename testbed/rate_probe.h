// SPDX-License-Identifier: Apache-2.0
// Throughput as others see it: iperf3, and a flood of numbered datagrams that is counted where it
// arrives. Failures throw std::runtime_error.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "agent/kernel/fd.h"
#include "testbed/test_pod.h"

namespace faultline::testbed {

struct IperfOptions {
  int flows = 1;
  std::string seconds = "3";
  bool reverse = false;  // the pod receives
  std::uint16_t port = 5201;
};
// TCP between a pod (client) and a server at `address` of the host's namespace: what arrived, in
// bits of payload per second. The first second, while windows grow, does not count.
double iperf3(const TestPod& pod, const std::string& address, const IperfOptions& options = {});

// What the receiver of a flood saw.
struct Flood {
  std::uint64_t sent = 0, send_failures = 0;
  std::vector<double>
      at;  // seconds from the start, by the kernel's stamps, in the order of arrival
  std::vector<std::uint32_t> number;  // of the datagram, in the order of arrival
  std::uint32_t bytes = 0;            // of one, on a wire: with UDP, IP and Ethernet headers
  [[nodiscard]] std::uint64_t lost() const { return sent - at.size(); }
  [[nodiscard]] std::uint64_t overtaken() const;  // arrivals after a later one
  // From the arrival `skip` to the last one: what came between them, over the time between them.
  [[nodiscard]] double bits_per_second(std::size_t skip = 0) const;
};

struct FloodOptions {
  double bits_per_second = 0;  // on a wire; 0: as fast as can be
  std::uint32_t count = 0;
  std::uint32_t payload = 1400;  // bytes of a datagram, IPv4
  std::chrono::milliseconds patience{500};
  std::function<void()> during;  // on the sending thread, after half of them
};
Flood flood(const agent::Fd& sender, const agent::Fd& receiver, const FloodOptions& options);

}  // namespace faultline::testbed
