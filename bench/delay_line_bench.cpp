// SPDX-License-Identifier: Apache-2.0
// TCP throughput through the delay line against none, by iperf3 from a pod to the host. Each round
// measures with and without one after the other, and the ratio is the median of the rounds', so
// that what else the machine does hits both. Prints one JSON line. Root.
//
// usage: delay_line_bench [rounds] [seconds]
#include <fcntl.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "testbed/arm.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using std::chrono::milliseconds;

double gbit(const TestPod& pod, const TestNetwork& net, int flows, const std::string& seconds) {
  const std::string host = net.host4();
  Child server([&] {
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(null, 1);
    ::execlp("iperf3", "iperf3", "-s", "-1", "-B", host.c_str(), nullptr);
    return 127;
  });
  std::this_thread::sleep_for(milliseconds(300));
  // -O: the first second, while windows grow, does not count.
  const auto r =
      pod.exec({"iperf3", "-c", host, "-t", seconds, "-O", "1", "-P", std::to_string(flows), "-J"});
  server.wait();
  boost::system::error_code error;
  const auto json = boost::json::parse(r.output, error);
  const auto* bits =
      error ? nullptr : json.find_pointer("/end/sum_received/bits_per_second", error);
  if (bits == nullptr) throw std::runtime_error("iperf3: " + r.output);
  return bits->to_number<double>() / 1e9;
}

double median(std::vector<double> v) {
  std::ranges::sort(v);
  return v[v.size() / 2];
}

int run(int rounds, const std::string& seconds) {
  TestNetwork net;
  TestPod pod(net, "a");
  std::map<std::string, std::vector<double>> ratios, rates;
  for (int round = 0; round < rounds; ++round)
    for (const int flows : {1, 8}) {
      const std::string f = std::to_string(flows);
      for (const int ms : {1, 20}) {
        const double none = gbit(pod, net, flows, seconds);
        api::NetworkLatency spec;
        spec.latency.value = milliseconds(ms);
        const auto fault = arm(spec, pod.pod());
        const double with = gbit(pod, net, flows, seconds);
        const std::string key = "delay_" + std::to_string(ms) + "ms_flows_" + f;
        rates["none_flows_" + f].push_back(none);
        rates[key].push_back(with);
        ratios[key].push_back(with / none);
        if (counters(*fault).lost > 0) throw std::runtime_error("packets were lost");
      }
    }
  boost::json::object line{{"bench", "delay_line"}, {"rounds", rounds}};
  std::string load;
  std::ifstream("/proc/loadavg") >> load;
  line["load"] = std::atof(load.c_str());
  for (const auto& [key, values] : ratios) line["ratio_" + key] = median(values);
  for (const auto& [key, values] : rates) line["gbit_" + key] = median(values);
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
