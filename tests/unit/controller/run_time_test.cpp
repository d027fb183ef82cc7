// SPDX-License-Identifier: Apache-2.0
// When phases end: clocks that are set, controllers that change (decision 0023).
#include "run_fixture.h"

namespace faultline::controller::test {
namespace {

using std::chrono::hours;

// As the store has it, with what the agents sent.
api::RunRecord stored(api::RunRecord record) {
  for (api::NodeRecord& node : record.nodes)
    node.events = {event(RunEventKind::measuring), event(RunEventKind::armed)};
  return record;
}

class RunTime : public RunTest {
 protected:
  // Twelve seconds of thirty have passed.
  api::RunRecord in_the_fault() {
    begin({"n1"});
    until_fault();
    wait(seconds(12));
    return stored(run_->head());
  }
  // Another controller, whose clock is off by `ahead`, goes on after `gap`.
  OneRun& next(const api::RunRecord& record, UtcTime last_seen, std::chrono::nanoseconds gap,
               std::chrono::nanoseconds ahead) {
    Instant now = clock_.after(gap);
    clock_.set_wall(ahead);
    now.utc += ahead;
    return run_.emplace(OneRun::taken_over(record, std::nullopt, last_seen, {}, now, "new"));
  }
  [[nodiscard]] double left() const {
    const auto desired = run_->desired("n1", "i-n1", clock_.now());
    return desired && desired->faultSecondsLeft ? *desired->faultSecondsLeft : -1;
  }
};

TEST_F(RunTime, AgentsAreToldWhenTheFaultEndsAtTheLatest) {
  begin({"n1"});
  report_all(RunEventKind::measuring);
  wait(seconds(1));
  EXPECT_EQ(left(), -1) << "it has not begun";
  wait(seconds(9));
  ASSERT_EQ(run_->step(), RunStep::kArming);
  EXPECT_DOUBLE_EQ(left(), 40) << "the time that arming may take, and the phase";
  report_all(RunEventKind::armed);
  EXPECT_DOUBLE_EQ(left(), 30);
  wait(seconds(12));
  EXPECT_DOUBLE_EQ(left(), 18);
  wait(seconds(18));
  EXPECT_EQ(left(), -1);
}

TEST_F(RunTime, AStepOfTheWallClockMovesNoPhase) {
  for (const auto step : {hours(-1), hours(1)}) {
    begin({"n1"});
    until_fault();
    wait(seconds(12));
    clock_.set_wall(step);
    wait(milliseconds(17'500));
    EXPECT_EQ(told(), RunPhase::fault);
    wait(milliseconds(500));
    EXPECT_EQ(told(), RunPhase::recovery);
  }
}

TEST_F(RunTime, AfterAStepTheRecordSaysWhenThePhaseEndsByTheNewClock) {
  for (const auto step : {hours(-1), hours(1)}) {
    in_the_fault();
    const auto version = run_->head_version();
    clock_.set_wall(step);
    wait(milliseconds(500));
    EXPECT_GT(run_->head_version(), version) << "it is stored";
    EXPECT_EQ(run_->head().history.back().until.value, clock_.now().utc + milliseconds(17'500));
    const auto record = stored(run_->head());
    next(record, clock_.now().utc, seconds(1), seconds(0));
    EXPECT_DOUBLE_EQ(left(), 16.5);
  }
}

// t_clock: all that was stored lies in the future.
TEST_F(RunTime, AFaultDoesNotBeginAnewWhenTheClockWasSetBackMeanwhile) {
  const auto record = in_the_fault();
  next(record, clock_.now().utc, seconds(8), -std::chrono::minutes(10));
  EXPECT_EQ(told(), std::nullopt);
  EXPECT_EQ(run_->ending(), RunState::Failed);
  EXPECT_THAT(reason(), HasSubstr("new, by a clock that is "));
  EXPECT_THAT(reason(), HasSubstr(" behind what was stored last, during the fault after 12 s of "
                                  "30 s"));
  ASSERT_EQ(run_->head().gaps.size(), 1U);
  EXPECT_LT(run_->head().gaps[0].from, run_->head().gaps[0].to);
}

// What was left when it was seen last is the most there ever is. Where a clock that is behind hides
// some of the time since (less than a lease), agents have the rest: they keep the earliest end that
// they were told (FaultEnd.NoLaterAnswerMovesItAway).
TEST_F(RunTime, NoLeaderWhoseClockIsWrongGivesMoreThanWasLeft) {
  for (const int gap : {0, 500, 2000, 2900})
    for (const int ahead :
         {-3'600'000, -6000, -3000, -2500, -1000, -100, 0, 100, 2500, 3'600'000}) {
      const auto record = in_the_fault();
      next(record, clock_.now().utc, milliseconds(gap), milliseconds(ahead));
      EXPECT_LE(left(), 18) << gap << " ms passed, the clock is ahead by " << ahead;
      if (gap + ahead < 0) {
        EXPECT_LE(left(), 18 - gap / 1000.0) << gap << " " << ahead;
      }
      if (ahead == 0) {
        EXPECT_NEAR(left(), 18 - gap / 1000.0, 1e-6);
      }
    }
}

// An older controller did not write `until`; and a clock that was set back before it died.
TEST_F(RunTime, ARecordThatLiesInTheFutureLeavesNothingOfItsPhase) {
  auto record = in_the_fault();
  record.history.back().until = {};
  record.history.back().at.value += hours(1);
  next(record, clock_.now().utc, seconds(1), seconds(0));
  EXPECT_NE(told(), RunPhase::fault);
}

TEST_F(RunTime, LeadersWhoseClocksDifferDoNotAddUp) {
  auto record = in_the_fault();
  for (const int ahead : {-800, 800, -800, 800}) {
    next(record, clock_.now().utc, seconds(2), milliseconds(ahead));
    record = stored(run_->head());
  }
  EXPECT_NEAR(left(), 10, 1e-6);
}

}  // namespace
}  // namespace faultline::controller::test
