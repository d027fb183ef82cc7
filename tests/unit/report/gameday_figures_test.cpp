// SPDX-License-Identifier: Apache-2.0
// The figures of a game day. Each is computed a second time by gameday_figures.py, which reads the
// raw timeline and the reports of the runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "api/codec.h"
#include "tests/unit/report/gameday_recomputed.h"

namespace faultline::report {
namespace {

namespace json = boost::json;
using api::DayRole;
using api::EntryKind;
using synthetic::at;
using synthetic::Day;
using synthetic::expect_recomputed;
using synthetic::kBob;
using synthetic::run_of;
using testing::HasSubstr;

TEST(GameDayFigures, AreThoseOfTheTimeline) {
  const Day day = synthetic::payments_day();
  expect_recomputed(day);
  const api::GameDayReport report = day.report();
  const api::DayRun& slow = run_of(report, "slow-1");
  EXPECT_NEAR(slow.detection.seconds.value(), 31.5, 1e-6);
  EXPECT_EQ(slow.detection.until, "alert CheckoutSlow fired");
  EXPECT_NEAR(slow.acknowledgement.seconds.value(), 47.5 - 41.7061, 1e-6);
  EXPECT_NEAR(slow.repair.seconds.value(), 80 - 10.2061, 1e-6);
  ASSERT_EQ(slow.detectionParts.size(), 3U);
  ASSERT_EQ(slow.acknowledgementParts.size(), 2U);
  EXPECT_NEAR(slow.acknowledgementParts[0].seconds, 2, 1e-6);
  ASSERT_EQ(slow.repairParts.size(), 3U);
  const api::DayRun& refused = run_of(report, "refused-1");
  EXPECT_NEAR(refused.detection.seconds.value(), 150 - 130.24, 1e-6);
  EXPECT_THAT(refused.detection.until, HasSubstr("found"));
  EXPECT_EQ(refused.acknowledgement.seconds, std::nullopt);
  EXPECT_EQ(refused.acknowledgement.reason, "nobody acknowledged it");
  EXPECT_EQ(report.mttd.known, 2);
  EXPECT_EQ(report.mtta.known, 1);
  EXPECT_EQ(report.mtta.of, 2);
}

TEST(GameDayFigures, RunbookItemsAreTimedFromTheBeginOfTheStep) {
  const api::GameDayReport report = synthetic::payments_day().report();
  ASSERT_EQ(report.tasks.size(), 1U);
  const api::DayTask& task = report.tasks[0];
  ASSERT_EQ(task.items.size(), 3U);
  EXPECT_EQ(task.items[0].worked, true);
  EXPECT_NEAR(task.items[0].seconds.value(), 59, 1e-6);
  EXPECT_EQ(task.items[1].worked, false);
  EXPECT_EQ(task.items[2].worked, std::nullopt);
  EXPECT_EQ(task.items[2].seconds, std::nullopt);
  EXPECT_EQ(task.worked, 1);
  EXPECT_EQ(task.failed, 1);
  EXPECT_EQ(task.untouched, 1);
  ASSERT_EQ(task.missing.size(), 1U);
  EXPECT_NEAR(task.missing[0].seconds.value(), 79, 1e-6);
  EXPECT_EQ(task.role, "the commander");
}

TEST(GameDayFigures, ARepeatedTaskHasItsOwnTicksEachTimeAndTheLastOneCounts) {
  Day day = synthetic::payments_day();
  day.add(EntryKind::step_begun, 200, "respond").times = 1;
  day.say(EntryKind::tick, 210, kBob, DayRole::commander, "", "respond").item = 1;
  api::DayEntry& again = day.say(EntryKind::tick, 220, kBob, DayRole::commander, "", "respond");
  again.item = 1;
  again.good = true;
  // One that came late belongs to when it happened.
  api::DayEntry& late = day.say(EntryKind::tick, 60, kBob, DayRole::commander, "", "respond");
  late.item = 3;
  late.good = true;
  late.recordedAt = at(300);
  const api::GameDayReport report = day.report();
  ASSERT_EQ(report.tasks.size(), 2U);
  EXPECT_EQ(report.tasks[0].items[2].worked, true);
  EXPECT_EQ(report.tasks[1].items[0].worked, true);
  EXPECT_EQ(report.tasks[1].items[0].ticks, 2);
  EXPECT_NEAR(report.tasks[1].items[0].seconds.value(), 20, 1e-6);
  expect_recomputed(day);
}

TEST(GameDayFigures, OfAnEmptyDayThereAreNone) {
  const Day day = synthetic::blank_day();
  expect_recomputed(day);
  const api::GameDayReport report = day.report();
  EXPECT_EQ(report.mttd.of, 0);
  EXPECT_EQ(report.mttd.seconds, std::nullopt);
  EXPECT_THAT(report.summary, HasSubstr("No fault was begun"));
}

TEST(GameDayFigures, AnAbortedDayHasThoseOfWhatWasDone) {
  Day day = synthetic::payments_day();
  auto& entries = day.record.entries;
  std::erase_if(entries, [](const api::DayEntry& entry) { return entry.at > at(45); });
  day.record.state = api::DayState::aborted;
  day.record.stateReason = "an abort condition holds";
  day.say(EntryKind::aborted, 46, kBob, DayRole::commander, "enough");
  day.add(EntryKind::over, 47).word = "aborted";
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i].number = i + 1;
  expect_recomputed(day);
  const api::GameDayReport report = day.report();
  EXPECT_EQ(report.mttd.known, 1);
  EXPECT_EQ(report.mttd.of, 1);
  EXPECT_THAT(report.summary, HasSubstr("aborted"));
}

TEST(GameDayFigures, AMissingReportIsAGapAndNoGuess) {
  Day day = synthetic::payments_day();
  day.runs.erase("slow-1");
  expect_recomputed(day);
  const api::GameDayReport report = day.report();
  EXPECT_EQ(report.mttd.known, 1);
  EXPECT_EQ(report.mttd.of, 2);
  EXPECT_EQ(run_of(report, "slow-1").noticed, std::nullopt);
  EXPECT_TRUE(std::ranges::any_of(report.gaps, [](const api::DayGap& gap) {
    return gap.where == "slow-1" && gap.what.empty() &&
           gap.reason.find("is missing") != std::string::npos;
  }));
}

TEST(GameDayFigures, WithoutAlertsAPersonIsTheDetection) {
  Day day = synthetic::payments_day();
  for (auto& [id, run] : day.runs) run.detections.clear();
  std::erase_if(day.record.entries,
                [](const api::DayEntry& entry) { return entry.kind == EntryKind::alert; });
  for (std::size_t i = 0; i < day.record.entries.size(); ++i) day.record.entries[i].number = i + 1;
  expect_recomputed(day);
  const api::GameDayReport report = day.report();
  const api::DayRun& slow = run_of(report, "slow-1");
  EXPECT_NEAR(slow.detection.seconds.value(), 47.5 - 10.2061, 1e-6);
  EXPECT_THAT(slow.acknowledgement.since, HasSubstr("first injected event"));
  EXPECT_NEAR(slow.acknowledgement.seconds.value(), 47.5 - 10.2061, 1e-6);
}

TEST(GameDayFigures, WhenTheMonitoringCouldNotBeAskedNoPersonStandsForIt) {
  Day day = synthetic::payments_day();
  api::DetectionReport& alert = day.runs["refused-1"].detections[0];
  alert.verdict = api::DetectionVerdict::unknown;
  alert.reason = "Prometheus did not answer";
  day.say(EntryKind::acknowledged, 155, kBob, DayRole::commander, "mine");
  expect_recomputed(day);
  const api::GameDayReport report = day.report();
  const api::DayRun& run = run_of(report, "refused-1");
  EXPECT_EQ(run.detection.seconds, std::nullopt);
  EXPECT_EQ(run.noticed, std::nullopt);
  EXPECT_THAT(run.detection.reason, HasSubstr("Prometheus did not answer"));
  EXPECT_EQ(run.acknowledgement.seconds, std::nullopt) << "after what?";
}

TEST(GameDayFigures, AnEntryThatCouldBeAboutTwoFaultsIsAboutNone) {
  Day day = synthetic::payments_day();
  // The second fault begins while the first acts.
  day.runs["refused-1"] = synthetic::later(synthetic::refused_report(), 10);
  day.runs["refused-1"].run = "refused-1";
  for (api::DayEntry& entry : day.record.entries) {
    if (entry.run == "refused-1") entry.at = at(entry.kind == EntryKind::run_begun ? 10 : 61);
    if (entry.kind == EntryKind::found) entry.at = at(40);
  }
  expect_recomputed(day);
  const api::GameDayReport report = day.report();
  for (const api::DayRun& run : report.runs) {
    EXPECT_EQ(run.repair.seconds, std::nullopt) << run.run;
    EXPECT_THAT(run.repair.reason, HasSubstr("another one"));
  }
  // What names its fault is still told: the alert that only one expects, and the step.
  EXPECT_TRUE(run_of(report, "slow-1").acknowledgement.seconds);
  EXPECT_NEAR(run_of(report, "refused-1").detection.seconds.value(), 40 - 20.24, 1e-6);
}

TEST(GameDayFigures, AnAwaitedAlertThatNoRunExpectsCounts) {
  Day day = synthetic::payments_day();
  day.runs["slow-1"].detections.clear();
  expect_recomputed(day);
  const api::GameDayReport report = day.report();
  const api::DayRun& slow = run_of(report, "slow-1");
  EXPECT_NEAR(slow.detection.seconds.value(), 42.5 - 10.2061, 1e-6);
  EXPECT_THAT(slow.detection.until, HasSubstr("awaited"));
}

TEST(GameDayFigures, PeopleWhoNoticeBeforeTheAlertAreASurprise) {
  Day day = synthetic::payments_day();
  for (api::DayEntry& entry : day.record.entries)
    if (entry.kind == EntryKind::acknowledged) entry.at = at(20);
  expect_recomputed(day);
  const api::GameDayReport report = day.report();
  const api::DayRun& slow = run_of(report, "slow-1");
  EXPECT_NEAR(slow.detection.seconds.value(), 31.5, 1e-6);
  EXPECT_NEAR(slow.acknowledgement.seconds.value(), 20 - 10.2061, 1e-6);
  EXPECT_THAT(slow.acknowledgement.since, HasSubstr("had not fired yet"));
  EXPECT_TRUE(std::ranges::any_of(report.surprises, [](const api::DaySurprise& one) {
    return one.kind == api::SurpriseKind::people_first;
  }));
}

TEST(GameDayFigures, SurprisesAndWhatWasBelieved) {
  const api::GameDayReport report = synthetic::payments_day().report();
  std::map<api::SurpriseKind, int> kinds;
  for (const api::DaySurprise& one : report.surprises) ++kinds[one.kind];
  EXPECT_EQ(kinds[api::SurpriseKind::hidden], 1);
  EXPECT_EQ(kinds[api::SurpriseKind::unexpected_alert], 1);
  EXPECT_GE(kinds[api::SurpriseKind::missed], 1);
  const auto found =
      std::ranges::find(report.surprises, api::SurpriseKind::hidden, &api::DaySurprise::kind);
  EXPECT_NEAR(found->seconds.value(), 32, 1e-6);
  EXPECT_FALSE(report.beliefs.empty());
}

TEST(GameDayFigures, AHoleInTheTimelineIsAGap) {
  Day day = synthetic::payments_day();
  day.record.entries.erase(day.record.entries.begin() + 7);
  EXPECT_TRUE(std::ranges::any_of(day.report().gaps, [](const api::DayGap& gap) {
    return gap.reason == "entry 8 is missing";
  }));
}

// The day before: the same, but that nobody found what was refused.
api::GameDayReport day_before() {
  Day day = synthetic::payments_day();
  day.record.day = "payments-day-1";
  std::erase_if(day.record.entries,
                [](const api::DayEntry& entry) { return entry.kind == EntryKind::found; });
  return day.report();
}

TEST(GameDayFigures, TheNextDaySaysWhichActionItemsChangedAnything) {
  const std::vector<api::GameDayReport> earlier{day_before()};
  ASSERT_EQ(run_of(earlier[0], "refused-1").noticed, false);
  const Day day = synthetic::payments_day();
  expect_recomputed(day, earlier);
  const api::GameDayReport report = day.report(earlier);
  ASSERT_EQ(report.followUps.size(), 1U);
  EXPECT_EQ(report.followUps[0].change, api::DayChange::better) << report.followUps[0].words;
  EXPECT_EQ(report.followUps[0].day, "payments-day-1");
  ASSERT_TRUE(report.comparison);
  EXPECT_EQ(report.comparison->detection, api::DayChange::better);
  ASSERT_EQ(report.trend.size(), 2U);
  EXPECT_EQ(report.trend[0].mttd.known, 1);
  EXPECT_EQ(report.trend[1].mttd.known, 2);

  const api::GameDayReport again = day.report({report});  // a day of the same id is not itself
  EXPECT_FALSE(again.comparison);
  api::GameDayReport other = earlier[0];
  other.name = "another-day";
  EXPECT_FALSE(day.report({other}).comparison);
}

TEST(GameDayFigures, AnActionItemWhoseStepWasNotBegunIsNotRetested) {
  Day day = synthetic::payments_day();
  std::erase_if(day.record.entries,
                [](const api::DayEntry& entry) { return entry.step == "refused"; });
  const api::GameDayReport report = day.report({day_before()});
  ASSERT_EQ(report.followUps.size(), 1U);
  EXPECT_EQ(report.followUps[0].change, api::DayChange::not_retested);
}

TEST(GameDayFigures, AReportComesBackFromItsJson) {
  const std::vector<api::GameDayReport> earlier{day_before()};
  const api::GameDayReport report = synthetic::payments_day().report(earlier);
  const std::string text = gameday_json(report);
  const auto again = api::parse_gameday_report(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(gameday_json(*again), text);
  EXPECT_EQ(json::parse(gameday_actions_json(report)), json::parse(text).at("actions"));
}

}  // namespace
}  // namespace faultline::report
