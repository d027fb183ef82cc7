// SPDX-License-Identifier: Apache-2.0
// Synthetic runs: made up by a seeded generator, never measured. For tests of the report only.
#pragma once

#include <cmath>
#include <functional>
#include <random>

#include "api/run_record.h"

namespace faultline::report::synthetic {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline UtcTime start() {
  return UtcTime{std::chrono::sys_days{std::chrono::year{2026} / 11 / 23} + std::chrono::hours(10) +
                 std::chrono::minutes(15)};
}
inline api::Timestamp at(double s) {
  return {start() + std::chrono::nanoseconds(static_cast<std::int64_t>(std::llround(s * 1e9)))};
}

inline api::PodRef pod(const std::string& name, const std::string& node = "node-1") {
  return {"shop", name, node, {{"app", name.substr(0, name.find('-'))}}};
}

// The same numbers on every standard library, unlike std::normal_distribution.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  double uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  double normal() {
    return std::sqrt(-2 * std::log(1 - uniform())) * std::cos(2 * 3.141592653589793 * uniform());
  }
  // Around `median`, with a long tail to the right.
  double lognormal(double median, double sigma) { return median * std::exp(sigma * normal()); }
  bool chance(double p) { return uniform() < p; }

 private:
  std::mt19937_64 random_;
};

struct PhasePlan {
  api::RunPhase phase;
  double from, to;  // seconds since the start
};
inline std::vector<PhasePlan> usual_phases() {
  return {{api::RunPhase::baseline, 0.2, 10.2},
          {api::RunPhase::fault, 10.21, 40.21},
          {api::RunPhase::recovery, 40.22, 50.22}};
}

// Windows of 1 s, cut at the end of a phase; `fill` adds the samples of one.
using Fill = std::function<void(api::EffectWindow&, double from, double to)>;
inline void add_windows(api::NodeRecord& node, const api::PodRef& ref, api::PodRole role,
                        const std::vector<PhasePlan>& phases, const Fill& fill) {
  for (const PhasePlan& phase : phases)
    for (double from = phase.from; from < phase.to - 1e-6; from += 1) {
      const double to = std::min(from + 1, phase.to);
      api::EffectWindow window{ref, role, phase.phase, at(from), at(to), {}};
      fill(window, from, to);
      node.windows.push_back(std::move(window));
    }
}

inline void add_history(api::RunRecord& record, const std::vector<PhasePlan>& phases) {
  record.history.push_back({api::RunState::Pending, at(0), ""});
  for (const PhasePlan& phase : phases)
    record.history.push_back({phase.phase == api::RunPhase::baseline ? api::RunState::Baseline
                              : phase.phase == api::RunPhase::fault  ? api::RunState::Injecting
                                                                     : api::RunState::Recovering,
                              at(phase.from), ""});
  record.history.push_back({api::RunState::Completed, at(phases.back().to + 0.1), ""});
}

inline api::NodeRecord node(const std::string& name = "node-1") {
  api::NodeRecord out{.node = name, .clockOffset = 0.00012, .clockUncertainty = 0.00021};
  out.info = {
      .name = name, .kernel = "6.18.5", .arch = "x86_64", .agentVersion = "0.1.0", .cpus = 2};
  out.closed = true;
  out.events.push_back({api::RunEventKind::closed, at(50.3), "", "", {}});
  return out;
}

inline api::EffectSample histogram(std::string metric, std::map<std::string, std::string> labels,
                                   api::Histogram h) {
  return {.metric = std::move(metric), .labels = std::move(labels), .histogram = std::move(h)};
}
inline api::EffectSample counter(std::string metric, double value,
                                 std::map<std::string, std::string> labels = {}) {
  return {.metric = std::move(metric), .labels = std::move(labels), .value = value};
}
inline api::EffectSample fraction(std::string metric, double numerator, double denominator,
                                  std::map<std::string, std::string> labels = {}) {
  return {.metric = std::move(metric),
          .labels = std::move(labels),
          .numerator = numerator,
          .denominator = denominator};
}

inline api::RunRecord empty_record(const std::string& name, const std::string& purpose) {
  api::RunRecord record;
  record.run = name + "-20261123T101500Z";
  record.experiment.apiVersion = "faultline.dev/v1alpha1";
  record.experiment.kind = "Experiment";
  record.experiment.metadata.name = name;
  record.experiment.spec.purpose = purpose;
  record.experiment.spec.seed = 42;
  record.requestedBy = "person";
  record.state = api::RunState::Completed;
  record.matching = 1;
  record.experiment.spec.target.mode = api::Mode::all;
  record.experiment.spec.target.selector.namespaces = {"shop"};
  record.experiment.spec.target.selector.labelSelectors = {{"app", "payments"}};
  return record;
}

// What a service with `rps` requests a second shows in a window.
struct Service {
  double median = 0.002, sigma = 0.25, rps = 400, errors = 0;
};
inline void add_service(Dice& dice, api::EffectWindow& window, double length, const Service& s,
                        const std::string& side, const std::string& port) {
  const std::map<std::string, std::string> labels{{"port", port}, {"side", side}};
  api::Histogram latency;
  const int n = static_cast<int>(s.rps * length * (1 + 0.03 * dice.normal()));
  for (int i = 0; i < n; ++i) latency.add(dice.lognormal(s.median, s.sigma));
  double failed = 0;
  for (int i = 0; i < n; ++i) failed += dice.chance(s.errors) ? 1 : 0;
  window.samples.push_back(histogram("request.latency", labels, std::move(latency)));
  window.samples.push_back(counter("request.rate", n, labels));
  window.samples.push_back(fraction("request.errors", failed, n, labels));
  window.samples.push_back(counter("net.packets", n * 2.0, {{"direction", "to"}}));
  window.samples.push_back(counter("net.bytes", n * 1400.0, {{"direction", "to"}}));
  window.samples.push_back({.metric = "cpu.usage", .value = 0.1 + 0.0005 * n});
}

// 50 ms +- 5 ms on what payments-0 sends; checkout-0 calls it; catalog-0 is a neighbour. Everything
// as it should be: the fault confirmed, the effect clear, the neighbour still, one small gap.
inline api::RunRecord slow_payments(std::uint64_t seed = 1) {
  api::RunRecord record =
      empty_record("slow-payments", "Checkout stays under 1 s when payments is 50 ms slower");
  api::NetworkLatency fault;
  fault.latency = {milliseconds(50)};
  fault.jitter = {milliseconds(5)};
  fault.ports = {8080};
  record.experiment.spec.faults = {{fault}};
  api::ExpectEffect expect{.metric = "request.latency", .quantile = 0.99, .below = "1s"};
  expect.selector.labelSelectors = {{"app", "checkout"}};
  record.experiment.spec.expect.effects = {expect};
  api::Selector observe;
  observe.namespaces = {"shop"};
  observe.labelSelectors = {{"app", "checkout"}};
  record.experiment.spec.observe = {observe};
  const std::vector<PhasePlan> phases = usual_phases();
  add_history(record, phases);
  record.pods = {{pod("payments-0"), api::PodRole::target},
                 {pod("checkout-0"), api::PodRole::observed},
                 {pod("catalog-0"), api::PodRole::control}};
  api::NodeRecord n = node();
  Dice dice(seed);
  const auto slow = [](const api::EffectWindow& w) { return w.phase == api::RunPhase::fault; };
  add_windows(n, pod("payments-0"), api::PodRole::target, phases,
              [&](api::EffectWindow& w, double from, double to) {
                add_service(dice, w, to - from,
                            slow(w) ? Service{.median = 0.0504, .sigma = 0.06, .rps = 150}
                                    : Service{.median = 0.0004, .rps = 420},
                            "server", "8080");
                w.samples.push_back(counter("tcp.retransmits", 0));
              });
  add_windows(n, pod("checkout-0"), api::PodRole::observed, phases,
              [&](api::EffectWindow& w, double from, double to) {
                const Service server = slow(w)
                                           ? Service{.median = 0.0523, .sigma = 0.07, .rps = 150}
                                           : Service{.median = 0.0021, .rps = 420};
                add_service(dice, w, to - from, server, "server", "80");
                Service client = server;
                client.median -= 0.001;
                api::Histogram seen, rtt;
                for (int i = 0; i < static_cast<int>(client.rps); ++i) {
                  seen.add(dice.lognormal(client.median, client.sigma));
                  if (i % 20 == 0) rtt.add(dice.lognormal(slow(w) ? 0.0502 : 0.00009, 0.1));
                }
                w.samples.push_back(
                    histogram("request.latency", {{"port", "8080"}, {"side", "client"}}, seen));
                w.samples.push_back(histogram("tcp.rtt", {}, rtt));
                w.samples.push_back(counter("connect.attempts", 2));
              });
  add_windows(n, pod("catalog-0"), api::PodRole::control, phases,
              [&](api::EffectWindow& w, double from, double to) {
                add_service(dice, w, to - from, {.median = 0.0031, .rps = 90}, "server", "8090");
              });
  api::InjectionStatus status{.pod = pod("payments-0"),
                              .fault = "networkLatency",
                              .mechanism = "delay-line",
                              .state = api::InjectionState::disarmed,
                              .matched = 9021,
                              .injected = 9021,
                              .armedAt = at(10.205),
                              .disarmedAt = at(40.22),
                              .firstInjectedAt = at(10.2061),
                              .lastInjectedAt = at(40.2187)};
  for (int i = 0; i < 9021; ++i)
    status.addedLatency.add(0.045 + 0.01 * dice.uniform() + 0.00015 * std::abs(dice.normal()));
  n.injections.push_back(std::move(status));
  n.gaps.push_back({"", "shop/catalog-0", "cpu.usage", at(22.21), at(23.21),
                    "cpu.stat could not be read: no such file"});
  record.nodes.push_back(std::move(n));
  return record;
}

// Half of checkout-0's connects fail with ECONNREFUSED; requests fail with them, more than
// expected.
inline api::RunRecord refused_connects(std::uint64_t seed = 2) {
  api::RunRecord record =
      empty_record("refused-connects", "Checkout hides failing connects from its callers");
  api::SocketError fault;
  fault.operations = {api::SocketOperation::connect};
  fault.errno_ = {ECONNREFUSED};
  fault.probability = {0.5};
  record.experiment.spec.target.selector.labelSelectors = {{"app", "checkout"}};
  record.experiment.spec.faults = {{fault}};
  api::ExpectEffect expect{.metric = "request.errors", .below = "5%"};
  expect.selector.labelSelectors = {{"app", "checkout"}};
  record.experiment.spec.expect.effects = {expect};
  const std::vector<PhasePlan> phases = usual_phases();
  add_history(record, phases);
  record.pods = {{pod("checkout-0"), api::PodRole::target},
                 {pod("catalog-0"), api::PodRole::control}};
  api::NodeRecord n = node();
  Dice dice(seed);
  double failures = 0, attempts = 0;
  add_windows(
      n, pod("checkout-0"), api::PodRole::target, phases,
      [&](api::EffectWindow& w, double from, double to) {
        const bool bad = w.phase == api::RunPhase::fault;
        add_service(dice, w, to - from, {.median = 0.0021, .rps = 200, .errors = bad ? 0.25 : 0},
                    "server", "80");
        const double tried = std::floor(40 * (to - from) + dice.normal());
        double failed = 0;
        for (int i = 0; bad && i < static_cast<int>(tried); ++i) failed += dice.chance(0.5) ? 1 : 0;
        w.samples.push_back(counter("connect.attempts", tried));
        if (failed > 0)
          w.samples.push_back(counter("connect.failures", failed, {{"errno", "ECONNREFUSED"}}));
        w.samples.push_back(fraction("connect.errors", failed, tried));
        if (bad) attempts += tried;
        failures += failed;
      });
  add_windows(n, pod("catalog-0"), api::PodRole::control, phases,
              [&](api::EffectWindow& w, double from, double to) {
                add_service(dice, w, to - from, {.median = 0.0031, .rps = 90}, "server", "8090");
              });
  n.injections.push_back({.pod = pod("checkout-0"),
                          .fault = "socketError",
                          .mechanism = "cgroup/connect4, cgroup/connect6",
                          .state = api::InjectionState::disarmed,
                          .matched = static_cast<std::uint64_t>(attempts),
                          .injected = static_cast<std::uint64_t>(failures),
                          .byErrno = {{"ECONNREFUSED", static_cast<std::uint64_t>(failures)}},
                          .armedAt = at(10.205),
                          .disarmedAt = at(40.22),
                          .firstInjectedAt = at(10.24),
                          .lastInjectedAt = at(40.19)});
  record.nodes.push_back(std::move(n));
  return record;
}

}  // namespace faultline::report::synthetic
