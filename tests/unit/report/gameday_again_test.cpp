// SPDX-License-Identifier: Apache-2.0
// Steps that are done several times, and what is said of a step before it began.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/report/gameday_recomputed.h"

namespace faultline::report {
namespace {

using api::DayRole;
using api::EntryKind;
using synthetic::at;
using synthetic::Day;
using synthetic::expect_recomputed;
using synthetic::kBob;
using testing::HasSubstr;
using testing::Not;

std::vector<api::DaySurprise> hidden(const api::GameDayReport& report) {
  std::vector<api::DaySurprise> out = report.surprises;
  std::erase_if(out, [](const auto& one) { return one.kind != api::SurpriseKind::hidden; });
  return out;
}

// The group around it begins again, so that the entry counts from nothing.
Day task_twice(api::StepOutcome outcome) {
  Day day = synthetic::payments_day();
  day.add(EntryKind::step_begun, 200, "respond");
  day.add(EntryKind::step_over, 240, "respond").outcome = outcome;
  return day;
}

TEST(GameDayAgain, EachTimeOfATaskHasAHeadingOfItsOwn) {
  const Day day = task_twice(api::StepOutcome::met);
  const api::GameDayReport report = day.report();
  ASSERT_EQ(report.tasks.size(), 2U);
  EXPECT_EQ(report.tasks[1].times, 1);
  expect_recomputed(day);
  for (const std::string& text : {gameday_markdown(report), gameday_html(report)}) {
    EXPECT_THAT(text, HasSubstr("Make checkout fast again (time 2)"));
    EXPECT_THAT(text, Not(HasSubstr("(time 1)")));
  }
  EXPECT_THAT(gameday_terminal(report), HasSubstr("respond (time 2): met"));
}

TEST(GameDayAgain, ARunIsOfTheTimeInWhichItBegan) {
  Day day = synthetic::payments_day();
  day.add(EntryKind::step_over, 190, "slow").outcome = api::StepOutcome::skipped;
  day.add(EntryKind::step_begun, 200, "slow");
  day.run("slow", "slow-2", 201, 230);
  const api::GameDayReport report = day.report();
  EXPECT_EQ(synthetic::run_of(report, "slow-2").times, 2);
  EXPECT_TRUE(std::ranges::any_of(report.steps, [](const api::DayStep& step) {
    return step.name == "slow" && step.times == 2 &&
           step.runs == std::vector<std::string>{"slow-2"};
  }));
}

TEST(GameDayAgain, WhatIsSaidOfATimeBeforeTheStepHasNoSeconds) {
  Day day = synthetic::payments_day();
  day.say(EntryKind::tick, -30, kBob, DayRole::commander, "", "respond").item = 3;
  day.say(EntryKind::missing, -30, kBob, DayRole::commander, "who to call", "respond");
  const api::GameDayReport report = day.report();
  EXPECT_TRUE(report.tasks[0].items[2].worked.has_value());
  EXPECT_EQ(report.tasks[0].items[2].seconds, std::nullopt);
  EXPECT_EQ(report.tasks[0].missing.back().seconds, std::nullopt);
  EXPECT_THAT(gameday_markdown(report), Not(HasSubstr("after -")));
  expect_recomputed(day);
}

TEST(GameDayAgain, ASurpriseThatWasFoundBeforeItBeganWasFound) {
  Day day = synthetic::payments_day();
  for (api::DayEntry& entry : day.record.entries)
    if (entry.kind == EntryKind::found) entry.at = at(100);
  const std::vector<api::DaySurprise> told = hidden(day.report());
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].text, "the surprise refused was found before it began");
  EXPECT_EQ(told[0].seconds, std::nullopt);
  expect_recomputed(day);
}

TEST(GameDayAgain, ASurpriseThatIsDoneAgainIsFoundOnce) {
  Day day = synthetic::payments_day();
  day.add(EntryKind::step_begun, 200, "refused").times = 1;
  const std::vector<api::DaySurprise> told = hidden(day.report());
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].text, "the surprise refused was found");
  EXPECT_EQ(told[0].seconds, 32);
  expect_recomputed(day);
}

TEST(GameDayAgain, TheWorstTimeOfAStepIsCompared) {
  const api::GameDayReport before = task_twice(api::StepOutcome::done).report();
  const api::GameDayReport now = task_twice(api::StepOutcome::missed).report();
  Day third = task_twice(api::StepOutcome::met);
  for (api::DayEntry& entry : third.record.entries)
    if (entry.kind == EntryKind::step_over && entry.step == "respond" && entry.at < at(100))
      entry.outcome = api::StepOutcome::missed;
  third.record.day = "payments-day-3";
  const api::GameDayReport report = third.report({before});
  ASSERT_TRUE(report.comparison);
  const auto found = std::ranges::find_if(report.comparison->outcomes,
                                          [](const auto& one) { return one.step == "respond"; });
  ASSERT_NE(found, report.comparison->outcomes.end());
  EXPECT_EQ(found->before, api::StepOutcome::done);
  EXPECT_EQ(found->now, api::StepOutcome::missed);
  // One that missed as often, the last time or the first, is no other outcome.
  const api::GameDayReport same = third.report({now});
  for (const auto& one : same.comparison->outcomes) EXPECT_NE(one.step, "respond");
}

}  // namespace
}  // namespace faultline::report
