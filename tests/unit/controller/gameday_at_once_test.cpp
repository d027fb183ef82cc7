// SPDX-License-Identifier: Apache-2.0
// People who say things in the same moment, and steps that are done several times.
#include "tests/unit/controller/gameday_driven.h"

namespace faultline::controller::gameday {
namespace {

constexpr const char* kTwoWaits =
    "    - {name: a, waitFor: {person: ok}}\n"
    "    - {name: b, waitFor: {person: ok}}\n";

TEST(GameDayAtOnce, OfTwoPeopleWhoPressNextOneIsHeard) {
  Driven day(kTwoWaits, {}, false);
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  ASSERT_TRUE(day.say({.kind = EntryKind::answered}, "jane"));
  const auto second = day.say({.kind = EntryKind::answered}, "joe");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kConflict);
  EXPECT_THAT(second.error().message, HasSubstr("the next is step b"));
  EXPECT_EQ(day.outcome("b"), std::nullopt);
  // Who names the step means it, and so does whoever comes later.
  Driven named(kTwoWaits, {}, false);
  ASSERT_TRUE(named.say({.kind = EntryKind::started}));
  ASSERT_TRUE(named.say({.kind = EntryKind::answered}, "jane"));
  EXPECT_TRUE(named.say({.kind = EntryKind::answered, .step = "b"}, "joe"));
  day.pass(seconds(3));
  EXPECT_TRUE(day.say({.kind = EntryKind::answered}, "joe"));
  EXPECT_EQ(day.state(), api::DayState::completed);
}

TEST(GameDayAtOnce, WhoPressesNextTwiceIsHeardTwice) {
  Driven day(kTwoWaits, {}, false);
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  EXPECT_TRUE(day.say({.kind = EntryKind::answered}));
  EXPECT_TRUE(day.say({.kind = EntryKind::answered}));
  EXPECT_EQ(day.state(), api::DayState::completed);
}

TEST(GameDayAtOnce, AWordThatComesLateIsNotAboutAStepThatBeganAfterIt) {
  Driven day(kTwoWaits, {}, false);
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  const api::Timestamp said{day.seen.now};
  day.pass(seconds(60));
  ASSERT_TRUE(day.say({.kind = EntryKind::answered}));
  day.pass(seconds(60));
  const auto late = day.say({.kind = EntryKind::answered, .at = said});
  ASSERT_FALSE(late);
  EXPECT_THAT(late.error().message, HasSubstr("step b began after this was said"));
}

TEST(GameDayAtOnce, OneRoundEndsWhenTwoPeopleEndIt) {
  for (const EntryKind kind : {EntryKind::answered, EntryKind::skipped}) {
    const bool answers = kind == EntryKind::answered;
    Driven day(answers ? "    - {name: a, repeat: 3, task: {text: x}}\n"
                       : "    - {name: g, repeat: 3, serial: [{name: a, task: {text: x}}]}\n",
               {}, false);
    ASSERT_TRUE(day.say({.kind = EntryKind::started}));
    ASSERT_TRUE(day.say({.kind = kind, .step = "a"}, "jane"));
    const auto second = day.say({.kind = kind, .step = "a"}, "joe");
    ASSERT_FALSE(second) << answers;
    EXPECT_EQ(second.error().code, Errc::kConflict);
    day.pass(seconds(3));
    EXPECT_TRUE(day.say({.kind = kind, .step = "a"}, "joe"));
    EXPECT_EQ(day.state(), api::DayState::running);
  }
}

TEST(GameDayAtOnce, AStepEndsAsTheFirstWordSays) {
  for (const bool skip_first : {false, true}) {
    Driven day("    - {name: a, task: {text: x}}\n", {}, false);
    ASSERT_TRUE(day.say({.kind = EntryKind::started}));
    const api::DayWord skip{.kind = EntryKind::skipped, .key = "key-of-skip", .step = "a"};
    const api::DayWord done{.kind = EntryKind::answered, .key = "key-of-done", .step = "a"};
    // Both are heard before the day goes on.
    const auto first = day.day().say(skip_first ? skip : done, "jane", "cli", day.seen.now);
    ASSERT_TRUE(first);
    day.day().apply({*first});
    const auto second = day.day().say(skip_first ? done : skip, "joe", "cli", day.seen.now);
    ASSERT_FALSE(second) << skip_first;
    EXPECT_EQ(second.error().code, Errc::kConflict);
    day.settle();
    EXPECT_EQ(day.outcome("a"), skip_first ? StepOutcome::skipped : StepOutcome::met);
  }
}

TEST(GameDayAtOnce, AnAnswerCountsThoughItsGroupOrTheDayEndsInTheSameMoment) {
  for (const bool aborted : {false, true}) {
    Driven day(
        "    - {name: g, deadline: 10s, parallel: [{name: a, task: {text: x}}, {name: b, "
        "task: {text: x}}]}\n",
        {}, false);
    ASSERT_TRUE(day.say({.kind = EntryKind::started}));
    const auto done =
        day.day().say({.kind = EntryKind::answered, .key = "key-of-done", .step = "a"}, "jane",
                      "cli", day.seen.now);
    ASSERT_TRUE(done);
    day.day().apply({*done});
    if (aborted) {
      const auto abort = day.day().say({.kind = EntryKind::aborted, .key = "key-of-abort"}, "joe",
                                       "cli", day.seen.now);
      ASSERT_TRUE(abort);
      day.day().apply({*abort});
    }
    day.pass(seconds(11));
    EXPECT_EQ(day.outcome("a"), StepOutcome::met) << aborted;
    EXPECT_EQ(day.outcome("b"), aborted ? StepOutcome::aborted : StepOutcome::missed);
  }
}

TEST(GameDayAtOnce, AMissInAnEarlierRoundIsSaidAtTheEnd) {
  Driven day(
      "    - {name: a, repeat: 2, task: {text: x}}\n"
      "    - {name: g, repeat: 2, serial: [{name: b, task: {text: x}}]}\n",
      {}, false);
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  for (const StepOutcome outcome :
       {StepOutcome::met, StepOutcome::missed, StepOutcome::missed, StepOutcome::met})
    ASSERT_TRUE(day.say({.kind = EntryKind::answered, .outcome = outcome}));
  EXPECT_EQ(day.state(), api::DayState::completed);
  EXPECT_EQ(day.day().record().stateReason,
            "2 of 4 steps missed; the first: a (time 2) ended as missed");
}

TEST(GameDayAtOnce, AGroupThatMissedByItselfIsSaidAtTheEnd) {
  Driven day(
      "    - {name: g, deadline: 10s, serial: [{name: a, task: {text: x}}, {name: b, pause: "
      "1s}]}\n",
      {}, false);
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  const auto now = [&](api::DayWord word) {  // nothing follows from it yet
    word.key = "key-" + word_of(word.kind);
    const auto entry = day.day().say(word, "jane", "cli", day.seen.now);
    ASSERT_TRUE(entry);
    day.day().apply({*entry});
  };
  now({.kind = EntryKind::answered, .step = "a"});
  now({.kind = EntryKind::held});
  day.settle();
  now({.kind = EntryKind::resumed});
  day.pass(seconds(11));
  EXPECT_EQ(day.outcome("a"), StepOutcome::met);
  EXPECT_EQ(day.outcome("g"), StepOutcome::missed);
  EXPECT_EQ(day.day().record().stateReason, "1 of 2 steps missed; the first: g ended as missed");
}

TEST(GameDayAtOnce, WhatEndsWithItsGroupSaysWhichTimeItWas) {
  Driven day("    - {name: g, deadline: 10s, serial: [{name: a, repeat: 3, task: {text: x}}]}\n",
             {}, false);
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  ASSERT_TRUE(day.say({.kind = EntryKind::answered, .step = "a"}));
  day.pass(seconds(11));
  const std::vector<api::DayEntry>& entries = day.day().record().entries;
  const auto over = std::ranges::find_if(entries, [](const api::DayEntry& entry) {
    return entry.kind == EntryKind::step_over && entry.outcome == StepOutcome::missed;
  });
  ASSERT_NE(over, entries.end());
  EXPECT_EQ(over->step, "a");
  EXPECT_EQ(over->times, 1);
}

TEST(GameDayAtOnce, AClockThatIsSetIsAGap) {
  Driven day("    - {name: a, task: {text: x}}\n", {}, false);
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  for (const seconds set : {seconds(3600), seconds(-60)}) {
    day.seen.now += set;
    day.seen.clock_set = set;
    const auto entries = day.day().advance(day.seen);
    ASSERT_THAT(entries, SizeIs(1));
    EXPECT_EQ(entries[0].kind, EntryKind::gap);
    EXPECT_THAT(entries[0].text, HasSubstr(set > seconds(0) ? "forward by" : "back by"));
    day.day().apply(entries);
    day.seen.clock_set = seconds(0);
  }
  EXPECT_THAT(day.day().record().gaps, SizeIs(2));
}

}  // namespace
}  // namespace faultline::controller::gameday
