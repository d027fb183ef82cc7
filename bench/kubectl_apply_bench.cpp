// SPDX-License-Identifier: Apache-2.0
// How soon what somebody applies with kubectl acts: from the start of `kubectl apply`, and from its
// end, to the first event that is injected. The pod that is hit is pinged every 10 ms from the
// other node, and the first answer that comes as late as the fault makes it says when its question
// was sent. Beside it, how long the same kubectl takes for an object that nobody acts on.
// Prints one JSON line. Root; needs the cluster with Faultline:
//   scripts/cluster up; build/release/bin/cluster --gtest_filter=Install.Default
//
// usage: kubectl_apply_bench [rounds]
#include <signal.h>

#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "testbed/program.h"
#include "testbed/stats.h"
#include "tests/cluster/harness.h"

namespace faultline::test {
namespace {

using testbed::quantile;
using Clock = std::chrono::system_clock;  // ping's too

constexpr double kDelayMs = 300;

double seconds(Clock::time_point at) {
  return std::chrono::duration<double>(at.time_since_epoch()).count();
}

// When the first question was sent whose answer came late, by the lines of `ping -D`:
// "[1764180000.123456] 64 bytes from 10.244.1.5: icmp_seq=7 ttl=63 time=301 ms".
std::optional<double> first_late(const std::string& file) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    double answered = 0, took_ms = 0;
    const auto time = line.find("time=");
    if (time == line.npos || std::sscanf(line.c_str(), "[%lf]", &answered) != 1 ||
        std::sscanf(line.c_str() + time, "time=%lf", &took_ms) != 1)
      continue;
    if (took_ms >= kDelayMs) return answered - took_ms / 1e3;
  }
  return std::nullopt;
}

int run(int rounds) {
  const ExistingNamespace shop("shop");
  const auto pods =
      boost::json::parse(shop.must_kubectl({"get", "pods", "-l", "app=web", "-o", "json"}));
  const auto& pod = pods.at_pointer("/items/0");
  const std::string name(pod.at_pointer("/metadata/name").as_string());
  const std::string ip(pod.at_pointer("/status/podIP").as_string());
  const std::string other = pod.at_pointer("/spec/nodeName").as_string() == "n1" ? "n2" : "n1";
  std::vector<double> from_start, from_end, nobody;
  for (int round = 0; round < rounds; ++round) {
    const std::string run = "apply-" + std::to_string(round);
    std::ostringstream document;
    document << "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: " << run
             << "}\nspec:\n  target: {selector: {pods: {shop: [" << name
             << "]}}}\n  faults: [{networkLatency: {latency: 300ms}}]\n"
                "  phases: {baseline: 0s, fault: 3s, recovery: 0s}\n";
    const TemporaryFile experiment(document.str());
    const TemporaryFile plain("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + run + "}\n");
    const auto before = Clock::now();
    shop.must_kubectl({"apply", "-f", plain.path()});
    nobody.push_back(seconds(Clock::now()) - seconds(before));
    const TemporaryFile said("");
    auto ping = testbed::launch(
        {source("scripts/cluster"), "enter", other, "--", "ping", "-D", "-n", "-i", "0.01", ip},
        {.file = said.path()});
    std::this_thread::sleep_for(500ms);
    const auto start = Clock::now();
    shop.must_kubectl({"apply", "-f", experiment.path()});
    const auto end = Clock::now();
    std::optional<double> late;
    if (!comes_true([&] { return (late = first_late(said.path())).has_value(); }, 20s))
      throw std::runtime_error("nothing was delayed in round " + std::to_string(round));
    from_start.push_back(*late - seconds(start));
    from_end.push_back(*late - seconds(end));
    ping.signal(SIGTERM);
    shop.must_kubectl({"delete", "configmap/" + run, "experiment/" + run});
    std::this_thread::sleep_for(1s);
  }
  const auto figures = [](const std::vector<double>& values) {
    return boost::json::object{{"p50", quantile(values, 0.5)}, {"max", quantile(values, 1)}};
  };
  std::cout << boost::json::serialize(boost::json::object{
                   {"bench", "kubectl_apply"},
                   {"rounds", rounds},
                   {"apply_to_first_injected_s", figures(from_start)},
                   {"kubectl_returned_to_first_injected_s", figures(from_end)},
                   {"kubectl_alone_s", figures(nobody)},
                   {"ratio", quantile(from_start, 0.5) / quantile(nobody, 0.5)}})
            << "\n";
  return 0;
}

}  // namespace
}  // namespace faultline::test

int main(int argc, char** argv) {
  try {
    return faultline::test::run(argc > 1 ? std::atoi(argv[1]) : 10);
  } catch (const std::exception& e) {
    std::cerr << "kubectl_apply_bench: " << e.what() << "\n";
    return 1;
  }
}
