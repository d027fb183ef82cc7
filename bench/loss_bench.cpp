// SPDX-License-Identifier: Apache-2.0
// What bulk TCP moves under networkLoss, by iperf3 from a pod to the host: as pods send, many
// packets in one piece, against a pod whose device takes single packets only, where nobody doubts
// that each has dice of its own (1 is exact); and against none. netem's beside it where the kernel
// has it. Prints one JSON line. Root.
//
// usage: loss_bench [rounds] [seconds] [percent]...
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "bench/root_qdisc.h"
#include "testbed/arm.h"
#include "testbed/rate_probe.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

double median(std::vector<double> v) {
  std::ranges::sort(v);
  return v[v.size() / 2];
}

// The pod's device sends single packets: what TCP hands over in one piece is cut before it.
void send_single_packets(const TestPod& pod) {
  pod.in_netns([] {
    const agent::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    for (const std::uint32_t feature : {ETHTOOL_STSO, ETHTOOL_SGSO}) {
      ethtool_value off{feature, 0};
      ifreq request{};
      std::strcpy(request.ifr_name, "eth0");
      request.ifr_data = reinterpret_cast<char*>(&off);
      if (::ioctl(fd.get(), SIOCETHTOOL, &request) != 0)
        throw std::runtime_error("cannot switch off what makes pieces of packets");
    }
    return 0;
  });
}

int run(int rounds, const std::string& seconds, const std::vector<std::string>& percents) {
  TestNetwork net;
  TestPod pieces(net, "a"), single(net, "b");
  send_single_packets(single);
  std::map<std::string, std::vector<double>> ratios;
  for (int round = 0; round < rounds; ++round)
    for (const int flows : {1, 8}) {
      const auto rate = [&](const TestPod& pod) {
        return iperf3(pod, net.host4(), {.flows = flows, .seconds = seconds});
      };
      const auto under = [&](const TestPod& pod, double loss) {
        api::NetworkLoss spec;
        spec.loss = {loss};
        spec.direction = api::Direction::to;
        const auto fault = arm(spec, pod.pod());
        const double rated = rate(pod);
        const auto c = counters(*fault);
        if (c.lost + c.errors + c.stalled > 0)
          throw std::runtime_error(
              std::to_string(c.lost) + " packets lost, " + std::to_string(c.errors) + " errors, " +
              std::to_string(c.stalled) + " passed whole, of " + std::to_string(c.matched));
        return rated;
      };
      const double none = rate(pieces);
      for (const std::string& percent : percents) {
        const std::string key = percent + "_percent_flows_" + std::to_string(flows);
        const double loss = std::atof(percent.c_str()) / 100;
        const double ours = under(pieces, loss), truth = under(single, loss);
        ratios["of_single_packets_" + key].push_back(ours / truth);
        ratios["of_none_" + key].push_back(ours / none);
        if (const RootQdisc netem(pieces, {"netem", "loss", percent + "%"}); netem.made())
          ratios["netem_of_single_packets_" + key].push_back(rate(pieces) / truth);
      }
    }
  boost::json::object line{{"bench", "loss"}, {"rounds", rounds}};
  std::string load;
  std::ifstream("/proc/loadavg") >> load;
  line["load"] = std::atof(load.c_str());
  for (const auto& [key, values] : ratios) line[key] = median(values);
  std::cout << boost::json::serialize(line) << std::endl;
  return 0;
}

}  // namespace
}  // namespace faultline::test

int main(int argc, char** argv) {
  try {
    std::vector<std::string> percents(argv + std::min(argc, 3), argv + argc);
    if (percents.empty()) percents = {"0.01", "0.1", "1"};
    return faultline::test::run(argc > 1 ? std::atoi(argv[1]) : 3, argc > 2 ? argv[2] : "4",
                                percents);
  } catch (const std::exception& e) {
    std::cerr << "loss_bench: " << e.what() << "\n";
    return 1;
  }
}
