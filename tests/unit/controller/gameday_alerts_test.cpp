// SPDX-License-Identifier: Apache-2.0
// What a day writes down of alerts, of the monitoring's silence, of holds, skips and what was
// found.
#include "tests/unit/controller/gameday_driven.h"

namespace faultline::controller::gameday {
namespace {

constexpr const char* kWait = "  - {name: wait, waitFor: {alert: Slow, labels: {svc: checkout}}}\n";

SeenAlert slow(const std::string& svc) { return {"Slow", {{"svc", svc}}}; }

// "gap monitoring", "known monitoring", "alert Slow{...}", "silent Slow{...}"
std::vector<std::string> heard(Driven& day) {
  std::vector<std::string> out;
  for (const api::DayEntry& entry : day.day().record().entries)
    if (entry.kind == EntryKind::gap)
      out.push_back((entry.good ? "known " : "gap ") + entry.word);
    else if (entry.kind == EntryKind::alert)
      out.push_back((entry.good ? "silent " : "alert ") + entry.text);
  return out;
}

TEST(GameDayAlerts, TheMonitoringsSilenceAndItsEndAreWrittenDown) {
  Driven day(kWait);
  day.seen.alerts_anew = true;
  day.pass(seconds(1));
  EXPECT_THAT(heard(day), IsEmpty()) << "the first answer has a moment";
  day.seen.alerts.emplace();
  day.settle();
  day.seen.alerts_anew = false;
  day.pass(seconds(10));
  EXPECT_THAT(heard(day), IsEmpty());
  day.seen.alerts.reset();
  day.pass(seconds(1));
  day.seen.alerts_anew = true;
  day.pass(seconds(6));
  EXPECT_THAT(heard(day), ElementsAre("gap monitoring"));
  EXPECT_EQ(day.day().record().entries.back().at.value, kBegin + seconds(12));
  day.seen.alerts.emplace({slow("checkout")});
  day.settle();
  EXPECT_THAT(heard(day),
              ElementsAre("gap monitoring", "known monitoring", "alert Slow{svc=\"checkout\"}"));
  ASSERT_THAT(day.day().record().gaps, SizeIs(1));
  EXPECT_EQ(day.day().record().gaps[0].to.value, kBegin + seconds(18));
}

TEST(GameDayAlerts, NoAnswerAtAllIsAGapFromTheBeginOfTheDay) {
  Driven day(kWait);
  day.seen.alerts_anew = true;
  day.pass(seconds(4));
  ASSERT_THAT(heard(day), ElementsAre("gap monitoring"));
  EXPECT_EQ(day.day().record().gaps[0].from.value, kBegin);
}

TEST(GameDayAlerts, WhatFiresAtTheFirstAnswerMayHaveBegunBefore) {
  Driven day(kWait);
  day.seen.alerts_anew = true;
  day.pass(seconds(1));
  day.seen.alerts.emplace({slow("checkout")});
  day.settle();
  EXPECT_THAT(heard(day),
              ElementsAre("gap monitoring", "known monitoring", "alert Slow{svc=\"checkout\"}"));
}

TEST(GameDayAlerts, AControllerThatWasRestartedSaysThatNobodyAsked) {
  Driven day(kWait);
  day.seen.alerts.emplace();
  day.settle();
  Day again(api::GameDayRecord(day.day().record()));
  Seen seen{.now = kBegin + seconds(60), .alerts_anew = true};
  seen.alerts.emplace();
  const auto entries = again.advance(seen);
  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_EQ(entries[0].word, kMonitoring);
  EXPECT_EQ(entries[0].at.value, kBegin);
  EXPECT_THAT(entries[0].text, HasSubstr("restarted"));
  EXPECT_TRUE(entries[1].good);
  again.apply(entries);
  EXPECT_THAT(again.advance(seen), IsEmpty());
}

TEST(GameDayAlerts, OfManyThatFireInAnyOrderNoneIsSaidToBeSilent) {
  Driven day(
      "  - {name: wait, waitFor: {alert: Slow, labels: {svc: z}}}\n  - {name: p, pause: 9s}\n");
  std::vector<SeenAlert> all;
  for (int i = 0; i < 300; ++i) all.push_back(slow(std::to_string(i)));
  all.push_back(slow("z"));
  day.seen.alerts_anew = false;
  day.seen.alerts = all;
  day.settle();
  std::ranges::reverse(all);
  day.seen.alerts = all;
  day.pass(seconds(1));
  std::size_t fired = 0, silent = 0, gaps = 0;
  for (const std::string& word : heard(day)) {
    fired += word.starts_with("alert ") ? 1U : 0U;
    silent += word.starts_with("silent ") ? 1U : 0U;
    gaps += word == "gap alerts-at-once" ? 1U : 0U;
  }
  EXPECT_EQ(fired, 200U);
  EXPECT_EQ(silent, 0U);
  EXPECT_EQ(gaps, 1U);
  EXPECT_THAT(heard(day), testing::Contains("alert Slow{svc=\"z\"}")) << "it is awaited";
  day.seen.alerts->resize(1);
  day.settle();
  const std::vector<std::string> after = heard(day);
  EXPECT_EQ(std::ranges::count_if(after, [](const auto& w) { return w.starts_with("silent "); }),
            199);
}

TEST(GameDayAlerts, AQuoteInALabelIsWrittenSoThatItCanBeRead) {
  EXPECT_EQ(alert_words("A", {{"x", "a\"b\\c"}}), "A{x=\"a\\\"b\\\\c\"}");
}

TEST(GameDayCourse, TimeInWhichTheDayIsHeldIsOfNoDeadline) {
  Driven day(
      "  - {name: one, deadline: 10s, waitFor: {person: ready}}\n  - {name: two, pause: 5s}\n", "",
      false);
  EXPECT_TRUE(day.say({.kind = EntryKind::started}));
  day.pass(seconds(4));
  EXPECT_TRUE(day.say({.kind = EntryKind::held}));
  day.pass(seconds(60));
  EXPECT_EQ(day.outcome("one"), std::nullopt);
  EXPECT_TRUE(day.say({.kind = EntryKind::resumed}));
  day.pass(seconds(5));
  EXPECT_EQ(day.outcome("one"), std::nullopt);
  day.pass(seconds(1));
  EXPECT_EQ(day.outcome("one"), StepOutcome::missed);
  // Also after a restart, in a hold.
  EXPECT_TRUE(day.say({.kind = EntryKind::held}));
  Day again(api::GameDayRecord(day.day().record()));
  EXPECT_THAT(again.advance({.now = kBegin + seconds(600)}), IsEmpty());
}

TEST(GameDayCourse, ASkipIsOfOneRound) {
  Driven day(
      "  - name: g\n    repeat: 2\n    serial:\n    - {name: w, waitFor: {person: ready}}\n"
      "    - {name: s, note: Hello}\n",
      "", false);
  EXPECT_TRUE(day.say({.kind = EntryKind::skipped, .step = "s"}));
  EXPECT_TRUE(day.say({.kind = EntryKind::started}));
  for (int round = 0; round < 2; ++round)
    EXPECT_TRUE(day.say({.kind = EntryKind::answered, .step = "w"}));
  std::vector<StepOutcome> outcomes;
  for (const api::DayEntry& entry : day.day().record().entries)
    if (entry.kind == EntryKind::step_over && entry.step == "s") outcomes.push_back(*entry.outcome);
  EXPECT_THAT(outcomes, ElementsAre(StepOutcome::skipped, StepOutcome::done));
}

TEST(GameDayCourse, WhatIsFoundInsideASurpriseGroupRevealsTheGroup) {
  Driven day(
      "  - name: g\n    surprise: true\n    serial:\n    - {name: inner, waitFor: {person: x}}\n",
      "  roles: {facilitator: [jane]}\n", false);
  EXPECT_TRUE(day.say({.kind = EntryKind::started}));
  EXPECT_THAT(day.day().view("joe", 0).steps, IsEmpty());
  ASSERT_TRUE(day.say({.kind = EntryKind::found, .step = "inner", .text = "it is the disk"}));
  EXPECT_THAT(day.day().view("joe", 0).steps, SizeIs(2));
}

}  // namespace
}  // namespace faultline::controller::gameday
