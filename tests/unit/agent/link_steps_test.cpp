// SPDX-License-Identifier: Apache-2.0
// Many pods of one node are begun some at a time, so that the link is served in between; what a run
// tells is told of all of them.
#include <gmock/gmock.h>

#include "agent/link/observer.h"
#include "link_doubles.h"

namespace faultline::agent::test {
namespace {

using api::RunPhase;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr int kPods = 6;

// Six targets. To measure or arm one takes `each`.
class ManyPods : public testing::Test {
 protected:
  ManyPods() {
    node_.pods.clear();
    for (int i = 0; i < kPods; ++i)
      node_.pods.push_back(pod("p" + std::to_string(i), static_cast<std::uint64_t>(i) + 1));
    node_.world.measuring = node_.world.arming = [this] {
      ++begun_;
      node_.clock.move(each_);
    };
    node_.give();
  }
  api::DesiredRun run(RunPhase phase, std::chrono::nanoseconds baseline = 10s) const {
    auto run = Node::run(phase, experiment("[{networkLatency: {latency: 20ms}}]",
                                           "  limits: {maxPods: 10, maxPercent: 100}\n"));
    run.experiment.spec.phases.baseline = {baseline};
    run.pods.clear();
    for (const Pod& one : node_.pods) run.pods.push_back({one.ref, api::PodRole::target});
    run.matching = run.targets = kPods;
    return run;
  }
  // How many were begun by this one call.
  int answered(const api::DesiredRun& run) {
    const int before = begun_;
    node_.answer({run});
    return begun_ - before;
  }
  int ticked() {
    const int before = begun_;
    node_.reconciler->tick();
    node_.collect();
    return begun_ - before;
  }
  void finish() {
    for (int i = 0; i < 2 * kPods && node_.reconciler->busy(); ++i) ticked();
    ASSERT_FALSE(node_.reconciler->busy());
  }

  Node node_;
  std::chrono::nanoseconds each_ = 200ms;
  int begun_ = 0;
};

TEST_F(ManyPods, AreMeasuredOneAtATimeWhereThatTakesLongAndMeasuringIsToldOfAll) {
  EXPECT_EQ(answered(run(RunPhase::baseline)), 1);
  EXPECT_TRUE(node_.reconciler->busy());
  EXPECT_EQ(ticked(), 1);
  EXPECT_THAT(node_.events(), IsEmpty());
  finish();
  EXPECT_EQ(begun_, kPods);
  EXPECT_THAT(node_.events(), ElementsAre("measuring"));
  EXPECT_EQ(node_.told.events[0].text, "6 pods");
}

TEST_F(ManyPods, AreMeasuredAtOnceWhereThatTakesNoTime) {
  each_ = 1ms;
  EXPECT_EQ(answered(run(RunPhase::baseline)), kPods);
  EXPECT_FALSE(node_.reconciler->busy());
  EXPECT_THAT(node_.events(), ElementsAre("measuring"));
}

TEST_F(ManyPods, AreArmedOneAtATimeAndTheFaultsBeginTogether) {
  answered(run(RunPhase::baseline));
  finish();
  EXPECT_EQ(answered(run(RunPhase::fault)), 1);
  EXPECT_EQ(ticked(), 1);
  for (const World::Armed* fault : node_.world.alive())
    EXPECT_LE(fault->deadline.ns, 1U) << "armed, and it does not act yet";
  EXPECT_THAT(node_.events(), ElementsAre("measuring"));
  finish();
  EXPECT_THAT(node_.world.alive(), SizeIs(kPods));
  for (const World::Armed* fault : node_.world.alive()) EXPECT_GT(fault->deadline.ns, 1U);
  EXPECT_THAT(node_.events(), ElementsAre("measuring", "armed"));
  EXPECT_EQ(node_.told.events[1].text, "6 faults armed");
  // Windows of the time in which they were armed are of the baseline.
  for (const auto& window : node_.told.windows) EXPECT_EQ(window.phase, RunPhase::baseline);
}

TEST_F(ManyPods, WithoutABaselineAllAreArmedBeforeAnyIsMeasured) {
  EXPECT_EQ(answered(run(RunPhase::fault, 0s)), 1);
  finish();
  EXPECT_EQ(begun_, 2 * kPods);
  EXPECT_THAT(node_.events(), ElementsAre("armed", "measuring"));
  EXPECT_LT(node_.world.index("arm shop/p5 networkLatency"), node_.world.index("measure shop/p0"));
}

TEST_F(ManyPods, WhoIsStoppedInBetweenHasNothingArmed) {
  answered(run(RunPhase::baseline));
  finish();
  answered(run(RunPhase::fault));
  ticked();
  EXPECT_THAT(node_.world.alive(), SizeIs(2));
  answered(run(RunPhase::recovery));
  EXPECT_THAT(node_.world.alive(), IsEmpty());
  EXPECT_FALSE(node_.reconciler->busy());
  EXPECT_EQ(ticked(), 0);
  EXPECT_THAT(node_.events(), ElementsAre("measuring", "disarmed"));
}

TEST_F(ManyPods, ARunThatIsTakenDownInBetweenBeginsNoMore) {
  answered(run(RunPhase::baseline));
  node_.answer({});
  EXPECT_FALSE(node_.reconciler->busy());
  const int before = begun_;
  node_.pass(2s);
  EXPECT_EQ(begun_, before);
  EXPECT_THAT(node_.events(), ElementsAre("closed"));
}

TEST_F(ManyPods, OfThoseThatAreObservedSomeAreBegunAtATime) {
  ResidueLedger ledger(node_.kernel);
  api::Selector selector;
  selector.labelSelectors = {{"app", "payments"}};
  Observer observer(node_.clock, node_.features, node_.collectors, ledger, selector);
  observer.pods(node_.pods);
  EXPECT_EQ(begun_, 1);
  EXPECT_TRUE(observer.busy());
  // A look at the pods meanwhile begins nothing twice.
  observer.pods(node_.pods);
  while (observer.busy()) observer.go_on();
  EXPECT_EQ(begun_, kPods);
  EXPECT_EQ(observer.size(), static_cast<std::size_t>(kPods));
}

}  // namespace
}  // namespace faultline::agent::test
