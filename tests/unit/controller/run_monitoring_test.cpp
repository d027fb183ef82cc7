// SPDX-License-Identifier: Apache-2.0
// A run that waits for what the monitoring saw, and controllers that change meanwhile.
#include <gmock/gmock.h>

#include "controller/kubernetes/run_log_fit.h"
#include "controller/kubernetes/run_log_object.h"
#include "report/detections.h"
#include "run_fixture.h"

namespace faultline::controller::test {
namespace {

api::MonitoringRecord seen(const std::string& version) {
  api::MonitoringRecord out;
  out.sources = {{.name = "prometheus", .kind = "prometheus", .version = version}};
  return out;
}

class RunMonitoring : public RunTest {
 protected:
  void until_closing_again() {
    begin({"n1"});
    run_->follow_monitoring(seen("before"));
    until_closing();
  }
  void until_closing() {
    until_fault();
    wait(seconds(30));
    report_all(RunEventKind::disarmed);
    wait(seconds(10));
    ASSERT_EQ(run_->step(), RunStep::kClosing);
  }
};

TEST_F(RunMonitoring, IsNotOverBeforeTheMonitoringHasSaidWhatItSaw) {
  begin({"n1"});
  run_->follow_monitoring(seen("before"));
  until_closing();
  report_all(RunEventKind::closed);
  EXPECT_FALSE(run_->over());
  run_->followed(seen("after"), clock_.now());
  EXPECT_TRUE(run_->over());
  EXPECT_EQ(run_->head().state, RunState::Completed);
  EXPECT_EQ(run_->head().monitoring->sources[0].version, "after");
  EXPECT_TRUE(run_->head().gaps.empty());
}

TEST_F(RunMonitoring, WhatComesBeforeTheNodesHaveClosedIsKept) {
  begin({"n1"});
  run_->follow_monitoring(seen("before"));
  until_closing();
  run_->followed(seen("after"), clock_.now());
  EXPECT_FALSE(run_->over());
  report_all(RunEventKind::closed);
  EXPECT_TRUE(run_->over());
  EXPECT_EQ(run_->head().monitoring->sources[0].version, "after");
}

TEST_F(RunMonitoring, WhenItIsAskedForIsInTheHistory) {
  begin({"n1"});
  run_->follow_monitoring(seen("before"));
  until_fault();
  wait(seconds(5));
  run_->stop("enough", Recovery::kNone, clock_.now());
  ASSERT_EQ(run_->step(), RunStep::kClosing);
  const UtcTime closing = clock_.now().utc;
  EXPECT_EQ(run_->head().history.back().until.value, closing) << "and not the end of the phase";
  wait(seconds(4));
  report_all(RunEventKind::closed);
  run_->followed(seen("after"), clock_.now());
  ASSERT_TRUE(run_->over());
  EXPECT_EQ(report::measured_until(run_->head()).value, closing);
  EXPECT_EQ(run_->head().history.back().at.value, clock_.now().utc);
}

TEST_F(RunMonitoring, AClockThatIsSetMovesNoEndThatIsOver) {
  for (const auto ahead : {std::chrono::hours(-1), std::chrono::hours(1)}) {
    begin({"n1"});
    run_->follow_monitoring(seen("before"));
    until_closing();
    const api::Timestamp end = run_->head().history.back().until;
    clock_.set_wall(ahead);
    wait(seconds(1));
    EXPECT_EQ(run_->head().history.back().until, end) << "it was by the clock of then";
    clock_.set_wall(-ahead);
  }
}

TEST_F(RunMonitoring, WhatEndedWhileNobodyRanItEndsWhenItWasSeenLast) {
  begin({"n1"});
  run_->follow_monitoring(seen("before"));
  until_fault();
  wait(seconds(5));
  const UtcTime last_seen = clock_.now().utc;
  clock_.after(std::chrono::hours(1));
  OneRun next = OneRun::taken_over(run_->recent(), std::nullopt, last_seen, RunTimes{},
                                   clock_.now(), "the controller was restarted");
  EXPECT_EQ(next.head().history.back().until.value, last_seen);
  // One that was closing: when that began.
  until_closing_again();
  const api::Timestamp closed = run_->head().history.back().until;
  const UtcTime later = clock_.now().utc + seconds(4);
  clock_.after(std::chrono::hours(1));
  OneRun over = OneRun::taken_over(run_->recent(), RunState::Completed, later, RunTimes{},
                                   clock_.now(), "the controller was restarted");
  EXPECT_EQ(over.head().history.back().until, closed);
}

TEST_F(RunMonitoring, AMonitoringThatNeverAnswersIsAGapAndEndsNothing) {
  begin({"n1"});
  run_->follow_monitoring(seen("before"));
  until_closing();
  report_all(RunEventKind::closed);
  EXPECT_LE(run_->next_deadline(), clock_.now().steady + RunTimes{}.monitoring);
  wait(RunTimes{}.monitoring + seconds(1));
  EXPECT_TRUE(run_->over());
  EXPECT_EQ(run_->head().state, RunState::Completed);
  ASSERT_EQ(run_->head().gaps.size(), 1U);
  EXPECT_THAT(run_->head().gaps[0].reason, HasSubstr("the monitoring had not answered 10 s"));
  const api::MonitoringRecord& kept = *run_->head().monitoring;
  EXPECT_EQ(kept.sources[0].version, "before");
  EXPECT_EQ(kept.sources[0].problem, "it had not answered 10 s after the end of the run");
  ASSERT_EQ(kept.gaps.size(), 1U);
  EXPECT_EQ(kept.gaps[0].source, kept.sources[0].name);
  EXPECT_EQ(kept.gaps[0].from, run_->head().history.front().at);
  EXPECT_EQ(kept.gaps[0].to, run_->head().history.back().at);
}

TEST_F(RunMonitoring, AnotherControllerThatGoesOnSaysThatItDoesNotFollowTheMonitoring) {
  begin({"n1"});
  run_->follow_monitoring(seen("before"));
  until_fault();
  const api::RunRecord full = run_->recent();
  clock_.after(seconds(1));
  OneRun next = OneRun::taken_over(full, std::nullopt, clock_.now().utc - seconds(1), RunTimes{},
                                   clock_.now(), "another controller leads");
  ASSERT_TRUE(next.head().monitoring);
  EXPECT_THAT(next.head().monitoring->sources[0].problem,
              HasSubstr("nobody followed the monitoring"));
  EXPECT_THAT(next.head().gaps.back().reason, HasSubstr("another controller leads"));
}

TEST_F(RunMonitoring, AJournalThatIsTooSmallLosesTheMonitoringFirstAndSaysSo) {
  begin({"n1"});
  api::MonitoringRecord large = seen("x");
  for (int i = 0; i < 20'000; ++i)
    large.ruleNames.push_back(std::to_string(i * 7919LL * 104'729LL) + std::to_string(i));
  run_->follow_monitoring(std::move(large));
  api::RunLogEntry entry;
  entry.head = run_->head();
  const Fitted fitted = fit(entry, 40'000);
  EXPECT_EQ(fitted.left_out, 0U);
  ASSERT_EQ(fitted.data.size(), 1U);
  const auto back = unpack(fitted.data[0]);
  ASSERT_TRUE(back && back->head);
  EXPECT_FALSE(back->head->monitoring);
  EXPECT_THAT(back->head->gaps.back().reason, HasSubstr("larger than the journal takes"));
}

}  // namespace
}  // namespace faultline::controller::test
