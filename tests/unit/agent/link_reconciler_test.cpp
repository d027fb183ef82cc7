// SPDX-License-Identifier: Apache-2.0
// The reconciler with doubles of faults, collectors, clock and kernel (link_doubles.h).
#include <gmock/gmock.h>

#include <algorithm>
#include <vector>

#include "link_doubles.h"

namespace faultline::agent::test {
namespace {

using api::InjectionState;
using api::RunPhase;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

TEST(Reconciler, MeasuresEveryPodBeforeItArmsAny) {
  Node node;
  node.begin();
  EXPECT_THAT(node.events(), ElementsAre("measuring"));
  EXPECT_THAT(node.world.alive(), IsEmpty());
  node.answer({Node::run(RunPhase::fault)});
  EXPECT_THAT(node.events(), ElementsAre("measuring", "armed"));
  EXPECT_THAT(node.world.alive(), SizeIs(1));
  EXPECT_LT(node.world.index("measure shop/a"), node.world.index("arm shop/a networkLatency"));
  EXPECT_LT(node.world.index("measure shop/b"), node.world.index("arm shop/a networkLatency"));
}

TEST(Reconciler, WithoutABaselineTheFaultComesFirstAndWhatWasNotMeasuredIsAGap) {
  Node node;
  auto run = Node::run(RunPhase::fault);
  run.experiment.spec.phases.baseline = {0s};
  node.world.arming = [&] { node.clock.move(20ms); };
  node.give();
  node.answer({run});
  EXPECT_LT(node.world.index("arm shop/a networkLatency"), node.world.index("measure shop/a"));
  EXPECT_THAT(node.events(), ElementsAre("armed", "measuring"));
  ASSERT_THAT(node.told.gaps, SizeIs(2));  // a pod each
  EXPECT_THAT(node.told.gaps[0].reason, HasSubstr("the faults came first"));
}

TEST(Reconciler, GoesThroughAWholeRunAndProvesItLeftNothing) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  node.world.armed[0]->counters.matched = node.world.armed[0]->counters.injected = 7;
  node.answer({Node::run(RunPhase::recovery)});
  EXPECT_THAT(node.world.alive(), IsEmpty());
  EXPECT_EQ(node.status().state, InjectionState::disarmed);
  EXPECT_EQ(node.status().injected, 7u);
  EXPECT_TRUE(node.status().disarmedAt.set());
  node.answer({});
  node.pass(100ms);
  EXPECT_THAT(node.events(), ElementsAre("measuring", "armed", "disarmed", "closed"));
  EXPECT_THAT(node.told.events.back().residue, IsEmpty());
  EXPECT_FALSE(node.reconciler->active());
  EXPECT_EQ(node.world.count("end shop/a"), 1);
  EXPECT_EQ(node.world.count("end shop/b"), 1);
}

TEST(Reconciler, ARunThatIsTakenAwayInItsFaultPhaseEndsAtOnce) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  node.reconciler->answer({}, node.now());
  EXPECT_THAT(node.world.alive(), IsEmpty());
  node.collect();
  EXPECT_THAT(node.events(), ElementsAre("measuring", "armed", "disarmed", "closed"));
}

TEST(Reconciler, NoFaultWaitsForAnotherToBeTakenDown) {
  const auto two = experiment("[{networkLatency: {latency: 20ms}}, {networkLoss: {loss: 10%}}]");
  Node node;
  node.begin(RunPhase::baseline, two);
  node.answer({Node::run(RunPhase::fault, two)});
  ASSERT_THAT(node.world.alive(), SizeIs(2));
  node.answer({Node::run(RunPhase::recovery, two)});
  EXPECT_THAT(node.world.alive(), IsEmpty());
  EXPECT_EQ(node.world.late, 0);
}

TEST(Reconciler, RepeatingTheSameAnswerChangesNothing) {
  Node node;
  node.begin();
  for (int i = 0; i < 5; ++i) node.answer({Node::run(RunPhase::fault)});
  EXPECT_THAT(node.world.armed, SizeIs(1));
  EXPECT_THAT(node.events(), ElementsAre("measuring", "armed"));
}

TEST(Reconciler, MeasuresTellCollectorsOfEveryRunThatFaultsChanged) {
  Node node;
  node.give();
  auto other = Node::run(RunPhase::baseline, experiment(), "other");
  other.pods = {{pod("a").ref, api::PodRole::observed}};
  node.answer({Node::run(RunPhase::baseline), other});
  node.answer({Node::run(RunPhase::fault), other});
  EXPECT_EQ(node.world.count("changed shop/a"), 2);
  node.answer({Node::run(RunPhase::recovery), other});
  EXPECT_EQ(node.world.count("changed shop/a"), 4);
}

TEST(Reconciler, UnknownFaultIsBlockedAndTheOthersAreArmed) {
  Node node;
  node.begin(RunPhase::baseline,
             experiment("[{cpuPressure: {workers: 1}}, {networkLoss: {loss: 10%}}]"));
  node.answer({Node::run(RunPhase::fault, experiment("[{cpuPressure: {workers: 1}}, "
                                                     "{networkLoss: {loss: 10%}}]"))});
  ASSERT_THAT(node.told.injections, SizeIs(2));
  EXPECT_EQ(node.told.injections[0].state, InjectionState::blocked);
  EXPECT_EQ(node.told.injections[0].reason, "not supported by this agent");
  EXPECT_EQ(node.told.injections[1].state, InjectionState::armed);
  EXPECT_THAT(node.events(), ElementsAre("measuring", "blocked", "armed"));
  EXPECT_EQ(node.told.events.back().text, "1 fault armed, 1 blocked");
}

TEST(Reconciler, AFaultTheKernelRefusesIsBlockedWithItsWords) {
  Node node;
  node.world.refuse = "needs tcx links: Operation not supported";
  node.begin();
  for (int i = 0; i < 3; ++i) node.answer({Node::run(RunPhase::fault)});
  EXPECT_EQ(node.status().state, InjectionState::blocked);
  EXPECT_EQ(node.status().reason, "needs tcx links: Operation not supported");
  EXPECT_THAT(node.events(), ElementsAre("measuring", "blocked", "armed"));
}

TEST(Reconciler, ARunFirstSeenInItsFaultPhaseIsArmedWithAGap) {
  Node node;
  node.clock.move(4s);
  node.begin(RunPhase::fault);
  EXPECT_THAT(node.events(), ElementsAre("armed", "measuring"));
  ASSERT_THAT(node.told.gaps, SizeIs(1));
  EXPECT_EQ(node.told.gaps[0].to.value - node.told.gaps[0].from.value, 4s);
}

TEST(Reconciler, ARestartedPodIsArmedAndMeasuredAgainAndTotalsGoOn) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  auto& first = node.world.armed[0]->counters;
  first.matched = 10;
  first.injected = 8;
  first.first_injected = {5};
  first.last_injected = {9};
  first.by_errno["EIO"] = 3;
  first.added_latency.add(0.02, 8);
  node.collect();
  node.clock.move(200ms);
  node.pods[0] = pod("a", 7);
  node.give();
  EXPECT_THAT(node.events(), Contains("pod_restarted"));
  ASSERT_THAT(node.world.alive(), SizeIs(1));
  EXPECT_EQ(node.world.alive()[0]->cgroup, CgroupId{1007});
  EXPECT_EQ(node.world.count("measure shop/a"), 2);
  EXPECT_EQ(node.world.count("end shop/a"), 1);
  EXPECT_EQ(node.status().injected, 8u);
  auto& second = node.world.armed[1]->counters;
  second.matched = 5;
  second.injected = 4;
  second.last_injected = {20};
  second.by_errno["EIO"] = 1;
  second.added_latency.add(0.02, 4);
  node.collect();
  EXPECT_EQ(node.status().matched, 15u);
  EXPECT_EQ(node.status().injected, 12u);
  EXPECT_EQ(node.status().byErrno.at("EIO"), 4u);
  EXPECT_EQ(node.status().addedLatency.count(), 12u);
  EXPECT_EQ(node.status().state, InjectionState::armed);
  EXPECT_EQ(node.world.armed[0]->seed, node.world.armed[1]->seed);
}

TEST(Reconciler, CountersNeverGoBackwards) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  node.world.armed[0]->counters.injected = 100;
  node.collect();
  node.world.armed[0]->counters.injected = 99;  // CPUs are read one after the other
  node.collect();
  EXPECT_EQ(node.status().injected, 100u);
  node.world.unreadable = true;
  node.answer({Node::run(RunPhase::recovery)});
  EXPECT_EQ(node.status().injected, 100u);
  EXPECT_EQ(node.status().state, InjectionState::disarmed);
}

TEST(Reconciler, APodThatIsGoneKeepsItsFaultDesired) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  node.pods.erase(node.pods.begin());
  node.give();
  EXPECT_THAT(node.events(), Contains("pod_gone"));
  EXPECT_THAT(node.world.alive(), IsEmpty());
  EXPECT_EQ(node.status().state, InjectionState::disarmed);
  node.clock.move(1s);
  node.answer({Node::run(RunPhase::fault)});
  node.pods.push_back(pod("a", 9));
  node.give();
  EXPECT_THAT(node.events(), Contains("pod_restarted"));
  EXPECT_THAT(node.world.alive(), SizeIs(1));
  ASSERT_THAT(node.told.gaps, SizeIs(1));
  EXPECT_EQ(node.told.gaps[0].pod, "shop/a");
  EXPECT_EQ(node.told.gaps[0].to.value - node.told.gaps[0].from.value, 1s);
}

TEST(Reconciler, APodThatWasNeverHereIsBlockedUntilItComes) {
  Node node;
  node.pods.erase(node.pods.begin());
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  EXPECT_THAT(node.events(), ElementsAre("pod_gone", "measuring", "blocked", "armed"));
  EXPECT_EQ(node.status().reason, "the pod is not on this node");
  node.pods.push_back(pod("a", 1));
  node.give();
  EXPECT_EQ(node.status().state, InjectionState::armed);
}

TEST(Reconciler, WindowsAreASecondAndCutWhereThePhaseChanges) {
  Node node;
  node.begin();
  const auto base = std::vector{Node::run(RunPhase::baseline)};
  node.pass(2300ms, base);
  node.world.packets["shop/a"] = 5;
  node.answer({Node::run(RunPhase::fault)});
  std::vector<const api::EffectWindow*> windows;
  for (const auto& w : node.told.windows)
    if (w.pod.name == "a") windows.push_back(&w);
  ASSERT_THAT(windows, SizeIs(3));
  EXPECT_EQ(windows[0]->to.value - windows[0]->from.value, 1s);
  EXPECT_EQ(windows[1]->from, windows[0]->to);
  EXPECT_EQ(windows[2]->to.value - windows[2]->from.value, 300ms);
  EXPECT_EQ(windows[2]->phase, RunPhase::baseline);
  EXPECT_EQ(windows[2]->samples[0].value, 5);
  // Arming takes its time, in which nothing is hit yet: it counts to the phase before.
  EXPECT_GT(node.world.log.rend() -
                std::find(node.world.log.rbegin(), node.world.log.rend(), "take shop/a"),
            node.world.index("arm shop/a networkLatency") + 1);
  const std::size_t before = node.told.windows.size();
  node.pass(1000ms, {Node::run(RunPhase::fault)});
  ASSERT_EQ(node.told.windows.size(), before + 2);
  EXPECT_EQ(node.told.windows.back().phase, RunPhase::fault);
}

TEST(Reconciler, TheLastFaultWindowEndsBeforeTheFaultsAreTakenDown) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  node.clock.move(400ms);
  node.world.log.clear();
  node.answer({Node::run(RunPhase::recovery)});
  EXPECT_LT(node.world.index("take shop/a"), node.world.index("disarm shop/a networkLatency"));
  EXPECT_EQ(node.told.windows.back().phase, RunPhase::fault);
}

// What clients do while a fault is armed, and while it is taken down, is not under the fault.
TEST(Reconciler, FaultWindowsHoldTheTimeInWhichTheFaultsActed) {
  Node node;
  node.world.arming = [&] { node.clock.move(30ms); };
  node.world.disarming = [&] { node.clock.move(90ms); };
  node.begin();
  const SteadyTime asked = node.clock.steady();
  node.answer({Node::run(RunPhase::fault)});
  EXPECT_EQ(node.told.windows.back().to.value - node.told.windows.back().from.value, 30ms);
  EXPECT_EQ(node.told.windows.back().phase, RunPhase::baseline);
  node.clock.move(400ms);
  node.told.windows.clear();
  node.answer({Node::run(RunPhase::recovery)});
  ASSERT_THAT(node.told.windows, SizeIs(2));  // a pod each
  for (const auto& window : node.told.windows) {
    EXPECT_EQ(window.phase, RunPhase::fault);
    EXPECT_EQ(window.to.value - window.from.value, 400ms);
  }
  EXPECT_EQ(node.clock.steady() - asked, 520ms);
  node.told.windows.clear();
  node.pass(1000ms, {Node::run(RunPhase::recovery)});
  ASSERT_THAT(node.told.windows, SizeIs(2));
  EXPECT_EQ(node.told.windows[0].phase, RunPhase::recovery);
  EXPECT_EQ(node.told.windows[0].to.value - node.told.windows[0].from.value, 1040ms);
  EXPECT_DOUBLE_EQ(*node.status().armedSeconds, 0.4);
}

// The kernel ended the fault at its deadline; the agent looks a moment later.
TEST(Reconciler, AWindowEndsWithTheLeaseAndWhatFollowsIsRecovery) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  const UtcTime armed = node.clock.utc();
  node.pass(2980ms);
  node.clock.move(500ms);  // it was not run
  node.reconciler->tick();
  node.collect();
  api::Timestamp last;
  for (const auto& window : node.told.windows)
    if (window.phase == RunPhase::fault) last = std::max(last, window.to);
  EXPECT_EQ(last.value, armed + 3s);
  node.pass(1000ms);
  EXPECT_EQ(node.told.windows.back().phase, RunPhase::recovery);
  EXPECT_DOUBLE_EQ(*node.status().armedSeconds, 3.0);
  EXPECT_THAT(node.status().reason, HasSubstr("the lease ran out"));
}

TEST(Reconciler, TimeInWhichAPodWasAwayIsNoTimeOfItsFault) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  node.pass(1000ms, {Node::run(RunPhase::fault)});
  node.pods.erase(node.pods.begin());
  node.give();
  EXPECT_EQ(node.status().reason, "the pod went away");
  node.pass(2000ms, {Node::run(RunPhase::fault)});
  node.pods.push_back(pod("a", 9));
  node.give();
  node.pass(500ms, {Node::run(RunPhase::fault)});
  node.answer({Node::run(RunPhase::recovery)});
  EXPECT_DOUBLE_EQ(*node.status().armedSeconds, 1.5);
  EXPECT_EQ(node.status().reason, "");
}

TEST(Reconciler, AClockThatIsSetDoesNotBendWindows) {
  Node node;
  node.begin();
  node.clock.set_wall(-1h);
  node.pass(1000ms, {Node::run(RunPhase::baseline)});
  EXPECT_EQ(node.told.windows[0].to.value - node.told.windows[0].from.value, 1s);
}

TEST(Reconciler, WhatACollectorCannotMeasureIsOneGapNotOneAWindow) {
  Node node;
  node.world.no_collector = "Operation not permitted";
  node.begin();
  node.pass(3000ms, {Node::run(RunPhase::baseline)});
  EXPECT_THAT(node.events(), ElementsAre("measuring"));
  node.answer({});
  ASSERT_THAT(node.told.gaps, SizeIs(2));  // one a pod
  EXPECT_EQ(node.told.gaps[0].to.value - node.told.gaps[0].from.value, 3s);
  EXPECT_THAT(node.told.gaps[0].reason, HasSubstr("Operation not permitted"));
}

TEST(Reconciler, AControlPodThatMeetsATargetIsToldOnce) {
  Node node;
  node.pods = {pod("a", 1), pod("b", 2), pod("c", 3), pod("d", 4)};
  auto run = Node::run(RunPhase::baseline);
  run.pods = {{pod("a").ref, api::PodRole::target},
              {pod("b").ref, api::PodRole::control},
              {pod("c").ref, api::PodRole::control},
              {pod("d").ref, api::PodRole::control}};
  node.give();
  node.answer({run});
  node.pass(1100ms, {run});
  EXPECT_THAT(node.events(), ElementsAre("measuring"));
  node.world.met["shop/a"] = "10.0.0.2";  // the target was asked by b
  node.world.met["shop/c"] = "10.0.0.1";  // c asks the target
  node.world.met["shop/d"] = "10.0.0.2";  // another control pod: that says nothing
  node.pass(3000ms, {run});
  EXPECT_THAT(node.events(), ElementsAre("measuring", "connected", "connected"));
  EXPECT_EQ(node.told.events[1].pod, "shop/b");
  EXPECT_EQ(node.told.events[2].pod, "shop/c");
  EXPECT_EQ(node.told.events[2].text, "shop/a");
}

TEST(Reconciler, AnExperimentWithoutFaultsOnlyMeasures) {
  Node node;
  node.begin(RunPhase::baseline, experiment("[]"));
  node.answer({Node::run(RunPhase::fault, experiment("[]"))});
  node.answer({Node::run(RunPhase::recovery, experiment("[]"))});
  EXPECT_THAT(node.events(), ElementsAre("measuring", "armed", "disarmed"));
}

TEST(Reconciler, PeersAreResolvedAndFollowed) {
  const auto e = experiment("[{networkLoss: {loss: 10%, peer: {pods: {shop: [b]}}}}]");
  Node node;
  node.begin(RunPhase::baseline, e);
  node.answer({Node::run(RunPhase::fault, e)});
  EXPECT_THAT(node.world.alive()[0]->peers.only, ElementsAre("10.0.0.2"));
  node.world.armed[0]->counters.injected = 3;
  node.pods[1] = pod("b", 6);
  node.give();
  ASSERT_THAT(node.world.alive(), SizeIs(1));
  EXPECT_THAT(node.world.alive()[0]->peers.only, ElementsAre("10.0.0.6"));
  EXPECT_EQ(node.status().injected, 3u);
}

TEST(Reconciler, APeerSelectorThatMatchesNobodyBlocks) {
  const auto e = experiment("[{networkLoss: {loss: 10%, peer: {pods: {shop: [zz]}}}}]");
  Node node;
  node.begin(RunPhase::baseline, e);
  node.answer({Node::run(RunPhase::fault, e)});
  EXPECT_THAT(node.world.armed, IsEmpty());
  EXPECT_THAT(node.status().reason,
              HasSubstr("peer: the selector matches no pod that this node sees"));
}

// What the controller says of peers counts, and it is followed without arming anew.
TEST(Reconciler, PeersThatTheControllerResolvedAreFollowedInPlace) {
  const auto e = experiment("[{networkLoss: {loss: 10%, peer: {pods: {shop: [b]}}}}]");
  const auto with = [&](std::vector<std::string> addresses) {
    api::DesiredRun run = Node::run(RunPhase::fault, e);
    run.peers = {{.index = 0, .addresses = std::move(addresses)}};
    return run;
  };
  Node node;
  node.begin(RunPhase::baseline, e);
  node.answer({with({"10.9.0.1", "10.9.0.2"})});
  ASSERT_THAT(node.world.alive(), SizeIs(1));
  EXPECT_THAT(node.world.alive()[0]->peers.only, ElementsAre("10.9.0.1", "10.9.0.2"))
      << "of other nodes, too";
  node.answer({with({"10.9.0.3"})});
  EXPECT_THAT(node.world.alive()[0]->peers.only, ElementsAre("10.9.0.3"));
  // One that has just begun to lead says nothing of them yet.
  node.answer({Node::run(RunPhase::fault, e)});
  EXPECT_THAT(node.world.alive()[0]->peers.only, ElementsAre("10.9.0.3"));
  EXPECT_THAT(node.world.armed, SizeIs(1)) << "never armed anew";
}

TEST(Reconciler, APeerThatIsAwayIsWaitedForAndThenBlocksUntilItIsBack) {
  const auto e = experiment(
      "[{networkLoss: {loss: 10%, peer: {pods: {shop: [b]}}}}, {networkLatency: {latency: 1ms}}]");
  const auto with = [&](std::vector<std::string> addresses) {
    api::DesiredRun run = Node::run(RunPhase::fault, e);
    run.peers = {{.index = 0, .addresses = std::move(addresses)}};
    return run;
  };
  Node node;
  node.begin(RunPhase::baseline, e);
  node.answer({with({"10.9.0.1"})});
  node.answer({with({})});
  node.pass(9000ms, {with({})});
  ASSERT_THAT(node.world.alive(), SizeIs(2));
  EXPECT_THAT(node.world.alive()[0]->peers.only, IsEmpty()) << "nobody is hit meanwhile";
  node.pass(2000ms, {with({})});
  ASSERT_THAT(node.world.alive(), SizeIs(1));
  EXPECT_EQ(node.world.alive()[0]->fault, "networkLatency");
  EXPECT_GT(node.world.alive()[0]->deadline.ns, 1u) << "the other fault goes on";
  EXPECT_THAT(node.events(), Contains("blocked"));
  node.answer({with({"10.9.0.4"})});
  ASSERT_THAT(node.world.alive(), SizeIs(2));
  EXPECT_THAT(node.world.alive()[1]->peers.only, ElementsAre("10.9.0.4"));
  EXPECT_GT(node.world.alive()[1]->deadline.ns, 1u);
}

TEST(Reconciler, PeersThatCannotBeFollowedBlockTheFault) {
  const auto e = experiment("[{networkLoss: {loss: 10%, peer: {pods: {shop: [b]}}}}]");
  Node node;
  node.begin(RunPhase::baseline, e);
  node.answer({Node::run(RunPhase::fault, e)});
  node.world.unfollowed = true;
  node.pods[1] = pod("b", 6);
  node.give();
  EXPECT_THAT(node.world.alive(), IsEmpty());
  EXPECT_THAT(node.status().reason, HasSubstr("no room in the map"));
}

// A misspelt exception must not hit those whom it was to leave alone.
TEST(Reconciler, AnExceptionThatMatchesNobodyBlocksBeforeAnythingIsHit) {
  const auto e = experiment("[{networkLoss: {loss: 10%, except: {peer: {pods: {shop: [zz]}}}}}]");
  Node node;
  node.begin(RunPhase::baseline, e);
  node.answer({Node::run(RunPhase::fault, e)});
  EXPECT_THAT(node.world.armed, IsEmpty());
  EXPECT_THAT(node.status().reason, HasSubstr("except.peer: "));
}

TEST(Reconciler, TheAgentsEndDisarmsWithoutClosingTheRun) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  node.reconciler->shutdown();
  node.collect();
  EXPECT_THAT(node.world.alive(), IsEmpty());
  EXPECT_THAT(node.events(), ElementsAre("measuring", "armed", "disarmed"));
  EXPECT_EQ(node.status().state, InjectionState::disarmed);
}

TEST(InjectionSeed, IsFixedForAllTimeAndDiffersByRunPodAndIndex) {
  EXPECT_EQ(injection_seed(42, "shop/a", 0), injection_seed(42, "shop/a", 0));
  const std::set<std::uint64_t> all = {
      injection_seed(42, "shop/a", 0), injection_seed(43, "shop/a", 0),
      injection_seed(42, "shop/b", 0), injection_seed(42, "shop/a", 1)};
  EXPECT_THAT(all, SizeIs(4));
  EXPECT_EQ(injection_seed(42, "shop/payments-0", 0), 0x78de6555e98b99e7u);
}

}  // namespace
}  // namespace faultline::agent::test
