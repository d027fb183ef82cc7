// SPDX-License-Identifier: Apache-2.0
// TCP throughput through networkLatency against none, by iperf3 from a pod to the host, and beside
// netem's where the kernel has it (there the error of the delay by ping, too). Each round measures
// all of them one after the other, and the ratio is the median of the rounds', so that what else
// the machine does hits all. Prints one JSON line, with the mechanism. Root.
//
// usage: delay_line_bench [rounds] [seconds]
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
#include "testbed/latency_probe.h"
#include "testbed/rate_probe.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using std::chrono::milliseconds;

double gbit(const TestPod& pod, const TestNetwork& net, int flows, const std::string& seconds) {
  return iperf3(pod, net.host4(), {.flows = flows, .seconds = seconds}) / 1e9;
}

double median(std::vector<double> v) {
  std::ranges::sort(v);
  return v[v.size() / 2];
}

std::vector<std::string> netem_delay(int ms) {
  return {"netem", "delay", std::to_string(ms) + "ms", "limit", "1000000"};
}

// By ping, ms above none's.
void measure_errors(const TestPod& pod, boost::json::object& line) {
  for (const int ms : {1, 5, 20, 100}) {
    const std::string key = std::to_string(ms) + "ms";
    const double none = ping(pod.ip4(), 200).median();
    {
      api::NetworkLatency spec;
      spec.latency.value = milliseconds(ms);
      const auto fault = arm(spec, pod.pod());
      line["error_ms_" + key] = ping(pod.ip4(), 200).median() - none - ms;
    }
    const RootQdisc netem(pod, netem_delay(ms));
    if (netem.made()) line["netem_error_ms_" + key] = ping(pod.ip4(), 200).median() - none - ms;
  }
}

int run(int rounds, const std::string& seconds) {
  TestNetwork net;
  TestPod pod(net, "a");
  std::map<std::string, std::vector<double>> ratios, rates;
  std::string mechanism;
  for (int round = 0; round < rounds; ++round)
    for (const int flows : {1, 8}) {
      const std::string f = std::to_string(flows);
      for (const int ms : {1, 20}) {
        const double none = gbit(pod, net, flows, seconds);
        api::NetworkLatency spec;
        spec.latency.value = milliseconds(ms);
        auto fault = arm(spec, pod.pod());
        mechanism = fault->mechanism();
        const double with = gbit(pod, net, flows, seconds);
        const std::string key = "delay_" + std::to_string(ms) + "ms_flows_" + f;
        rates["none_flows_" + f].push_back(none);
        rates[key].push_back(with);
        ratios[key].push_back(with / none);
        if (const auto c = counters(*fault); c.lost > 0 || c.errors > 0)
          throw std::runtime_error("packets were lost or not delayed");
        fault.reset();
        const RootQdisc netem(pod, netem_delay(ms));
        if (!netem.made()) continue;
        const double peer = gbit(pod, net, flows, seconds);
        rates["netem_" + key].push_back(peer);
        ratios["of_netem_" + key].push_back(with / peer);
      }
    }
  boost::json::object line{{"bench", "delay_line"}, {"rounds", rounds}, {"mechanism", mechanism}};
  std::string load;
  std::ifstream("/proc/loadavg") >> load;
  line["load"] = std::atof(load.c_str());
  for (const auto& [key, values] : ratios) line["ratio_" + key] = median(values);
  for (const auto& [key, values] : rates) line["gbit_" + key] = median(values);
  measure_errors(pod, line);
  std::cout << boost::json::serialize(line) << std::endl;
  return 0;
}

}  // namespace
}  // namespace faultline::test

int main(int argc, char** argv) {
  try {
    return faultline::test::run(argc > 1 ? std::atoi(argv[1]) : 3, argc > 2 ? argv[2] : "4");
  } catch (const std::exception& e) {
    std::cerr << "delay_line_bench: " << e.what() << "\n";
    return 1;
  }
}
