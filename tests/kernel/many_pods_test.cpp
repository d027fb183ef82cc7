// SPDX-License-Identifier: Apache-2.0
// Many target pods on one node, with the kernel's own faults and collectors: whoever runs the
// reconciler is never kept from its link for long.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <thread>

#include "agent/link/kernel_objects.h"
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
        "  faults: [{networkLatency: {latency: 20ms}}]\n  limits: {maxPods: 50, maxPercent: 100}\n",
        "test");
    if (!parsed) throw std::runtime_error(parsed.error().message);
    api::DesiredRun run;
    run.run = "many-1";
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
  Took begin(RunPhase phase) {
    Took took;
    const auto call = [&](const auto& body) {
      const auto start = clock_.steady();
      body();
      const double ms = std::chrono::duration<double, std::milli>(clock_.steady() - start).count();
      took.all += ms;
      took.longest = std::max(took.longest, ms);
      ++took.calls;
    };
    call([&] { reconciler_.answer({desired(phase)}, {clock_.steady(), clock_.steady()}); });
    while (reconciler_.busy()) call([&] { reconciler_.tick(); });
    for (api::RunBatch& batch : reconciler_.drain())
      for (auto& event : batch.events) told_.push_back(event.kind);
    return took;
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
};

TEST_F(ManyPods, TheLinkIsServedBetweenPodsThatAreBegun) {
  const int many = emulated() ? 5 : 12;
  make_pods(many);
  const Took measured = begin(RunPhase::baseline);
  const Took armed = begin(RunPhase::fault);
  for (const auto& [what, took] : {std::pair{"measuring", measured}, {"arming", armed}})
    std::cout << what << " " << many << " pods took " << took.all << " ms in " << took.calls
              << " calls, the longest " << took.longest << " ms\n";
  EXPECT_THAT(told_, testing::ElementsAre(api::RunEventKind::measuring, api::RunEventKind::armed));
  EXPECT_EQ(reconciler_.shown().armed, static_cast<std::size_t>(many));
  // One call begins a pod, or what fits into a step. The first loads what all pods share.
  EXPECT_LT(measured.longest, std::max(0.75 * measured.all, 1000.0));
  reconciler_.answer({}, {clock_.steady(), clock_.steady()});
  for (int i = 0; i < 100 && reconciler_.active(); ++i) {
    std::this_thread::sleep_for(50ms);
    reconciler_.tick();
  }
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

}  // namespace
}  // namespace faultline::test
