// SPDX-License-Identifier: Apache-2.0
#include "testbed/latency_probe.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "testbed/shell.h"

namespace faultline::testbed {
namespace {

struct Datagram {
  std::uint32_t number, flow;
  std::int64_t sent_ns;
};

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

double Samples::median() const {
  if (ms.empty()) return NAN;
  auto sorted = ms;
  std::ranges::sort(sorted);
  return sorted[sorted.size() / 2];
}
double Samples::mean() const {
  return std::accumulate(ms.begin(), ms.end(), 0.0) / static_cast<double>(ms.size());
}
double Samples::deviation() const {
  const double m = mean();
  double sum = 0;
  for (const double x : ms) sum += (x - m) * (x - m);
  return std::sqrt(sum / static_cast<double>(ms.size()));
}
double Samples::max() const { return ms.empty() ? NAN : *std::ranges::max_element(ms); }

Samples ping(const std::string& address, int count) {
  const auto result =
      command({"ping", "-n", "-c", std::to_string(count), "-i", "0.01", "-W", "5", address});
  Samples samples;
  const std::string key = "time=";
  for (std::size_t at = 0; (at = result.output.find(key, at)) != std::string::npos;) {
    at += key.size();
    samples.ms.push_back(std::stod(result.output.substr(at)));
  }
  if (samples.ms.size() != static_cast<std::size_t>(count))
    throw std::runtime_error("ping missed answers: " + result.output);
  return samples;
}

Samples one_way(const std::vector<agent::Fd>& flows, const agent::Fd& receiver, int count,
                std::chrono::microseconds gap, std::chrono::milliseconds patience,
                const std::function<void()>& during) {
  Samples samples;
  std::atomic<bool> sent = false;
  std::thread reader([&] {
    ::prctl(PR_SET_TIMERSLACK, 1UL);
    std::vector<std::int64_t> newest(flows.size(), -1);
    std::int64_t newest_of_all = -1;
    while (samples.ms.size() < static_cast<std::size_t>(count)) {
      pollfd p{receiver.get(), POLLIN, 0};
      const bool was_sent = sent;
      if (::poll(&p, 1, was_sent ? static_cast<int>(patience.count()) : 20) == 0) {
        if (was_sent) return;
        continue;
      }
      Datagram d{};
      if (::recv(receiver.get(), &d, sizeof d, MSG_DONTWAIT) != sizeof d) continue;
      samples.ms.push_back(static_cast<double>(now_ns() - d.sent_ns) / 1e6);
      if (d.flow >= newest.size()) continue;
      if (d.number < newest[d.flow])
        ++samples.reordered_within_flow;
      else if (d.number < newest_of_all)
        ++samples.reordered_between_flows;
      newest[d.flow] = std::max<std::int64_t>(newest[d.flow], d.number);
      newest_of_all = std::max<std::int64_t>(newest_of_all, d.number);
    }
  });
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) {
    std::this_thread::sleep_until(start + i * gap);
    const auto flow = static_cast<std::uint32_t>(i) % static_cast<std::uint32_t>(flows.size());
    const Datagram d{static_cast<std::uint32_t>(i), flow, now_ns()};
    if (::send(flows[flow].get(), &d, sizeof d, 0) != sizeof d) ++samples.lost;
    if (during && i == count / 2) during();
  }
  sent = true;
  reader.join();
  samples.lost = count - static_cast<int>(samples.ms.size());
  return samples;
}

Samples one_way(agent::Fd sender, const agent::Fd& receiver, int count,
                std::chrono::microseconds gap) {
  std::vector<agent::Fd> flows;
  flows.push_back(std::move(sender));
  return one_way(flows, receiver, count, gap);
}

}  // namespace faultline::testbed
