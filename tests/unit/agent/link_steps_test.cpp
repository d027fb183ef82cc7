// SPDX-License-Identifier: Apache-2.0
// Many pods of one node are begun some at a time, and ended so, that the link is served in between;
// what a run tells is told of all of them.
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

// Six targets. To measure or arm one takes `each`, and so does it to end measuring one.
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
    node_.world.ended = [this](const void*) {
      ++ended_;
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
  // How many were ended by `call`.
  int ended_by(const std::function<void()>& call) {
    const int before = ended_;
    call();
    return ended_ - before;
  }
  // At most once, each of them.
  void expect_none_is_measured_twice() const {
    for (const Pod& one : node_.pods)
      EXPECT_LE(
          node_.world.count("measure " + one.ref.id()) - node_.world.count("end " + one.ref.id()),
          1);
  }
  // All are measured and armed; from now on to take one down takes `each_`, too, and is counted.
  void arm_all() {
    answered(run(RunPhase::baseline));
    finish();
    answered(run(RunPhase::fault));
    finish();
    node_.world.disarming = [this] {
      ++down_;
      node_.clock.move(each_);
    };
  }
  void finish() {
    for (int i = 0; i < 2 * kPods && node_.reconciler->busy(); ++i) ticked();
    ASSERT_FALSE(node_.reconciler->busy());
  }

  std::chrono::nanoseconds each_ = 200ms;
  int begun_ = 0, ended_ = 0, down_ = 0;
  Node node_;
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

TEST_F(ManyPods, AllFaultsEndAtOnceAndAreTakenDownOneAtATime) {
  arm_all();
  node_.told.injections.clear();
  answered(run(RunPhase::recovery));
  EXPECT_EQ(down_, 1);
  EXPECT_THAT(node_.world.alive(), SizeIs(kPods - 1));
  for (const World::Armed* fault : node_.world.alive())
    EXPECT_LE(fault->deadline.ns, 1U) << "it injects no more";
  EXPECT_TRUE(node_.reconciler->busy());
  EXPECT_EQ(node_.reconciler->shown().armed, 0U);
  EXPECT_THAT(node_.events(), ElementsAre("measuring", "armed"));
  // The first answer of the next phase is not the last: none of them makes a fault act again.
  answered(run(RunPhase::recovery));
  EXPECT_EQ(down_, 2);
  finish();
  EXPECT_EQ(down_, kPods);
  EXPECT_EQ(node_.world.late, 0);
  EXPECT_THAT(node_.events(), ElementsAre("measuring", "armed", "disarmed"));
  for (const api::InjectionStatus& status : node_.told.injections)
    EXPECT_EQ(status.armedSeconds, node_.told.injections.front().armedSeconds)
        << "what takes long is taking down, not the fault";
  EXPECT_EQ(node_.status().state, api::InjectionState::disarmed);
}

TEST_F(ManyPods, WhoseLeaseRanOutAreTakenDownOneAtATimeAndTheNextAnswerArmsNone) {
  arm_all();
  node_.clock.move(4s);
  ticked();
  EXPECT_EQ(down_, 1);
  answered(run(RunPhase::fault));
  EXPECT_EQ(down_, 2);
  finish();
  EXPECT_EQ(down_, kPods);
  EXPECT_THAT(node_.world.alive(), IsEmpty());
  EXPECT_EQ(begun_, 2 * kPods) << "none is armed again";
}

TEST_F(ManyPods, ThatAreNoTargetsAnyMoreAreTakenDownOneAtATimeAndTellTheirCounters) {
  arm_all();
  node_.told.injections.clear();
  each_ = 60ms;  // within the lease
  auto fewer = run(RunPhase::fault);
  fewer.pods.resize(2);
  fewer.targets = 2;
  answered(fewer);
  EXPECT_EQ(down_, 1);
  for (const World::Armed* fault : node_.world.alive())
    EXPECT_EQ(fault->deadline.ns > 1, fault->pod == "shop/p0" || fault->pod == "shop/p1")
        << fault->pod;
  finish();
  EXPECT_EQ(down_, kPods - 2);
  EXPECT_THAT(node_.world.alive(), SizeIs(2));
  EXPECT_EQ(std::ranges::count(node_.told.injections, api::InjectionState::disarmed,
                               &api::InjectionStatus::state),
            kPods - 2);
}

TEST_F(ManyPods, ARunThatIsTakenDownInBetweenBeginsNoMore) {
  answered(run(RunPhase::baseline));
  node_.answer({});
  EXPECT_FALSE(node_.reconciler->busy());
  const int before = begun_;
  node_.pass(2s);
  EXPECT_EQ(ended_, 1);
  EXPECT_EQ(begun_, before);
  EXPECT_THAT(node_.events(), ElementsAre("closed"));
}

// What stays for a second after the last of them is residue, whenever the first was ended.
TEST_F(ManyPods, AreEndedOneAtATimeWhenTheRunIsTakenDownAndTheResidueIsLookedForAfterTheLast) {
  const ObjectKey held{ObjectKind::program, 5};
  node_.kernel.here = {held};
  answered(run(RunPhase::baseline));
  finish();
  answered(run(RunPhase::fault));
  finish();
  node_.kernel.ours.insert(held);
  EXPECT_EQ(ended_by([&] { node_.answer({}); }), 1);
  EXPECT_THAT(node_.world.alive(), IsEmpty()) << "the faults do not wait";
  EXPECT_TRUE(node_.reconciler->busy());
  for (int i = 1; i < kPods; ++i) EXPECT_EQ(ended_by([&] { ticked(); }), 1);
  EXPECT_FALSE(node_.reconciler->busy());
  EXPECT_TRUE(node_.reconciler->active());
  EXPECT_THAT(node_.events(), ElementsAre("measuring", "armed", "disarmed"));
  node_.kernel.ours.clear();
  node_.kernel.here.clear();
  ticked();
  EXPECT_FALSE(node_.reconciler->active());
  EXPECT_THAT(node_.events(), ElementsAre("measuring", "armed", "disarmed", "closed"));
  EXPECT_THAT(node_.told.events.back().residue, IsEmpty());
}

TEST_F(ManyPods, WhoseMeasuringEndsKeepNoOtherRunFromItsLease) {
  each_ = 1ms;
  node_.pods.push_back(pod("z", 50));
  node_.give();
  auto many = run(RunPhase::baseline);
  many.pods.pop_back();
  auto other = run(RunPhase::fault);
  other.run = "other-1";
  other.pods = {other.pods.back()};
  node_.answer({many, other});
  finish();
  ASSERT_THAT(node_.world.alive(), SizeIs(1));
  each_ = 600ms;
  // Answers are taken between two ticks, each of what was sent after the one before it.
  for (AnswerTimes times = node_.now(); ended_ < kPods; times = node_.now()) {
    node_.reconciler->answer({other}, times);
    node_.reconciler->tick();
  }
  node_.collect();
  EXPECT_THAT(node_.world.alive(), SizeIs(1));
  EXPECT_THAT(node_.events(), testing::Not(testing::Contains("lease_expired")));
}

TEST_F(ManyPods, NoneIsMeasuredTwiceWhereMeasuringIsWantedAgainBeforeAllHaveEnded) {
  answered(run(RunPhase::baseline));
  finish();
  for (int i = 0; i < 1000 && ended_ == 0; ++i) node_.pass(50ms);
  ASSERT_EQ(ended_, 1) << "nobody has answered for long";
  EXPECT_TRUE(node_.reconciler->busy());
  answered(run(RunPhase::baseline));
  expect_none_is_measured_twice();
  while (node_.reconciler->busy()) {
    ticked();
    expect_none_is_measured_twice();
  }
  EXPECT_EQ(ended_, kPods);
  EXPECT_EQ(begun_, 2 * kPods);
}

TEST_F(ManyPods, ThatAreWantedNoMoreAreEndedOneAtATime) {
  answered(run(RunPhase::baseline));
  finish();
  auto fewer = run(RunPhase::baseline);
  fewer.pods.resize(2);
  EXPECT_EQ(ended_by([&] { answered(fewer); }), 1);
  EXPECT_TRUE(node_.reconciler->busy());
  EXPECT_EQ(ended_by([&] { finish(); }), kPods - 3);
  EXPECT_EQ(begun_, kPods);
}

TEST_F(ManyPods, AreAllEndedAtOnceWithTheAgent) {
  answered(run(RunPhase::baseline));
  finish();
  answered(run(RunPhase::fault));
  finish();
  node_.world.disarming = [this] { node_.clock.move(each_); };
  EXPECT_EQ(ended_by([&] { node_.reconciler->shutdown(); }), kPods);
  EXPECT_THAT(node_.world.alive(), IsEmpty());
  EXPECT_FALSE(node_.reconciler->active());
}

TEST_F(ManyPods, AreTakenDownOneAtATimeWithTheRunTheFaultsFirst) {
  arm_all();
  node_.answer({});
  EXPECT_EQ(down_, 1);
  EXPECT_EQ(ended_, 0);
  EXPECT_THAT(node_.events(), ElementsAre("measuring", "armed"));
  for (int i = 1; i < kPods; ++i) {
    EXPECT_EQ(ended_by([&] { ticked(); }), 0);
    EXPECT_EQ(down_, i + 1);
  }
  EXPECT_THAT(node_.events(), ElementsAre("measuring", "armed", "disarmed"));
  EXPECT_EQ(ended_by([&] { finish(); }), kPods);
  node_.pass(2s);
  EXPECT_FALSE(node_.reconciler->active());
  EXPECT_EQ(node_.events().back(), "closed");
}

TEST_F(ManyPods, OfARunThatIsAloneAreLookedAtForWhatTheyMadeWhenAllHaveBegun) {
  answered(run(RunPhase::baseline));
  EXPECT_EQ(node_.kernel.looks, 0);
  finish();
  EXPECT_EQ(node_.kernel.looks, 1);
  answered(run(RunPhase::fault));
  finish();
  EXPECT_EQ(node_.kernel.looks, 2);
}

TEST_F(ManyPods, OfWhichSomeHaveBegunMadeWhatNoRunIsBlamedForThatBeginsMeanwhile) {
  const ObjectKey held{ObjectKind::program, 5};
  node_.pods.push_back(pod("z", 50));
  node_.give();
  auto many = run(RunPhase::baseline);
  many.pods.pop_back();
  auto other = run(RunPhase::baseline);
  other.run = "other-1";
  other.pods = {other.pods.back()};
  node_.kernel.here = {held};
  node_.answer({many});
  ASSERT_TRUE(node_.reconciler->busy());
  EXPECT_EQ(node_.kernel.looks, 0);
  node_.answer({many, other});
  EXPECT_GT(node_.kernel.looks, 0);
  finish();
  node_.kernel.ours.insert(held);
  node_.answer({many});
  node_.pass(2s, {many});
  EXPECT_EQ(node_.reconciler->size(), 1U);
  for (const api::RunEvent& event : node_.told.events) EXPECT_THAT(event.residue, IsEmpty());
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
  EXPECT_EQ(ended_by([&] { observer.pods({}); }), 1);
  EXPECT_EQ(observer.size(), 0U);
  while (observer.busy()) EXPECT_EQ(ended_by([&] { observer.go_on(); }), 1);
  EXPECT_EQ(ended_, kPods);
}

// By it a fault knows what packets that wait would hold.
TEST(Reconciler, AFaultIsToldWhatThePodSentAndReceivedBeforeIt) {
  Node node;
  node.world.bytes = {{"to", 5'000'000}, {"from", 1'000'000}};  // each window, about a second
  const std::vector baseline{Node::run(RunPhase::baseline)};
  node.begin();
  node.pass(3s, baseline);
  node.answer({Node::run(RunPhase::fault)});
  ASSERT_THAT(node.world.armed, SizeIs(1));
  const auto& before = node.world.armed[0]->before;
  ASSERT_TRUE(before);
  EXPECT_NEAR(before->to.bytes, 5'000'000, 500'000);
  EXPECT_NEAR(before->from.bytes, 1'000'000, 100'000);
}

TEST(Reconciler, WithoutABaselineAFaultIsToldNothingOfThePodsTraffic) {
  Node node;
  node.world.bytes = {{"to", 5'000'000}};
  auto run = Node::run(RunPhase::fault);
  run.experiment.spec.phases.baseline = {0s};
  node.give();
  node.answer({run});
  ASSERT_THAT(node.world.armed, SizeIs(1));
  EXPECT_FALSE(node.world.armed[0]->before);
}

}  // namespace
}  // namespace faultline::agent::test
