// SPDX-License-Identifier: Apache-2.0
// What finding the pods of a node costs: 110 pods (the kubelet's default limit) of a sandbox and
// one container each, in a cgroup2 tree as a kubelet makes it, in ten network namespaces. The first
// look, which walks the tree and reads every pod's interfaces, beside those that follow, which an
// agent does four times a second while a run is up. Prints one JSON line. Root.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <iostream>
#include <memory>

#include "agent/kernel/cgroup2.h"
#include "agent/targets/kubernetes_source.h"
#include "testbed/stats.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)

namespace {

constexpr int kPods = 110, kNamespaces = 10, kRounds = 50;

std::string numbered(const char* format, int number) {
  char text[80];
  std::snprintf(text, sizeof text, format, static_cast<unsigned>(number));
  return text;
}

double milliseconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

int run() {
  TestNetwork net;
  std::deque<TestPod> namespaces;
  for (int i = 0; i < kNamespaces; ++i) namespaces.emplace_back(net, std::to_string(i));
  const std::string root =
      *agent::find_cgroup2_mount() + "/flt" + std::to_string(getpid()) + "-tree/kubepods";
  std::vector<Child> processes;
  std::vector<agent::KubePod> pods;
  for (int i = 0; i < kPods; ++i) {
    agent::KubePod pod;
    pod.namespace_ = "shop";
    pod.name = numbered("pod-%u", i);
    pod.uid = numbered("%08x-8c6e-4d0b-9a53-1b9df1d7c2aa", i);
    pod.node = "node";
    pod.phase = "Running";
    const std::string directory = root + (i % 2 == 0 ? "/burstable/pod" : "/pod") + pod.uid + "/";
    for (int c = 0; c < 2; ++c) {
      const std::string id = numbered("%064x", 2 * i + c);
      if (c == 1)
        pod.containers.push_back(
            {.name = "app", .id = id, .state = agent::KubeContainer::State::kRunning});
      const std::string cgroup = directory + id;
      std::filesystem::create_directories(cgroup);
      const Shared<std::atomic<bool>> there;
      const TestPod& in = namespaces[static_cast<std::size_t>(i % kNamespaces)];
      processes.emplace_back([&] {
        join_cgroup(cgroup);
        return in.in_netns([&] {
          *there = true;
          for (;;) pause();
          return 0;
        });
      });
      while (!*there) usleep(100);
    }
    pods.push_back(std::move(pod));
  }
  const SystemClock clock;
  std::vector<double> first, next, walk, ratio;
  for (int round = 0; round < kRounds; ++round) {
    auto source = agent::KubernetesSource::open("node", {}, clock);
    if (!source) throw std::runtime_error(source.error().message);
    source->replace(pods);
    const auto poll = [&] {
      if (!source->poll() || source->pods().size() != kPods)
        throw std::runtime_error("not all pods were found");
    };
    first.push_back(milliseconds(poll));
    std::vector<double> looks;
    for (int i = 0; i < 16; ++i) looks.push_back(milliseconds(poll));
    double sum = 0;
    for (const double look : looks) sum += look;
    next.push_back(sum / static_cast<double>(looks.size()));
    agent::PodPlaces places(*agent::find_cgroup2_mount());
    walk.push_back(milliseconds([&] { (void)places.scan(); }));
    ratio.push_back(next.back() / first.back());
  }
  const boost::json::object line{{"bench", "pods"},           {"pods", kPods},
                                 {"first_ms", median(first)}, {"next_ms", median(next)},
                                 {"walk_ms", median(walk)},   {"ratio_next", median(ratio)}};
  std::cout << boost::json::serialize(line) << std::endl;
  return 0;
}

}  // namespace
}  // namespace faultline::test

int main() {
  int status = 1;
  try {
    status = faultline::test::run();
  } catch (const std::exception& e) {
    std::cerr << "pods_bench: " << e.what() << "\n";
  }
  faultline::testbed::sweep(getpid());
  return status;
}
