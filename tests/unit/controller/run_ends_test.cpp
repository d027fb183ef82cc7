// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "run_fixture.h"

namespace faultline::controller::test {
namespace {

TEST_F(RunTest, AStopDuringTheFaultDisarmsAtOnceAndMeasuresAShortRecovery) {
  begin({"n1"});
  until_fault();
  wait(seconds(1));
  const auto version = run_->desired_version();
  run_->stop("stopped by person", Recovery::kShort, clock_.now());
  EXPECT_GT(run_->desired_version(), version);
  EXPECT_EQ(told(), RunPhase::recovery);
  report("n1", RunEventKind::disarmed);
  EXPECT_EQ(run_->head().state, RunState::Recovering);
  EXPECT_EQ(reason(), "stopped by person");
  wait(milliseconds(1'999));
  EXPECT_EQ(told(), RunPhase::recovery);
  wait(milliseconds(1));
  EXPECT_EQ(told(), std::nullopt);
  report("n1", RunEventKind::closed);
  EXPECT_EQ(run_->head().state, RunState::Aborted);
  EXPECT_EQ(run_->head().history.back().reason, "stopped by person");
}

TEST_F(RunTest, AStopIsTakenInEveryState) {
  const auto kinds = {RunEventKind::measuring, RunEventKind::armed, RunEventKind::disarmed};
  for (int steps = 0; steps <= 3; ++steps) {
    begin({"n1"});
    int done = 0;
    for (const auto kind : kinds) {
      if (done++ == steps) break;
      report("n1", kind);
      if (kind == RunEventKind::measuring && steps > 1) wait(seconds(10));
      if (kind == RunEventKind::armed && steps > 2) wait(seconds(30));
    }
    run_->stop("stopped by person", Recovery::kNone, clock_.now());
    EXPECT_EQ(told(), std::nullopt) << steps;
    report("n1", RunEventKind::closed);
    EXPECT_EQ(run_->head().state, RunState::Aborted) << steps;
    EXPECT_EQ(reason(), "stopped by person") << steps;
  }
}

TEST_F(RunTest, WhoStopsTwiceIsInAHurry) {
  begin({"n1"});
  until_fault();
  run_->stop("stopped by person", Recovery::kShort, clock_.now());
  run_->stop("stopped by person again", Recovery::kShort, clock_.now());
  EXPECT_EQ(told(), std::nullopt);
  EXPECT_EQ(reason(), "stopped by person");
}

TEST_F(RunTest, AStopOfARunThatIsCompleteChangesNothing) {
  begin({"n1"}, "  phases: {baseline: 0s, fault: 1s, recovery: 0s}\n");
  report("n1", RunEventKind::measuring);
  report("n1", RunEventKind::armed);
  wait(seconds(1));
  report("n1", RunEventKind::disarmed);
  run_->stop("stopped by person", Recovery::kNone, clock_.now());
  report("n1", RunEventKind::closed);
  EXPECT_EQ(run_->head().state, RunState::Completed);
}

TEST_F(RunTest, AFaultBlockedOnEveryTargetEndsTheRunAsNotReal) {
  begin({"n1", "n2"});
  report_all(RunEventKind::measuring);
  wait(seconds(10));
  for (const std::string& node : nodes_) {
    api::InjectionStatus status = injection(pod("shop", "payments-" + node, node), 0, 0);
    status.state = api::InjectionState::blocked;
    status.reason = "no host-side interface";
    report(node, RunEventKind::armed, {status});
  }
  EXPECT_EQ(told(), std::nullopt);
  EXPECT_THAT(reason(), HasSubstr("not real: no fault could be armed on any target "
                                  "(networkLatency on shop/payments-n1: no host-side interface)"));
  report_all(RunEventKind::closed);
  EXPECT_EQ(run_->head().state, RunState::Failed);
}

TEST_F(RunTest, AFaultBlockedOnOneOfTwoTargetsGoesOn) {
  begin({"n1", "n2"});
  report_all(RunEventKind::measuring);
  wait(seconds(10));
  api::InjectionStatus status = injection(pod("shop", "payments-n1", "n1"), 0, 0);
  status.state = api::InjectionState::blocked;
  report("n1", RunEventKind::armed, {status});
  report("n2", RunEventKind::armed, {injection(pod("shop", "payments-n2", "n2"), 0, 0)});
  EXPECT_EQ(run_->step(), RunStep::kFault);
}

TEST_F(RunTest, AnExpiredLeaseFailsTheRunEvenWhenTheNodeIsBack) {
  begin({"n1"});
  until_fault();
  report("n1", RunEventKind::lease_expired);
  EXPECT_THAT(reason(), HasSubstr("the lease expired on n1 during the fault"));
  EXPECT_EQ(told(), RunPhase::recovery);
}

TEST_F(RunTest, AnAgentThatIsToldToEndIsTheCauseThatIsNamed) {
  begin({"n1", "n2"});
  until_fault();
  report("n1", RunEventKind::disarmed);
  wait(seconds(4), {"n1"});
  EXPECT_THAT(reason(), HasSubstr("n1 was lost during the fault: its agent was told to end, and no "
                                  "other came for 3 s"));
}

TEST_F(RunTest, AnAgentThatEndsTheRunItselfFailsItWithItsProof) {
  begin({"n1", "n2"});
  until_fault();
  report("n1", RunEventKind::closed);
  EXPECT_THAT(reason(), HasSubstr("the agent on n1 ended the run during the fault"));
  report("n2", RunEventKind::disarmed);
  wait(seconds(4), {"n1"});
  report("n2", RunEventKind::closed);
  EXPECT_EQ(run_->head().state, RunState::Failed);
  EXPECT_TRUE(run_->head().gaps.empty()) << "n1 said that it is done: it is not lost";
}

TEST_F(RunTest, SummaryHasTheNewestFiguresAndTheTimeOfThePhase) {
  begin({"n1"});
  report("n1", RunEventKind::measuring);
  wait(seconds(4));
  EXPECT_DOUBLE_EQ(*run_->summary(clock_.now()).phaseElapsed, 4);
  EXPECT_DOUBLE_EQ(*run_->summary(clock_.now()).phaseTotal, 10);
  wait(seconds(6));
  const api::PodRef where = pod("shop", "payments-n1", "n1");
  report("n1", RunEventKind::armed, {injection(where, 10, 1)});
  report("n1", RunEventKind::pod_restarted, {injection(where, 100, 9)});
  const api::RunSummary summary = run_->summary(clock_.now());
  ASSERT_EQ(summary.injections.size(), 1U);
  EXPECT_EQ(summary.injections[0].matched, 100U);
  EXPECT_DOUBLE_EQ(*summary.phaseTotal, 30);
}

TEST_F(RunTest, CountsOfABatchAreWhatIsNewSinceTheOneBefore) {
  begin({"n1"});
  until_fault();
  api::RunBatch batch{.run = "slow-1"};
  batch.injections = {injection(pod("shop", "payments-n1", "n1"), 100, 9)};
  EXPECT_EQ(run_->batch("n1", "i-n1", batch, clock_.now()).at(0).matched, 100U);
  batch.injections[0].matched = 130;
  const auto deltas = run_->batch("n1", "i-n1", batch, clock_.now());
  EXPECT_EQ(deltas.at(0).matched, 30U);
  EXPECT_EQ(deltas.at(0).injected, 0U);
  EXPECT_EQ(deltas.at(0).fault, "networkLatency");
}

TEST_F(RunTest, TheFirstClockOffsetHoldsUnlessItProvesWrong) {
  begin({"n1"});
  until_fault();
  EXPECT_EQ(run_->clock_offset("n1", {0.5, 0.01}, clock_.now()), 0.5);
  EXPECT_EQ(run_->clock_offset("n1", {0.502, 0.001}, clock_.now()), 0.5);
  EXPECT_TRUE(run_->head().gaps.empty());
  EXPECT_EQ(run_->clock_offset("n1", {-2, 0.001}, clock_.now()), -2);
  ASSERT_EQ(run_->head().gaps.size(), 1U);
  EXPECT_THAT(run_->head().gaps[0].reason, HasSubstr("the clock of the node was set by 2.5"));
}

TEST_F(RunTest, InterruptedDuringTheFaultIsFailedAndSaysWhenAndWhatEndedIt) {
  begin({"n1"});
  until_fault();
  wait(seconds(12));
  const UtcTime last_seen = clock_.now().utc;
  api::RunRecord head = run_->head();
  clock_.after(seconds(40));
  OneRun later = OneRun::interrupted(head, std::nullopt, last_seen, {}, clock_.now());
  EXPECT_FALSE(later.desired("n1", "i-n1", clock_.now()));
  EXPECT_THAT(later.head().stateReason,
              HasSubstr("the controller was restarted during the fault after 12 s of 30 s; "
                        "injection ended by the lease (3"));
  ASSERT_EQ(later.head().gaps.size(), 1U);
  EXPECT_EQ(later.head().gaps[0].from.value, last_seen);
  EXPECT_EQ(later.head().gaps[0].to.value, clock_.now().utc);
  later.tick(clock_.after(seconds(9)));
  EXPECT_FALSE(later.over()) << "the agent may still find this controller";
  later.contact("n1", "i-n1", clock_.now());
  api::RunBatch batch{.run = "slow-1"};
  batch.events = {event(RunEventKind::closed)};
  later.batch("n1", "i-n1", batch, clock_.now());
  EXPECT_EQ(later.head().state, RunState::Failed);
}

TEST_F(RunTest, InterruptedAfterAStopStaysAborted) {
  begin({"n1"});
  until_fault();
  run_->stop("stopped by person", Recovery::kShort, clock_.now());
  OneRun later =
      OneRun::interrupted(run_->head(), run_->ending(), clock_.now().utc, {}, clock_.now());
  later.tick(clock_.after(seconds(11)));
  EXPECT_EQ(later.head().state, RunState::Aborted);
  EXPECT_EQ(later.head().stateReason, "stopped by person");
}

// As a store has it: with what the agents sent.
api::RunRecord stored(api::RunRecord record, std::vector<api::RunEvent> events) {
  for (api::NodeRecord& node : record.nodes) node.events = events;
  return record;
}

TEST_F(RunTest, AnotherControllerGoesOnWithARunWhoseLeaseIsNotOver) {
  begin({"n1", "n2"});
  until_fault();
  wait(seconds(12));
  const auto record =
      stored(run_->head(), {event(RunEventKind::measuring), event(RunEventKind::armed)});
  const UtcTime last_seen = clock_.now().utc;
  clock_.after(milliseconds(2500));
  run_ = OneRun::taken_over(record, std::nullopt, last_seen, {}, clock_.now(),
                            "another controller took over");
  EXPECT_EQ(told("n1"), RunPhase::fault);
  EXPECT_EQ(told("n2"), RunPhase::fault);
  EXPECT_EQ(run_->head().stateReason, "");
  EXPECT_TRUE(run_->head().gaps.empty()) << "agents kept what they measured";
  EXPECT_EQ(run_->head().history.back().reason,
            "another controller took over after 14.5 s, and the run went on");
  // What is left of 30 s, not 30 s anew.
  wait(milliseconds(15'000));
  EXPECT_EQ(told(), RunPhase::fault);
  wait(seconds(1));
  EXPECT_EQ(told(), RunPhase::recovery);
  report_all(RunEventKind::disarmed);
  wait(seconds(11));
  report_all(RunEventKind::closed);
  EXPECT_EQ(run_->head().state, RunState::Completed);
}

TEST_F(RunTest, AnotherControllerWaitsForNodesThatHadNotArmedYet) {
  begin({"n1", "n2"});
  report_all(RunEventKind::measuring);
  wait(seconds(10));
  report("n1", RunEventKind::armed);
  auto record = run_->head();
  record.nodes[0].events = {event(RunEventKind::measuring), event(RunEventKind::armed)};
  record.nodes[1].events = {event(RunEventKind::measuring)};
  run_ = OneRun::taken_over(record, std::nullopt, clock_.now().utc, {}, clock_.now(), "new");
  EXPECT_EQ(told("n2"), RunPhase::fault);
  EXPECT_EQ(run_->step(), RunStep::kArming);
  report("n2", RunEventKind::armed);
  EXPECT_EQ(run_->step(), RunStep::kFault);
}

TEST_F(RunTest, AnAgentThatLostItsLeaseMeanwhileFailsARunThatWasTakenOver) {
  begin({"n1"});
  until_fault();
  const auto record =
      stored(run_->head(), {event(RunEventKind::measuring), event(RunEventKind::armed)});
  const UtcTime last_seen = clock_.now().utc;
  run_ = OneRun::taken_over(record, std::nullopt, last_seen, {}, clock_.after(seconds(2)), "new");
  report("n1", RunEventKind::lease_expired);
  EXPECT_THAT(reason(), HasSubstr("the lease expired on n1 during the fault"));
  EXPECT_EQ(run_->ending(), RunState::Failed);
}

TEST_F(RunTest, ARunThatNoAgentHeardOfIsNotBegunByTheNextController) {
  begin({"n1"});
  run_ = OneRun::taken_over(run_->head(), std::nullopt, clock_.now().utc, {}, clock_.now(), "new");
  EXPECT_FALSE(run_->desired("n1", "i-n1", clock_.now()));
  run_->tick(clock_.after(seconds(11)));
  EXPECT_EQ(run_->head().state, RunState::Failed);
  EXPECT_EQ(reason(), "new before the baseline");
}

TEST_F(RunTest, ANodeThatNeverFindsTheNextControllerIsLostAfterALease) {
  begin({"n1"});
  until_fault();
  const auto record =
      stored(run_->head(), {event(RunEventKind::measuring), event(RunEventKind::armed)});
  run_ = OneRun::taken_over(record, std::nullopt, clock_.now().utc, {}, clock_.now(), "new");
  run_->tick(clock_.after(milliseconds(2900)));
  EXPECT_EQ(reason(), "");
  run_->tick(clock_.after(milliseconds(200)));
  EXPECT_THAT(reason(), HasSubstr("n1 was lost during the fault"));
}

TEST_F(RunTest, AnotherInstanceOfAnAgentCannotSlipInWhileTheControllerChanges) {
  begin({"n1"});
  until_fault();
  const auto record =
      stored(run_->head(), {event(RunEventKind::measuring), event(RunEventKind::armed)});
  run_ = OneRun::taken_over(record, std::nullopt, clock_.now().utc, {}, clock_.now(), "new");
  run_->contact("n1", "i-other", clock_.now());
  EXPECT_THAT(reason(), HasSubstr("the agent on n1 was started anew during the fault"));
  EXPECT_FALSE(run_->desired("n1", "i-other", clock_.now()));
}

TEST_F(RunTest, NextDeadlineIsWhenTickHasSomethingToDo) {
  begin({"n1"});
  until_fault();
  int ticks = 0;
  while (!run_->over() && ticks++ < 100) {
    clock_.after(run_->next_deadline() - clock_.now().steady);
    const auto before = run_->head_version();
    run_->tick(clock_.now());
    EXPECT_NE(run_->head_version(), before);
  }
  EXPECT_LT(ticks, 10);
  EXPECT_EQ(run_->head().state, RunState::Failed) << "nobody was ever heard again";
}

}  // namespace
}  // namespace faultline::controller::test
