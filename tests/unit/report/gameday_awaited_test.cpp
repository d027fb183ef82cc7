// SPDX-License-Identifier: Apache-2.0
// What a day awaits of the monitoring, and what becomes of its figures when that is not known.
#include <gtest/gtest.h>

#include "tests/unit/report/gameday_recomputed.h"

namespace faultline::report {
namespace {

using api::DayRole;
using api::EntryKind;
using synthetic::at;
using synthetic::Day;
using synthetic::expect_recomputed;
using synthetic::kBob;
using synthetic::run_of;
using testing::HasSubstr;

// A fault from 10.2 s on, a step that awaits Slow{svc="checkout"}, nobody who says anything, and no
// alert that the run itself expects.
Day awaiting_day() {
  Day day = synthetic::payments_day();
  day.runs["slow-1"].detections.clear();
  api::Step& outage = day.record.document.spec.steps[0];
  outage.parallel[2].waitFor = api::StepWait{.alert = "Slow", .labels = {{"svc", "checkout"}}};
  std::erase_if(day.record.entries, [](const api::DayEntry& entry) {
    return entry.kind == EntryKind::alert || entry.kind == EntryKind::acknowledged;
  });
  return day;
}

void put_in_order(Day& day) {
  std::ranges::stable_sort(day.record.entries, {}, &api::DayEntry::recordedAt);
  for (std::size_t i = 0; i < day.record.entries.size(); ++i) day.record.entries[i].number = i + 1;
}

void fires(Day& day, double when, const std::string& svc, bool silent = false) {
  api::DayEntry& entry = day.add(EntryKind::alert, when);
  entry.word = "Slow";
  entry.text = "Slow{svc=\"" + svc + "\"}";
  entry.good = silent;
}

void monitoring(Day& day, double when, bool answers) {
  api::DayEntry& entry = day.add(EntryKind::gap, when);
  entry.word = "monitoring";
  entry.text = answers ? "the monitoring answers again" : "the monitoring did not answer";
  entry.good = answers;
}

api::DayRun slow_of(Day& day) {
  put_in_order(day);
  expect_recomputed(day);
  return run_of(day.report(), "slow-1");
}

TEST(GameDayAwaited, AnInstanceWithOtherLabelsIsNotTheOneThatIsAwaited) {
  Day day = awaiting_day();
  fires(day, 20, "another-team");
  const api::DayRun run = slow_of(day);
  EXPECT_EQ(run.detection.seconds, std::nullopt);
  EXPECT_EQ(run.noticed, false);
  fires(day, 30, "checkout");
  EXPECT_NEAR(slow_of(day).detection.seconds.value(), 30 - 10.2061, 1e-6);
}

TEST(GameDayAwaited, AValueThatLooksLikeALabelIsNone) {
  Day day = awaiting_day();
  fires(day, 20, "x\\\", svc=\\\"checkout");
  EXPECT_EQ(slow_of(day).noticed, false);
}

TEST(GameDayAwaited, AFiringFirstSeenAfterTheMonitoringWasAwayHasNoTime) {
  Day day = awaiting_day();
  monitoring(day, 11, false);
  monitoring(day, 18, true);
  fires(day, 18, "checkout");
  const api::DayRun run = slow_of(day);
  EXPECT_EQ(run.detection.seconds, std::nullopt);
  EXPECT_EQ(run.noticed, std::nullopt);
  EXPECT_THAT(run.detection.reason, HasSubstr("the monitoring did not answer"));
  const api::GameDayReport report = day.report();
  EXPECT_TRUE(std::ranges::any_of(report.gaps, [](const api::DayGap& gap) {
    return gap.what == "monitoring" && gap.from == at(11) && gap.to == at(18);
  }));
  EXPECT_EQ(std::ranges::count(report.gaps, "monitoring", &api::DayGap::what), 1);
}

TEST(GameDayAwaited, NoFiringSeenAcrossAHoleIsNotKnownWhateverPeopleSaid) {
  Day day = awaiting_day();
  monitoring(day, 11, false);
  monitoring(day, 18, true);
  EXPECT_EQ(slow_of(day).noticed, std::nullopt);
  day.say(EntryKind::acknowledged, 30, kBob, DayRole::commander, "mine");
  EXPECT_EQ(slow_of(day).detection.seconds, std::nullopt);
}

TEST(GameDayAwaited, AHoleAfterTheFiringOrBeforeTheFaultChangesNothing) {
  Day day = awaiting_day();
  monitoring(day, 2, false);
  monitoring(day, 9, true);
  fires(day, 20, "checkout");
  monitoring(day, 25, false);
  EXPECT_NEAR(slow_of(day).detection.seconds.value(), 20 - 10.2061, 1e-6);
}

TEST(GameDayAwaited, AHoleThatTheRunItselfCoversChangesNothing) {
  Day day = synthetic::payments_day();
  day.runs["slow-1"].experiment.spec.expect.alerts = {{.name = "CheckoutSlow"}};
  monitoring(day, 11, false);
  monitoring(day, 42.5, true);
  EXPECT_NEAR(slow_of(day).detection.seconds.value(), 31.5, 1e-6);
}

TEST(GameDayAwaited, WhatIsNotWrittenDownAnyMoreIsAHoleToTheEnd) {
  Day day = awaiting_day();
  day.add(EntryKind::gap, 15).word = "alerts-at-once";
  EXPECT_EQ(slow_of(day).noticed, std::nullopt);
}

TEST(GameDayAwaited, AnAlertThatFiredBeforeTheFaultIsToldAndNoFigure) {
  Day day = awaiting_day();
  fires(day, 5, "checkout");
  const api::DayRun run = slow_of(day);
  EXPECT_EQ(run.detection.seconds, std::nullopt);
  EXPECT_EQ(run.noticed, std::nullopt);
  EXPECT_THAT(run.detection.reason, HasSubstr("alert Slow, which was awaited, fired before"));
  // One that was silent again by then says nothing.
  fires(day, 8, "checkout", true);
  EXPECT_EQ(slow_of(day).noticed, false);
}

TEST(GameDayAwaited, AnAcknowledgedAlertThatNothingExpectsIsNoDetection) {
  Day day = awaiting_day();
  day.say(EntryKind::acknowledged, 20, kBob, DayRole::commander, "").word = "NoSuchAlert";
  const api::DayRun run = slow_of(day);
  EXPECT_EQ(run.detection.seconds, std::nullopt);
  EXPECT_EQ(run.acknowledgement.seconds, std::nullopt);
  EXPECT_THAT(run.acknowledgement.reason, HasSubstr("NoSuchAlert"));
  day.say(EntryKind::acknowledged, 30, kBob, DayRole::commander, "").word =
      "Slow{svc=\"checkout\"}";
  EXPECT_NEAR(slow_of(day).detection.seconds.value(), 30 - 10.2061, 1e-6);
}

TEST(GameDayAwaited, WhoFindsAStepInASurpriseGroupFindsTheGroup) {
  Day day = synthetic::payments_day();
  std::vector<api::Step>& steps = day.record.document.spec.steps;
  api::Step group;
  group.name = "hidden";
  group.surprise = true;
  group.serial = {steps[1]};
  group.serial[0].surprise = false;
  steps[1] = group;
  day.add(EntryKind::step_begun, 118, "hidden");
  put_in_order(day);
  expect_recomputed(day);
  const api::GameDayReport report = day.report();
  const auto found =
      std::ranges::find(report.surprises, api::SurpriseKind::hidden, &api::DaySurprise::kind);
  ASSERT_NE(found, report.surprises.end());
  EXPECT_NEAR(found->seconds.value(), 32, 1e-6) << found->text;
}

TEST(GameDayAwaited, AReportThatWasNotReadIsNotSaidToBeMissing) {
  Day day = synthetic::payments_day();
  day.runs.erase("slow-1");
  const api::GameDayReport report = gameday_report(day.record, day.runs, {}, Names::kHidden,
                                                   {{"slow-1", "at most 1 runs are read"}});
  const api::DayRun& run = run_of(report, "slow-1");
  EXPECT_THAT(run.detection.reason, HasSubstr("was not read: at most 1 runs"));
  EXPECT_EQ(run.noticed, std::nullopt);
  EXPECT_TRUE(std::ranges::any_of(report.gaps, [](const api::DayGap& gap) {
    return gap.where == "slow-1" && gap.reason.find("was not read") != gap.reason.npos;
  }));
}

TEST(GameDayAwaited, WhatADayTakesOfAReportTellsTheSame) {
  Day day = synthetic::payments_day();
  const std::string whole = gameday_json(day.report());
  for (auto& [id, report] : day.runs) report = for_gameday(std::move(report));
  EXPECT_EQ(gameday_json(day.report()), whole);
}

}  // namespace
}  // namespace faultline::report
