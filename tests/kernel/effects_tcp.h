// SPDX-License-Identifier: Apache-2.0
// One window of tcp_socket, and the pods and faults of its tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "agent/effects/tcp_socket.h"
#include "testbed/arm.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

struct Taken {
  std::vector<api::EffectSample> samples;
  std::vector<api::Gap> gaps;

  [[nodiscard]] double counter(const std::string& metric) const {
    double sum = 0;
    for (const auto& s : samples)
      if (s.metric == metric) sum += s.value;
    return sum;
  }
  [[nodiscard]] api::Histogram histogram(const std::string& metric) const {
    for (const auto& s : samples)
      if (s.metric == metric) return *s.histogram;
    return {};
  }
  [[nodiscard]] std::map<std::string, double> failures() const {
    std::map<std::string, double> by_errno;
    for (const auto& s : samples)
      if (s.metric == "connect.failures") by_errno[s.labels.at("errno")] = s.value;
    return by_errno;
  }
  // How many round trips or old connections a window had whose time was not the path's, when it had
  // no others.
  [[nodiscard]] std::uint64_t late() const {
    std::uint64_t sum = 0;
    for (const api::Gap& gap : gaps) sum += gap.missed.value_or(0);
    return sum;
  }
  // {failed, ended}
  [[nodiscard]] std::pair<double, double> errors() const {
    for (const auto& s : samples)
      if (s.metric == "connect.errors") return {s.numerator, s.denominator};
    return {0, 0};
  }
};

using Failures = std::map<std::string, double>;
using Fraction = std::pair<double, double>;

inline Taken take(agent::TcpSocketCollector& collector) {
  Taken t;
  collector.take(t.samples, t.gaps);
  for (const api::Gap& gap : t.gaps)
    if (!gap.missed) ADD_FAILURE() << gap.metric << ": " << gap.reason;
  return t;
}

inline api::SocketError connect_error(int number) {
  api::SocketError fault;
  fault.operations = {api::SocketOperation::connect};
  fault.errno_ = {number};
  fault.probability = {1};
  return fault;
}

inline api::NetworkLoss loss(double p) {
  api::NetworkLoss fault;
  fault.loss = {p};
  fault.direction = api::Direction::to;
  return fault;
}

inline api::NetworkLatency latency(std::chrono::milliseconds ms) {
  api::NetworkLatency fault;
  fault.latency.value = ms;
  fault.direction = api::Direction::to;
  return fault;
}

class EffectsTcp : public testing::Test {
 protected:
  // Measuring from now on, as the agent begins: the first reading belongs to no window.
  std::unique_ptr<agent::TcpSocketCollector> measure(const testbed::TestPod& pod) {
    auto started = agent::TcpSocketCollector::start(pod.pod(), {clock_, features_});
    if (!started) throw std::runtime_error(started.error().message);
    test::take(**started);
    return std::move(*started);
  }

  SystemClock clock_;
  agent::FeatureProbe features_;
  testbed::ResidueCheck residue_;
  testbed::TestNetwork net_;
  testbed::TestPod a_{net_, "a"}, b_{net_, "b"};
};

}  // namespace faultline::test
