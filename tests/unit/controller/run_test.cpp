// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/run.h"

#include <gmock/gmock.h>

#include "fixtures.h"

namespace faultline::controller::test {
namespace {

using OneRun = Run;  // testing::Test has a Run of its own
using api::RunEventKind;
using api::RunPhase;
using api::RunState;
using testing::ElementsAre;
using testing::HasSubstr;

// One run with phases of 10 s, 30 s and 10 s on the given nodes; each has one target.
class RunTest : public testing::Test {
 protected:
  void begin(const std::vector<std::string>& nodes, const std::string& more = "") {
    api::RunRecord head{.run = "slow-1", .experiment = experiment(more)};
    head.matching = static_cast<std::int64_t>(nodes.size());
    for (const std::string& node : nodes) {
      head.pods.push_back({pod("shop", "payments-" + node, node), api::PodRole::target});
      head.nodes.push_back({.node = node});
    }
    run_.emplace(std::move(head), RunTimes{}, clock_.now());
    nodes_ = nodes;
  }

  // Every node is heard, then time goes on; in steps, as agents sync at least once a second.
  void wait(std::chrono::nanoseconds d, std::vector<std::string> silent = {}) {
    for (; d > seconds(0); d -= std::min<std::chrono::nanoseconds>(d, milliseconds(500))) {
      clock_.after(std::min<std::chrono::nanoseconds>(d, milliseconds(500)));
      for (const std::string& node : nodes_)
        if (std::ranges::find(silent, node) == silent.end())
          run_->contact(node, "i-" + node, clock_.now());
      run_->tick(clock_.now());
    }
  }
  void report(const std::string& node, RunEventKind kind,
              std::vector<api::InjectionStatus> injections = {}) {
    api::RunBatch batch{.run = "slow-1"};
    batch.injections = std::move(injections);
    batch.events = {event(kind, clock_.now().utc)};
    run_->contact(node, "i-" + node, clock_.now());
    run_->batch(node, "i-" + node, batch, clock_.now());
  }
  void report_all(RunEventKind kind) {
    for (const std::string& node : nodes_) report(node, kind);
  }
  void until_fault() {
    report_all(RunEventKind::measuring);
    wait(seconds(10));
    report_all(RunEventKind::armed);
    ASSERT_EQ(run_->step(), RunStep::kFault);
  }
  [[nodiscard]] std::optional<RunPhase> told(const std::string& node = "n1") const {
    const auto desired = run_->desired(node, "i-" + node);
    return desired ? std::optional(desired->phase) : std::nullopt;
  }
  [[nodiscard]] std::vector<RunState> states() const {
    std::vector<RunState> out;
    for (const api::PhaseMark& mark : run_->head().history) out.push_back(mark.state);
    return out;
  }
  [[nodiscard]] const std::string& reason() const { return run_->head().stateReason; }

  HandClock clock_;
  std::vector<std::string> nodes_;
  std::optional<OneRun> run_;
};

TEST_F(RunTest, GoesThroughAllPhasesWhenAgentsReportThem) {
  begin({"n1", "n2"});
  EXPECT_EQ(told(), RunPhase::baseline);
  report("n1", RunEventKind::measuring);
  EXPECT_EQ(run_->head().state, RunState::Pending) << "n2 does not measure yet";
  report("n2", RunEventKind::measuring);
  EXPECT_EQ(run_->head().state, RunState::Baseline);
  wait(milliseconds(9'999));
  EXPECT_EQ(told(), RunPhase::baseline);
  wait(milliseconds(1));
  EXPECT_EQ(told(), RunPhase::fault);
  EXPECT_EQ(run_->head().state, RunState::Baseline) << "nothing is armed yet";

  wait(seconds(2));  // arming takes its time; the phase counts from its end
  report("n1", RunEventKind::armed);
  EXPECT_EQ(run_->head().state, RunState::Baseline);
  report("n2", RunEventKind::armed);
  EXPECT_EQ(run_->head().state, RunState::Injecting);
  wait(milliseconds(29'999));
  EXPECT_EQ(told(), RunPhase::fault);
  wait(milliseconds(1));
  EXPECT_EQ(told(), RunPhase::recovery);
  EXPECT_EQ(run_->head().state, RunState::Injecting) << "nobody said that it is disarmed";
  report_all(RunEventKind::disarmed);
  EXPECT_EQ(run_->head().state, RunState::Recovering);
  wait(seconds(10));
  EXPECT_EQ(told(), std::nullopt);
  EXPECT_EQ(run_->head().state, RunState::Recovering);
  report("n1", RunEventKind::closed);
  EXPECT_FALSE(run_->over());
  report("n2", RunEventKind::closed);
  EXPECT_TRUE(run_->over());
  EXPECT_THAT(states(), ElementsAre(RunState::Pending, RunState::Baseline, RunState::Injecting,
                                    RunState::Recovering, RunState::Completed));
  EXPECT_EQ(reason(), "");
  EXPECT_TRUE(run_->head().gaps.empty());
}

TEST_F(RunTest, APhaseOfNoLengthIsPassedAtOnce) {
  begin({"n1"}, "  phases: {baseline: 0s, fault: 1s, recovery: 0s}\n");
  report("n1", RunEventKind::measuring);
  EXPECT_EQ(told(), RunPhase::fault);
  report("n1", RunEventKind::armed);
  wait(seconds(1));
  report("n1", RunEventKind::disarmed);
  EXPECT_EQ(told(), std::nullopt);
  report("n1", RunEventKind::closed);
  EXPECT_EQ(run_->head().state, RunState::Completed);
}

TEST_F(RunTest, DesiredStateHoldsThePodsOfTheNodeAndTheNumbersOfTheCluster) {
  begin({"n1", "n2"});
  const auto desired = run_->desired("n2", "i-n2");
  ASSERT_TRUE(desired);
  ASSERT_EQ(desired->pods.size(), 1U);
  EXPECT_EQ(desired->pods[0].pod.id(), "shop/payments-n2");
  EXPECT_EQ(desired->targets, 2);
  EXPECT_EQ(desired->matching, 2);
  EXPECT_EQ(desired->leaseSeconds, 3);
  EXPECT_EQ(desired->experiment.spec.seed, 42U);
  EXPECT_FALSE(run_->desired("n3", "i-n3"));
}

struct Silence {
  const char* name;
  RunEventKind last;  // the last thing n2 reports
  RunEventKind missing;
  const char* reason;
};
void PrintTo(const Silence& silence, std::ostream* out) { *out << silence.name; }
class SilentNode : public RunTest, public testing::WithParamInterface<Silence> {};

// n2 answers every sync, but never reports the next step.
TEST_P(SilentNode, FailsTheRunAfterTenSecondsAndIsNamed) {
  begin({"n1", "n2"});
  for (const auto kind : {RunEventKind::measuring, RunEventKind::armed, RunEventKind::disarmed,
                          RunEventKind::closed}) {
    report("n1", kind);
    if (kind == GetParam().missing) break;
    report("n2", kind);
    if (kind == RunEventKind::measuring) wait(seconds(10));
    if (kind == RunEventKind::armed) wait(seconds(30));
    if (kind == RunEventKind::disarmed) wait(seconds(10));
  }
  wait(milliseconds(9'500));
  EXPECT_EQ(reason(), "");
  wait(milliseconds(500));
  EXPECT_EQ(reason(), GetParam().reason);
  wait(seconds(30));
  EXPECT_EQ(run_->head().state, RunState::Failed);
}
INSTANTIATE_TEST_SUITE_P(
    Steps, SilentNode,
    testing::Values(
        Silence{
            "measuring", {}, RunEventKind::measuring, "n2 did not report `measuring` within 10 s"},
        Silence{"armed", {}, RunEventKind::armed, "n2 did not report `armed` within 10 s"},
        Silence{"disarmed", {}, RunEventKind::disarmed, "n2 did not report `disarmed` within 10 s"},
        Silence{"closed", {}, RunEventKind::closed, "n2 did not report `closed` within 10 s"}),
    [](const auto& test) { return test.param.name; });

TEST_F(RunTest, ALostNodeDuringTheFaultFailsTheRunAndLeavesAGap) {
  begin({"n1", "n2"});
  until_fault();
  wait(seconds(5));
  const UtcTime lost_from = clock_.now().utc;
  wait(seconds(3), {"n2"});
  EXPECT_EQ(reason(), "");
  wait(milliseconds(500), {"n2"});
  EXPECT_THAT(reason(), HasSubstr("n2 was lost during the fault: no exchange with its agent for 3 "
                                  "s; the lease has ended the injection there"));
  EXPECT_EQ(told("n1"), RunPhase::recovery) << "the others end it too, and measure what follows";
  report("n1", RunEventKind::disarmed);
  EXPECT_EQ(run_->head().state, RunState::Recovering);
  wait(seconds(2), {"n2"});
  EXPECT_EQ(told("n1"), std::nullopt);
  report("n1", RunEventKind::closed);
  EXPECT_EQ(run_->head().state, RunState::Failed);
  ASSERT_EQ(run_->head().gaps.size(), 1U);
  EXPECT_EQ(run_->head().gaps[0].node, "n2");
  EXPECT_EQ(run_->head().gaps[0].from.value, lost_from);
  EXPECT_EQ(run_->head().gaps[0].to.value, clock_.now().utc) << "to the end of the run";
}

TEST_F(RunTest, TheGapOfALostNodeEndsWhenItIsHeardAgain) {
  begin({"n1", "n2"});
  until_fault();
  wait(milliseconds(3'500), {"n2"});
  const UtcTime back = clock_.now().utc;
  run_->contact("n2", "i-n2", clock_.now());
  ASSERT_EQ(run_->head().gaps.size(), 1U);
  EXPECT_EQ(run_->head().gaps[0].to.value, back);
  EXPECT_EQ(told("n2"), RunPhase::recovery) << "it must not go on injecting";
}

TEST_F(RunTest, WhenTheOnlyNodeIsLostNoRecoveryIsClaimed) {
  begin({"n1"});
  until_fault();
  wait(milliseconds(3'500), {"n1"});
  EXPECT_THAT(states(), ElementsAre(RunState::Pending, RunState::Baseline, RunState::Injecting,
                                    RunState::Failed));
}

TEST_F(RunTest, ANodeLostDuringTheBaselineFailsTheRunBeforeAnythingIsArmed) {
  begin({"n1", "n2"});
  report_all(RunEventKind::measuring);
  wait(milliseconds(3'500), {"n2"});
  EXPECT_THAT(reason(), HasSubstr("n2 was lost during the baseline"));
  EXPECT_THAT(reason(), testing::Not(HasSubstr("lease has ended")));
  EXPECT_EQ(told("n1"), std::nullopt);
}

TEST_F(RunTest, AnAgentStartedAnewDuringTheBaselineJoinsAgain) {
  begin({"n1"});
  report("n1", RunEventKind::measuring);
  wait(seconds(2));
  run_->contact("n1", "another", clock_.now());
  EXPECT_TRUE(run_->desired("n1", "another"));
  EXPECT_FALSE(run_->desired("n1", "i-n1"));
  for (int i = 0; i < 9; ++i) {
    run_->contact("n1", "another", clock_.after(seconds(1)));
    run_->tick(clock_.now());
  }
  EXPECT_EQ(run_->step(), RunStep::kBaseline) << "it does not measure yet";
  api::RunBatch batch{.run = "slow-1"};
  batch.events = {event(RunEventKind::measuring, clock_.now().utc)};
  run_->batch("n1", "another", batch, clock_.now());
  EXPECT_EQ(run_->step(), RunStep::kArming);
  ASSERT_EQ(run_->head().gaps.size(), 1U);
  EXPECT_EQ(run_->head().gaps[0].to.value, clock_.now().utc);
}

TEST_F(RunTest, AnAgentStartedAnewDuringTheFaultGetsNothingOfTheRun) {
  begin({"n1"});
  until_fault();
  wait(seconds(1));
  run_->contact("n1", "another", clock_.now());
  EXPECT_FALSE(run_->desired("n1", "another"));
  EXPECT_EQ(run_->head().state, RunState::Failed);
  EXPECT_THAT(reason(), HasSubstr("the agent on n1 was started anew during the fault"));
}

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
  EXPECT_FALSE(later.desired("n1", "i-n1"));
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
