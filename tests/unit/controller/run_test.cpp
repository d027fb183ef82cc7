// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "run_fixture.h"

namespace faultline::controller::test {
namespace {

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
  EXPECT_EQ(told(), RunPhase::fault);  // with the first answer: nothing is waited for
  report("n1", RunEventKind::armed);
  wait(seconds(1));
  report("n1", RunEventKind::disarmed);
  EXPECT_EQ(told(), std::nullopt);
  report("n1", RunEventKind::closed);
  EXPECT_EQ(run_->head().state, RunState::Completed);
}

TEST_F(RunTest, DesiredStateHoldsThePodsOfTheNodeAndTheNumbersOfTheCluster) {
  begin({"n1", "n2"});
  const auto desired = run_->desired("n2", "i-n2", clock_.now());
  ASSERT_TRUE(desired);
  ASSERT_EQ(desired->pods.size(), 1U);
  EXPECT_EQ(desired->pods[0].pod.id(), "shop/payments-n2");
  EXPECT_EQ(desired->targets, 2);
  EXPECT_EQ(desired->matching, 2);
  EXPECT_EQ(desired->leaseSeconds, 3);
  EXPECT_EQ(desired->experiment.spec.seed, 42U);
  EXPECT_FALSE(run_->desired("n3", "i-n3", clock_.now()));
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
  EXPECT_TRUE(run_->desired("n1", "another", clock_.now()));
  EXPECT_FALSE(run_->desired("n1", "i-n1", clock_.now()));
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
  EXPECT_FALSE(run_->desired("n1", "another", clock_.now()));
  EXPECT_EQ(run_->head().state, RunState::Failed);
  EXPECT_THAT(reason(), HasSubstr("the agent on n1 was started anew during the fault"));
}

}  // namespace
}  // namespace faultline::controller::test
