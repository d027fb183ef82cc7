// SPDX-License-Identifier: Apache-2.0
// What a fault costs those it does not hit: a packet at an armed networkLatency whose filter does
// not match (BPF_PROG_TEST_RUN, the kernel's own clock), and a connect() of a process in the cgroup
// of an armed socketError whose filter does not match (against the same without). Prints one JSON
// line. Root.
//
// usage: non_matching_bench [rounds]
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <vector>

#include "agent/kernel/dice.h"
#include "agent/kernel/lease.h"
#include "agent/kernel/net_filter.h"
#include "agent/kernel/skeleton.h"
#include "delay_abi.h"
#include "network_latency.skel.h"
#include "testbed/arm.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

constexpr int kRepeat = 2'000'000;

double median(std::vector<double> v) {
  std::ranges::sort(v);
  return v[v.size() / 2];
}

// An IPv4 TCP segment from port 40000 to port 80.
std::vector<unsigned char> segment() {
  std::vector<unsigned char> p(14 + 20 + 20 + 100);
  p[12] = 0x08;  // IPv4
  p[14] = 0x45;
  p[17] = 140;
  p[22] = 64;
  p[23] = IPPROTO_TCP;
  const unsigned char addresses[] = {10, 0, 0, 2, 10, 0, 0, 3};
  std::ranges::copy(addresses, p.begin() + 26);
  p[34] = 0x9c;
  p[35] = 0x40;
  p[37] = 80;
  return p;
}

double packet_ns(bool armed, int rounds_wanted) {
  auto skeleton = agent::Skeleton<network_latency_bpf>::open("network_latency");
  if (!skeleton) throw std::runtime_error(skeleton.error().message);
  auto& config = (*skeleton)->rodata->fl_config;
  config.threshold = FL_CERTAIN;
  config.tap_ifindex = 1;
  config.slots = FL_DELAY_LEAST_SLOTS;
  auto& ports = (*skeleton)->rodata->fl_filter.only;
  ports.n_ports = 2;
  ports.ports[0] = 8080;
  ports.ports[1] = 8443;
  if (auto done = skeleton->load(); !done) throw std::runtime_error(done.error().message);
  if (armed) agent::arm_lease((*skeleton)->bss->fl_lease, in(std::chrono::minutes(5)));
  auto packet = segment();
  std::vector<double> rounds;
  for (int i = 0; i < rounds_wanted; ++i) {
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = packet.data();
    options.data_size_in = static_cast<__u32>(packet.size());
    options.repeat = kRepeat;
    const int rc =
        bpf_prog_test_run_opts(bpf_program__fd((*skeleton)->progs.fl_delay_to), &options);
    if (rc != 0) throw std::runtime_error("BPF_PROG_TEST_RUN: " + std::to_string(rc));
    if (options.retval != static_cast<__u32>(-1)) throw std::runtime_error("it matched");
    rounds.push_back(options.duration);
  }
  return median(rounds);
}

// connect() of a UDP socket: the hook, a route, and no packet.
double connect_ns(const TestPod& pod, const std::string& to) {
  Shared<double> ns;
  pod.run([&] {
    const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(9);
    inet_pton(AF_INET, to.c_str(), &a.sin_addr);
    constexpr int kCalls = 300000;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kCalls; ++i)
      if (::connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a)) return 1;
    *ns =
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() /
        kCalls;
    return 0;
  });
  return *ns;
}

int run(int rounds) {
  TestNetwork net;
  TestPod pod(net, "a");
  api::SocketError error;
  error.operations = {api::SocketOperation::connect};
  error.errno_ = {ETIMEDOUT};
  error.ports = {8080};
  std::vector<double> none, with, ratio;
  for (int i = 0; i < rounds; ++i) {
    none.push_back(connect_ns(pod, net.host4()));
    const auto fault = arm(error, pod.pod());
    with.push_back(connect_ns(pod, net.host4()));
    if (counters(*fault).matched != 0) throw std::runtime_error("it matched");
    ratio.push_back(with.back() / none.back());
  }
  const boost::json::object line{{"bench", "non_matching"},
                                 {"packet_ns", packet_ns(true, rounds)},
                                 {"packet_disarmed_ns", packet_ns(false, rounds)},
                                 {"connect_ns", median(none)},
                                 {"connect_with_fault_ns", median(with)},
                                 {"ratio_connect", median(ratio)}};
  std::cout << boost::json::serialize(line) << std::endl;
  return 0;
}

}  // namespace
}  // namespace faultline::test

int main(int argc, char** argv) {
  try {
    return faultline::test::run(argc > 1 ? std::max(std::atoi(argv[1]), 1) : 7);
  } catch (const std::exception& e) {
    std::cerr << "non_matching_bench: " << e.what() << "\n";
    return 1;
  }
}
