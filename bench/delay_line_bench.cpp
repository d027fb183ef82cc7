// SPDX-License-Identifier: Apache-2.0
// TCP throughput through networkLatency against none, by iperf3 from a pod to the host, and beside
// netem's where the kernel has it (there the error of the delay by ping, too). Each round measures
// all of them one after the other, and the ratio is the median of the rounds', so that what else
// the machine does hits all. Prints one JSON line, with the mechanism. Root.
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
#include "testbed/latency_probe.h"
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

// Alive: the pod's own device delays what it sends.
class Netem {
 public:
  Netem(const TestPod& pod, int ms) : pod_(pod) {
    made_ = tc("add", {"netem", "delay", std::to_string(ms) + "ms", "limit", "1000000"});
  }
  Netem(const Netem&) = delete;
  Netem& operator=(const Netem&) = delete;
  ~Netem() {
    if (made_) tc("del", {});
  }
  [[nodiscard]] bool made() const { return made_; }

 private:
  bool tc(const std::string& verb, const std::vector<std::string>& what) const {
    std::vector<std::string> words{"tc",  "qdisc", verb, "dev", pod_.pod().interfaces.at(0).name,
                                   "root"};
    words.insert(words.end(), what.begin(), what.end());
    return pod_.exec(words).status == 0;
  }
  const TestPod& pod_;
  bool made_ = false;
};

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
    const Netem netem(pod, ms);
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
        const Netem netem(pod, ms);
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
