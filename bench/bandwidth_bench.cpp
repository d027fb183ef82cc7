// SPDX-License-Identifier: Apache-2.0
// What TCP gets of a link of so many bits per second, by iperf3 from a pod to the host, over what
// is there for it (payload of full frames): networkBandwidth's, and tbf's and netem's beside it
// where the kernel has them. 1 is exact. Prints one JSON line, with the mechanism. Root.
//
// usage: bandwidth_bench [rounds] [seconds] [Mbit/s]...
#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
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

constexpr double kTcpShare = 1448.0 / 1514;

double median(std::vector<double> v) {
  std::ranges::sort(v);
  return v[v.size() / 2];
}

int run(int rounds, const std::string& seconds, const std::vector<std::uint64_t>& megabits) {
  TestNetwork net;
  TestPod pod(net, "a");
  std::map<std::string, std::vector<double>> shares;
  std::string mechanism;
  for (int round = 0; round < rounds; ++round)
    for (const std::uint64_t rate : megabits)
      for (const int flows : {1, 8}) {
        const std::string key = std::to_string(rate) + "mbit_flows_" + std::to_string(flows);
        const auto share = [&] {
          return iperf3(pod, net.host4(), {.flows = flows, .seconds = seconds}) /
                 (static_cast<double>(rate) * 1e6 * kTcpShare);
        };
        {
          api::NetworkBandwidth spec;
          spec.rate.bits_per_second = rate * 1'000'000;
          const auto fault = arm(spec, pod.pod());
          mechanism = fault->mechanism();
          shares[key].push_back(share());
          const auto c = counters(*fault);
          if (c.lost > 0 || c.errors > 0) throw std::runtime_error("packets were lost");
          if (c.link && c.link->seconds > 0)
            shares["reported_" + key].push_back(static_cast<double>(c.link->bytes) * 8 /
                                                c.link->seconds /
                                                (static_cast<double>(rate) * 1e6));
        }
        // The same queue; a bucket of 4 ms, which is what tbf needs at 250 ticks a second.
        const std::string words = std::to_string(rate) + "mbit";
        const std::string burst = std::to_string(std::max<std::uint64_t>(3028, rate * 500));
        if (const RootQdisc tbf(pod, {"tbf", "rate", words, "burst", burst, "latency",
                                      rate < 3 ? "262ms" : "100ms"});
            tbf.made())
          shares["tbf_" + key].push_back(share());
        const std::string limit = std::to_string(std::max<std::uint64_t>(22, rate * 12'500 / 1514));
        if (const RootQdisc netem(pod, {"netem", "rate", words, "limit", limit}); netem.made())
          shares["netem_" + key].push_back(share());
      }
  boost::json::object line{{"bench", "bandwidth"}, {"rounds", rounds}, {"mechanism", mechanism}};
  std::string load;
  std::ifstream("/proc/loadavg") >> load;
  line["load"] = std::atof(load.c_str());
  for (const auto& [key, values] : shares) line["of_asked_" + key] = median(values);
  std::cout << boost::json::serialize(line) << std::endl;
  return 0;
}

}  // namespace
}  // namespace faultline::test

int main(int argc, char** argv) {
  try {
    std::vector<std::uint64_t> megabits;
    for (int i = 3; i < argc; ++i) megabits.push_back(std::strtoull(argv[i], nullptr, 10));
    if (megabits.empty()) megabits = {1, 10, 100, 1000};
    return faultline::test::run(argc > 1 ? std::atoi(argv[1]) : 3, argc > 2 ? argv[2] : "4",
                                megabits);
  } catch (const std::exception& e) {
    std::cerr << "bandwidth_bench: " << e.what() << "\n";
    return 1;
  }
}
