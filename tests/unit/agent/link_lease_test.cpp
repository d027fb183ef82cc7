// SPDX-License-Identifier: Apache-2.0
// Leases and limits, with doubles (link_doubles.h).
#include <gmock/gmock.h>

#include <functional>

#include "agent/link/backoff.h"
#include "agent/link/lease.h"
#include "agent/link/limits.h"
#include "link_doubles.h"

namespace faultline::agent::test {
namespace {

using api::RunPhase;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(Lease, CountsFromWhenTheRequestWasSent) {
  Lease lease;
  const SteadyTime sent{100s};
  lease.renew(sent, 3);
  EXPECT_EQ(lease.deadline(), sent + 3s);
  EXPECT_TRUE(lease.valid(sent + 2999ms));
  EXPECT_FALSE(lease.valid(sent + 3s));
  EXPECT_EQ(lease.kernel_deadline().ns, 103'000'000'000u);
}

TEST(Lease, AnOlderAnswerThatArrivesLaterDoesNotShortenIt) {
  Lease lease;
  lease.renew(SteadyTime{100s}, 3);
  lease.renew(SteadyTime{99s}, 3);
  EXPECT_EQ(lease.deadline(), SteadyTime{103s});
}

TEST(Lease, NonsenseOfTheControllerIsBounded) {
  Lease lease;
  lease.renew(SteadyTime{100s}, -5);
  EXPECT_FALSE(lease.valid(SteadyTime{100s}));
  lease.renew(SteadyTime{100s}, 1e18);
  EXPECT_EQ(lease.deadline(), SteadyTime{3700s});
}

TEST(Backoff, DoublesToItsBoundAndStartsAnewAfterSuccess) {
  Backoff backoff(1);
  std::chrono::nanoseconds whole = 100ms;
  for (int i = 0; i < 8; ++i, whole = std::min<std::chrono::nanoseconds>(whole * 2, 1s)) {
    const auto pause = backoff.failure(1s);
    EXPECT_GE(pause, whole / 2) << i;
    EXPECT_LE(pause, whole) << i;
  }
  backoff.success();
  EXPECT_LE(backoff.failure(1s), 100ms);
}

TEST(RunLease, EveryAnswerRenewsEveryFaultFromTheTimeOfTheRequest) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  const SteadyTime sent = node.clock.steady();
  node.clock.move(400ms);
  node.reconciler->answer({Node::run(RunPhase::fault)}, {sent, node.clock.steady()});
  Lease expected;
  expected.renew(sent, 3);
  EXPECT_EQ(node.world.alive()[0]->deadline, expected.kernel_deadline());
}

TEST(RunLease, WithoutAnAnswerTheFaultsEndOnTimeAndItIsTold) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  const UtcTime armed = node.clock.utc();
  node.pass(2950ms);
  EXPECT_THAT(node.world.alive(), SizeIs(1));
  node.pass(100ms);
  EXPECT_THAT(node.world.alive(), IsEmpty());
  EXPECT_THAT(node.events(), ElementsAre("measuring", "armed", "lease_expired"));
  EXPECT_EQ(node.told.events.back().at.value, armed + 3s);
  EXPECT_EQ(node.status().state, api::InjectionState::disarmed);
  EXPECT_EQ(node.reconciler->shown().counts.leases_expired, 1u);
}

// Whoever leads then: its clock may be wrong, and its words may be of long ago.
TEST(RunLease, ALaterAnswerDoesNotBeginAFaultAnewWhoseLeaseHadEnded) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  node.world.armed[0]->counters.injected = 5;
  node.pass(4000ms);
  node.answer({Node::run(RunPhase::fault)});
  node.pass(2000ms, {Node::run(RunPhase::fault)});
  EXPECT_THAT(node.events(), ElementsAre("measuring", "armed", "lease_expired"));
  EXPECT_THAT(node.world.alive(), IsEmpty());
  EXPECT_THAT(node.world.armed, SizeIs(1));
  EXPECT_FALSE(node.reconciler->wants_answer());
  EXPECT_EQ(node.status().injected, 5u);
  node.answer({Node::run(RunPhase::recovery)});
  ASSERT_THAT(node.told.gaps, SizeIs(1));
  EXPECT_EQ(node.told.gaps[0].to.value - node.told.gaps[0].from.value, 3s);
  EXPECT_THAT(node.told.gaps[0].reason, HasSubstr("the lease ran out"));
}

// Answers may have come that nobody looked at: the controller is not to blame.
TEST(RunLease, ALeaseThatRanOutWhileTheAgentWasBusyOrStoppedSaysSo) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  node.clock.move(4200ms);
  node.answer({Node::run(RunPhase::fault)});
  EXPECT_THAT(node.events(), ElementsAre("measuring", "armed", "lease_expired"));
  EXPECT_THAT(node.told.events[2].text,
              HasSubstr("the agent took no answer of the controller in 3 s: it was busy, or "
                        "stopped, for 4.2 s"));
  EXPECT_THAT(node.status().reason, HasSubstr("busy, or stopped, for 4.2 s"));
}

TEST(RunLease, ALeaseThatRanOutBeforeAnAgentThatListenedBlamesNoPause) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  node.pass(4000ms);
  ASSERT_THAT(node.events(), ElementsAre("measuring", "armed", "lease_expired"));
  EXPECT_THAT(node.told.events[2].text, HasSubstr("no answer of the controller to anything sent"));
  EXPECT_THAT(node.told.events[2].text, testing::Not(HasSubstr("busy")));
}

// Who begins to measure a pod for a minute has heard nothing, and that was not silence.
TEST(RunLease, TimeInWhichTheAgentWasBusyIsNoSilenceAfterWhichMeasuringStops) {
  Node node;
  node.begin();
  ASSERT_GE(node.world.index("measure shop/a"), 0);
  node.clock.move(60s);
  node.pass(29s);
  EXPECT_THAT(node.world.log, testing::Not(Contains("end shop/a")));
  node.pass(3s);
  EXPECT_THAT(node.world.log, Contains("end shop/a"));
}

// A pod that comes back after the lease had ended gets no faults either.
TEST(RunLease, APodThatRestartsAfterwardsIsNotHitAgain) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  node.pass(4000ms);
  node.answer({Node::run(RunPhase::fault)});
  node.pods[0] = pod("a", 9);
  node.give();
  EXPECT_THAT(node.world.alive(), IsEmpty());
}

api::DesiredRun ending_in(double seconds) {
  api::DesiredRun run = Node::run(RunPhase::fault);
  run.faultSecondsLeft = seconds;
  return run;
}

TEST(FaultEnd, AnAgentThatIsCutOffEndsItsFaultsWithTheirPhase) {
  Node node;
  node.begin();
  node.answer({ending_in(1.2)});
  const SteadyTime end = node.clock.steady() + 1200ms;
  EXPECT_EQ(node.world.alive()[0]->deadline.ns,
            static_cast<std::uint64_t>(end.time_since_epoch() / 1ns))
      << "the kernel does it";
  node.pass(1150ms);
  EXPECT_THAT(node.world.alive(), SizeIs(1));
  node.pass(100ms);
  EXPECT_THAT(node.world.alive(), IsEmpty());
  EXPECT_THAT(node.events(), ElementsAre("measuring", "armed")) << "as was to be: no expiry";
}

TEST(FaultEnd, NoLaterAnswerMovesItAway) {
  Node node;
  node.begin();
  node.answer({ending_in(2)});
  const SteadyTime end = node.clock.steady() + 2s;
  node.pass(1000ms);
  node.answer({ending_in(30)});               // another controller, whose clock is behind
  node.answer({Node::run(RunPhase::fault)});  // and an older one, which says nothing of it
  EXPECT_EQ(node.world.alive()[0]->deadline.ns,
            static_cast<std::uint64_t>(end.time_since_epoch() / 1ns));
  node.pass(3000ms, {ending_in(30)});
  EXPECT_THAT(node.world.alive(), IsEmpty());
  EXPECT_THAT(node.world.armed, SizeIs(1)) << "not armed again";
  node.answer({ending_in(0.5)});
  EXPECT_THAT(node.world.alive(), IsEmpty());
}

TEST(FaultEnd, AStepOfTheWallClockChangesNothing) {
  for (const auto step : {-3600s, 3600s}) {
    Node node;
    node.begin();
    node.answer({ending_in(1)});
    node.clock.set_wall(step);
    node.pass(900ms, {ending_in(1)});
    EXPECT_THAT(node.world.alive(), SizeIs(1));
    node.pass(200ms);
    EXPECT_THAT(node.world.alive(), IsEmpty());
  }
}

TEST(FaultEnd, ARunThatWasTakenDownDoesNotBeginAgain) {
  Node node;
  node.begin();
  node.answer({ending_in(30)});
  node.answer({});
  node.pass(1500ms);
  ASSERT_EQ(node.reconciler->size(), 0u);
  node.told = {};
  node.answer({ending_in(30)});
  node.answer({ending_in(30)});
  EXPECT_EQ(node.reconciler->size(), 0u);
  EXPECT_THAT(node.world.alive(), IsEmpty());
  EXPECT_THAT(node.events(), ElementsAre("closed")) << "said, but not in every exchange";
  EXPECT_THAT(node.told.events[0].text, HasSubstr("does not begin again"));
}

TEST(FaultEnd, TimeThatTheMachineSleptCounts) {
  Node node;
  node.begin();
  node.answer({ending_in(30)});
  node.slept = 2s;
  node.pass(50ms);
  ASSERT_THAT(node.world.alive(), SizeIs(1));
  EXPECT_EQ(node.world.alive()[0]->deadline.ns,
            static_cast<std::uint64_t>((node.clock.steady() - 50ms + 1s).time_since_epoch() / 1ns))
      << "a second of the lease is left, not three";
  node.slept = 3600s;
  node.pass(50ms);
  EXPECT_THAT(node.world.alive(), IsEmpty());
  EXPECT_THAT(node.events(), ElementsAre("measuring", "armed", "lease_expired"));
}

// `baseline: 0s`: the run begins in the answer to an idle long poll, which may have been sent
// nearly a lease ago. What is armed then would end a moment later, and fail the run.
TEST(RunLease, WhatIsLeftOfALeaseMustBeEnoughToBeginWith) {
  Node node;
  node.give();
  const SteadyTime sent = node.clock.steady();
  node.clock.move(2700ms);
  node.reconciler->answer({Node::run(RunPhase::fault)}, {sent, node.clock.steady()});
  node.collect();
  EXPECT_THAT(node.world.armed, IsEmpty());
  EXPECT_TRUE(node.reconciler->wants_answer());
  node.answer({Node::run(RunPhase::fault)});
  node.pass(1000ms);
  EXPECT_THAT(node.world.alive(), SizeIs(1));
  EXPECT_THAT(node.events(), testing::Not(Contains("lease_expired")));
}

TEST(RunLease, ALaterAnswerThatWantsRecoveryDoesNotArm) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  node.pass(4000ms);
  node.answer({Node::run(RunPhase::recovery)});
  EXPECT_THAT(node.world.alive(), IsEmpty());
  EXPECT_THAT(node.events(), ElementsAre("measuring", "armed", "lease_expired", "disarmed"));
}

// A process that was stopped gets its answer before its timers.
TEST(RunLease, AnAnswerAfterTheDeadlineIsAnExpiryFirst) {
  Node node;
  node.begin();
  node.answer({Node::run(RunPhase::fault)});
  node.clock.move(10s);
  node.answer({Node::run(RunPhase::fault)});
  EXPECT_THAT(node.events(), ElementsAre("measuring", "armed", "lease_expired"));
  EXPECT_THAT(node.world.alive(), IsEmpty());
}

TEST(RunLease, AnAnswerToAnOldRequestArmsNothing) {
  Node node;
  node.give();
  const SteadyTime sent = node.clock.steady();
  node.clock.move(15s);  // a long poll
  node.reconciler->answer({Node::run(RunPhase::fault)}, {sent, node.clock.steady()});
  EXPECT_THAT(node.world.armed, IsEmpty());
  EXPECT_TRUE(node.reconciler->wants_answer());
  node.answer({Node::run(RunPhase::fault)});
  EXPECT_THAT(node.world.alive(), SizeIs(1));
}

TEST(RunLease, MeasuringStopsWhenNobodyAsksAndComesBackWithAGap) {
  Node node;
  node.begin();
  node.pass(31s);
  EXPECT_EQ(node.world.count("end shop/a"), 1);
  node.answer({Node::run(RunPhase::baseline)});
  EXPECT_EQ(node.world.count("measure shop/a"), 2);
  EXPECT_THAT(node.told.gaps, SizeIs(2));
  EXPECT_THAT(node.events(), ElementsAre("measuring"));
}

struct Refused {
  const char* what;
  std::function<void(api::DesiredRun&, Node&)> change;
  const char* reason;
};

TEST(Limits, EachBrokenRuleBlocksEveryFaultAndIsNamed) {
  const std::vector<Refused> table = {
      {"more targets than allowed", [](auto& run, auto&) { run.targets = 2; },
       "rule limits: 2 targets, allowed are 1 (maxPods 5, maxPercent 50 of 2 matching)"},
      {"the controller's count is not believed when there are more here",
       [](auto& run, auto&) { run.pods[1].role = api::PodRole::target; }, "rule limits: 2 targets"},
      {"a pod the selector does not match",
       [](auto&, auto& node) { node.pods[0].ref.labels["app"] = "checkout"; },
       "rule target selector: it does not match shop/a"},
      {"labels as this node sees them, not as the controller says",
       [](auto& run, auto& node) {
         node.pods[0].ref.labels.clear();
         run.pods[0].pod.labels["app"] = "payments";
       },
       "rule target selector"},
      {"an experiment that does not hold",
       [](auto& run, auto&) { run.experiment.spec.limits.maxPercent = 0; },
       "rule valid experiment"},
      {"a pod of the node's own network",
       [](auto&, auto& node) { node.pods[0].netns = NetnsId{77}; }, "rule host network"},
  };
  for (const Refused& row : table) {
    Node node(NetnsId{77});
    auto run = Node::run(RunPhase::fault);
    row.change(run, node);
    node.give();
    node.answer({run});
    EXPECT_THAT(node.world.armed, IsEmpty()) << row.what;
    ASSERT_FALSE(node.told.injections.empty()) << row.what;
    EXPECT_EQ(node.told.injections[0].state, api::InjectionState::blocked) << row.what;
    EXPECT_THAT(node.told.injections[0].reason, HasSubstr(row.reason)) << row.what;
    EXPECT_THAT(node.events(), Contains("blocked")) << row.what;
  }
}

TEST(Limits, ProtectedNamespacesAreNeverTargets) {
  for (const char* name_space : {"kube-system", "faultline"}) {
    auto run = Node::run(RunPhase::fault);
    const auto reason = pod_refusal(run, pod("a", 1, name_space), NetnsId{});
    ASSERT_TRUE(reason);
    EXPECT_THAT(*reason, HasSubstr("rule protected namespaces"));
  }
}

TEST(Limits, APodIsATargetOfOneRunAtATime) {
  Node node;
  node.give();
  node.answer({Node::run(RunPhase::fault),
               Node::run(RunPhase::fault, experiment("[{networkLoss: {loss: 10%}}]"), "other")});
  EXPECT_THAT(node.world.alive(), SizeIs(1));
  EXPECT_EQ(node.status().reason, "rule one run a pod: it is a target of slow-1");
}

}  // namespace
}  // namespace faultline::agent::test
