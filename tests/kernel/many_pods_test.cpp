// SPDX-License-Identifier: Apache-2.0
// Many target pods on one node, with the kernel's own faults and collectors: whoever runs the
// reconciler is never kept from its link for long, and no run is blamed for what others hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <thread>

#include "agent/link/kernel_objects.h"
#include "agent/link/observer.h"
#include "agent/link/reconciler.h"
#include "api/codec.h"
#include "testbed/emulated.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using api::RunPhase;

namespace {

class ManyPods : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS_TC(); }
  void make_pods(int many) {
    for (int i = 0; i < many; ++i) {
      made_.push_back(std::make_unique<TestPod>(net_, "p" + std::to_string(i)));
      pods_.push_back(made_.back()->pod());
      pods_.back().ref.labels["app"] = "many";
    }
    reconciler_.pods(pods_);
  }
  api::DesiredRun desired(RunPhase phase) const {
    auto parsed = api::parse_experiment(
        "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: many}\nspec:\n"
        "  target: {selector: {labelSelectors: {app: many}}, mode: all}\n"
        "  faults: " +
            faults_ + "\n  limits: {maxPods: 50, maxPercent: 100}\n",
        "test");
    if (!parsed) throw std::runtime_error(parsed.error().message);
    api::DesiredRun run;
    run.run = run_;
    run.experiment = *parsed;
    run.phase = phase;
    for (const agent::Pod& pod : pods_) run.pods.push_back({pod.ref, api::PodRole::target});
    run.matching = run.targets = static_cast<std::int64_t>(pods_.size());
    run.leaseSeconds = 30;
    return run;
  }
  struct Took {
    double all = 0, longest = 0;  // ms
    int calls = 0;
  };
  // The phase begins, and is made true by as many calls as the agent's loop would make.
  Took begin(RunPhase phase) { return make_true({desired(phase)}); }
  Took make_true(const std::vector<api::DesiredRun>& runs) {
    Took took;
    const auto call = [&](const auto& body) {
      const auto start = clock_.steady();
      body();
      const double ms = std::chrono::duration<double, std::milli>(clock_.steady() - start).count();
      took.all += ms;
      took.longest = std::max(took.longest, ms);
      ++took.calls;
    };
    call([&] { reconciler_.answer(runs, {clock_.steady(), clock_.steady()}); });
    while (reconciler_.busy()) call([&] { reconciler_.tick(); });
    collect();
    return took;
  }
  // The objects of this process that are described by words which begin so.
  [[nodiscard]] std::vector<std::string> held(const std::string& begin) const {
    std::vector<std::string> found;
    for (const agent::ObjectKey& key : kernel_.held_here())
      if (std::string words = kernel_.describe(key).value_or(""); words.starts_with(begin))
        found.push_back(std::move(words));
    return found;
  }
  // Of syscallError on bind, connect and setsockopt, by their own functions or by security hooks.
  [[nodiscard]] std::size_t programs_on_calls() const {
    std::size_t count = 0;
    for (const char* name : {"fl_call,", "fl_socket_bind,", "fl_socket_conne", "fl_socket_setso"})
      count += held(std::string("BPF program ") + name).size();
    return count;
  }
  void collect() {
    for (api::RunBatch& batch : reconciler_.drain())
      for (auto& event : batch.events) {
        told_.push_back(event.kind);
        blamed_.insert(blamed_.end(), event.residue.begin(), event.residue.end());
      }
  }
  void wait_until_over() {
    for (int i = 0; i < 100 && reconciler_.active(); ++i) {
      std::this_thread::sleep_for(50ms);
      reconciler_.tick();
    }
    collect();
    EXPECT_FALSE(reconciler_.active());
    EXPECT_EQ(told_.back(), api::RunEventKind::closed);
    EXPECT_THAT(blamed_, testing::IsEmpty());
  }

  ResidueCheck residue_;
  TestNetwork net_;
  SystemClock clock_;
  agent::LiveKernelObjects kernel_;
  agent::Reconciler reconciler_{{clock_, features(),
                                 [](std::string_view name) { return agent::find_fault(name); },
                                 agent::collector_registry(), kernel_}};
  std::vector<std::unique_ptr<TestPod>> made_;
  std::vector<agent::Pod> pods_;
  std::vector<api::RunEventKind> told_;
  std::vector<std::string> blamed_;
  std::string run_ = "many-1";
  std::string faults_ = "[{networkLatency: {latency: 20ms}}]";
};

void print(const std::string& what, int many, const auto& took) {
  std::cout << what << " " << many << " pods took " << took.all << " ms in " << took.calls
            << " calls, the longest " << took.longest << " ms\n";
}

TEST_F(ManyPods, TheLinkIsServedBetweenPodsThatAreBegun) {
  const int many = emulated() ? 5 : 12;
  make_pods(many);
  const Took measured = begin(RunPhase::baseline);
  const auto first = held("BPF link of program fl_flow_out_fr");
  EXPECT_EQ(first.empty(), !missing(agent::KernelFeature::kTcx).empty());
  const Took armed = begin(RunPhase::fault);
  EXPECT_EQ(held("BPF link of program fl_flow_out_fr"), first) << "faults go behind them";
  EXPECT_THAT(told_, testing::ElementsAre(api::RunEventKind::measuring, api::RunEventKind::armed));
  EXPECT_EQ(reconciler_.shown().armed, static_cast<std::size_t>(many));
  // One call begins a pod, or what fits into a step. The first loads what all pods share.
  EXPECT_LT(measured.longest, std::max(0.75 * measured.all, 1000.0));
  const Took disarmed = begin(RunPhase::recovery);
  const Took ended = make_true({});
  print("measuring", many, measured);
  print("arming", many, armed);
  print("disarming", many, disarmed);
  print("ending", many, ended);
  EXPECT_LT(disarmed.longest, std::max(0.75 * disarmed.all, 1000.0));
  EXPECT_LT(ended.longest, std::max(0.75 * ended.all, 1000.0));
  wait_until_over();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

// Each of them has devices and programs of its own for networkLatency. What acts on a system call
// is there once, however many pods have it, where the kernel can do that; else each has cgroup
// hooks.
TEST_F(ManyPods, WithFaultsOnCallsHaveOneProgramACall) {
  const bool on_calls = missing(agent::KernelFeature::kReadKernel).empty() &&
                        missing(agent::KernelFeature::kTrampoline).empty();
  const int many = emulated() ? 5 : 20;
  faults_ =
      "[{networkLatency: {latency: 20ms}},"
      " {syscallError: {syscalls: [bind, connect, setsockopt], errno: EIO}}]";
  make_pods(many);
  const Took measured = begin(RunPhase::baseline);
  const Took armed = begin(RunPhase::fault);
  EXPECT_EQ(reconciler_.shown().armed, static_cast<std::size_t>(2 * many));
  EXPECT_EQ(programs_on_calls(), on_calls ? 3U : 0U);
  const Took disarmed = begin(RunPhase::recovery);
  EXPECT_EQ(programs_on_calls(), 0U);
  print("measuring", many, measured);
  print("arming two faults on", many, armed);
  print("disarming two faults on", many, disarmed);
  make_true({});
  wait_until_over();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

// They share the programs of packet_flow, and the table of packets on their second way, whoever
// came first.
TEST_F(ManyPods, ARunThatEndsIsNotBlamedForWhatTheObserverHolds) {
  make_pods(2);
  api::Selector all;
  all.labelSelectors = {{"app", "many"}};
  for (const bool observer_first : {true, false}) {
    run_ = observer_first ? "first-1" : "second-1";  // no run begins again
    agent::Observer observer(clock_, features(), agent::collector_registry(), reconciler_.ledger(),
                             all);
    const auto observe = [&] {
      observer.pods(pods_);
      while (observer.busy()) observer.go_on();
    };
    if (observer_first) observe();
    begin(RunPhase::baseline);
    if (!observer_first) observe();
    make_true({});
    wait_until_over();
    EXPECT_EQ(observer.size(), pods_.size());
  }
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(ManyPods, ARunThatEndsIsNotBlamedForWhatAnotherHolds) {
  make_pods(1);
  const api::DesiredRun first = desired(RunPhase::baseline);
  run_ = "many-2";
  const api::DesiredRun second = desired(RunPhase::baseline);
  make_true({first});
  make_true({first, second});
  make_true({second});
  for (int i = 0; i < 100 && reconciler_.size() > 1; ++i) {
    std::this_thread::sleep_for(50ms);
    reconciler_.tick();
  }
  EXPECT_EQ(reconciler_.size(), 1U);
  make_true({});
  wait_until_over();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

}  // namespace
}  // namespace faultline::test
