// SPDX-License-Identifier: Apache-2.0
// How fast a run acts: from the request that starts it to the first injected event, and from the
// request that stops it to the last. The real controller and agent; a pod sends a datagram every
// 200 us, the fault loses them all, and the receiver's own record says which were the first and the
// last. Nothing is measured before the fault (baseline 0 s), so that the first figure is all
// reaction. Prints one JSON line. Root.
//
// usage: reaction_bench PROGRAMS [rounds]   PROGRAMS: the folder of the three programs
#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <thread>
#include <vector>

#include "http/client.h"
#include "testbed/cluster.h"
#include "testbed/program.h"
#include "testbed/stats.h"
#include "testbed/test_pod.h"
#include "testbed/udp.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using std::chrono::steady_clock;

namespace {

constexpr std::chrono::microseconds kGap(200);
constexpr std::uint16_t kPort = 7000;

// Datagrams by number, all the time: when each was sent, and whether it came.
class Stream {
 public:
  Stream(const TestPod& pod, const std::string& host)
      : receiver_(udp_receiver(host, kPort)),
        sender_(pod.in_netns([&] { return udp_sender(host, kPort); })),
        sent_(kMost),
        came_(kMost) {
    receiving_ = std::thread([this] {
      for (std::uint32_t number = 0; !stop_;)
        if (::recv(receiver_.get(), &number, sizeof number, 0) == sizeof number)
          came_[number] = true;
    });
    sending_ = std::thread([this] {
      for (std::uint32_t number = 0; number < kMost && !stop_; ++number) {
        sent_[number] = steady_clock::now();
        count_.store(number + 1, std::memory_order_release);
        (void)!::send(sender_.get(), &number, sizeof number, 0);
        std::this_thread::sleep_for(kGap);
      }
    });
  }
  ~Stream() {
    stop_ = true;
    sending_.join();
    ::shutdown(receiver_.get(), SHUT_RDWR);
    receiving_.join();
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  [[nodiscard]] std::uint32_t count() const { return count_.load(std::memory_order_acquire); }
  // A datagram was lost since number `from`: the run acts.
  [[nodiscard]] bool lost_since(std::uint32_t from) const {
    // The newest may be under way.
    const std::uint32_t safe = count() > 50 ? count() - 50 : 0;
    for (std::uint32_t i = from; i < safe; ++i)
      if (!came_[i]) return true;
    return false;
  }
  [[nodiscard]] steady_clock::time_point first_lost(std::uint32_t from) const {
    for (std::uint32_t i = from; i < count(); ++i)
      if (!came_[i]) return sent_[i];
    throw std::runtime_error("nothing was lost");
  }
  [[nodiscard]] steady_clock::time_point last_lost(std::uint32_t to) const {
    for (std::uint32_t i = to; i-- > 0;)
      if (!came_[i]) return sent_[i];
    throw std::runtime_error("nothing was lost");
  }

 private:
  static constexpr std::uint32_t kMost = 4'000'000;
  agent::Fd receiver_, sender_;
  std::vector<steady_clock::time_point> sent_;
  std::vector<std::atomic<bool>> came_;
  std::atomic<std::uint32_t> count_{0};
  std::atomic<bool> stop_{false};
  std::thread receiving_, sending_;
};

double ms_between(steady_clock::time_point from, steady_clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

std::string experiment(int round, const std::string& pod) {
  return "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: reaction-" +
         std::to_string(round) + "}\nspec:\n  target: {selector: {pods: {test: [" + pod +
         "]}}}\n  faults: [{networkLoss: {loss: 100%, peerPorts: [" + std::to_string(kPort) +
         "]}}]\n  phases: {baseline: 0s, fault: 60s, recovery: 0s}\n";
}

std::string token_of(const std::string& file) {
  std::ifstream in(file);
  std::string token;
  in >> token;
  return token;
}

int run(const std::string& programs, int rounds) {
  TestNetwork net;
  const TestPod pod(net, "a");
  const TestFolder folder;
  const std::string pods = folder.path() + "/pods.yaml";
  std::ofstream(pods) << "pods:\n  - {namespace: test, name: " << pod.name()
                      << ", cgroup: " << pod.cgroup_path() << ", netns: " << pod.netns_path()
                      << "}\n";
  const Cluster cluster(programs, folder.path(), pods, pod.name());
  http::ClientOptions client;
  client.base_url = cluster.url();
  client.bearer_token = token_of(cluster.token_file());
  const auto post = [&](const std::string& target, const std::string& body) {
    auto answer = http::expect_ok(
        http::request_blocking(client, "POST", target, body, std::chrono::seconds(5)));
    if (!answer) throw std::runtime_error(target + ": " + answer.error().message);
  };
  const Stream stream(pod, net.host4());
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  std::vector<double> starts, stops;
  for (int round = 0; round < rounds; ++round) {
    const std::uint32_t from = stream.count();
    const auto asked = steady_clock::now();
    post("/api/v1/experiments", experiment(round, pod.name()));
    if (!wait_until([&] { return stream.lost_since(from); }, std::chrono::seconds(10)))
      throw std::runtime_error("the fault does not act");
    starts.push_back(ms_between(asked, stream.first_lost(from)));
    std::this_thread::sleep_for(std::chrono::milliseconds(200 + round * 7 % 100));
    const auto stopped = steady_clock::now();
    post("/api/v1/stop", "");
    // Until the run is over: the pod can only be in one.
    std::this_thread::sleep_for(std::chrono::milliseconds(1800));
    stops.push_back(ms_between(stopped, stream.last_lost(stream.count() - 50)));
  }
  std::cout << boost::json::serialize(boost::json::object{
                   {"bench", "reaction"},
                   {"rounds", rounds},
                   {"start_to_first_injected_s",
                    {{"p50", quantile(starts, 0.5) / 1e3}, {"p99", quantile(starts, 0.99) / 1e3}}},
                   {"stop_to_last_injected_s",
                    {{"p50", quantile(stops, 0.5) / 1e3}, {"p99", quantile(stops, 0.99) / 1e3}}}})
            << std::endl;
  return 0;
}

}  // namespace
}  // namespace faultline::test

int main(int argc, char** argv) {
  try {
    if (argc < 2) throw std::runtime_error("usage: reaction_bench PROGRAMS [rounds]");
    return faultline::test::run(argv[1], argc > 2 ? std::max(std::atoi(argv[2]), 1) : 30);
  } catch (const std::exception& e) {
    std::cerr << "reaction_bench: " << e.what() << "\n";
    return 1;
  }
}
