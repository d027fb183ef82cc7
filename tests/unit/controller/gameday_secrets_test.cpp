// SPDX-License-Identifier: Apache-2.0
// What each person sees of the timeline of a game day, and how much of it one may write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/gameday/day.h"
#include "controller/gameday/words.h"

namespace faultline::controller::gameday {
namespace {

using api::EntryKind;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

const UtcTime kBegin = UtcTime(std::chrono::sys_days(std::chrono::year(2026) / 11 / 29));

// A day with a facilitator, fay; it has started.
class Watched {
 public:
  explicit Watched(const std::string& steps, const std::string& checks = "[]",
                   const std::string& roles = "{facilitator: [fay]}")
      : day_(Day::create(parsed(steps, checks, roles), "day-1", "fay", false, kBegin)) {
    seen.now = kBegin;
    settle();
  }
  static api::GameDay parsed(const std::string& steps, const std::string& checks,
                             const std::string& roles) {
    auto day = api::parse_gameday(
        "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: day, namespace: "
        "shop}\n"
        "spec:\n  title: Payments is slow\n  roles: " +
            roles + "\n  preChecks: " + checks + "\n  steps:\n" + steps,
        "day.yaml");
    if (!day) throw std::runtime_error(day.error().message);
    return *day;
  }
  void settle() {
    for (int i = 0; i < 1000; ++i) {
      const auto entries = day_.advance(seen);
      if (entries.empty()) return;
      day_.apply(entries);
    }
    FAIL() << "the day never comes to rest";
  }
  Result<api::DayEntry> say(api::DayWord word, const std::string& who = "fay") {
    word.key = "key-" + std::to_string(++keys_) + "-of-a-word";
    auto entry = day_.say(word, who, "cli", seen.now);
    if (entry) day_.apply({*entry});
    settle();
    return entry;
  }
  // As somebody who asks again and again for what is new.
  void follow(const std::string& who, std::vector<api::DayEntry>& known) const {
    const std::uint64_t after = known.empty() ? 0 : known.back().number;
    for (api::DayEntry& entry : day_.view(who, after).entries) known.push_back(std::move(entry));
  }
  Day& day() { return day_; }
  Seen seen;

 private:
  Day day_;
  int keys_ = 0;
};

constexpr const char* kTwice =
    "  - name: g\n    repeat: 2\n    serial:\n    - {name: boo, surprise: true, waitFor: {person: "
    "x}}\n    - {name: bar, waitFor: {person: y}}\n";

TEST(GameDaySecrets, NumbersHaveNoHoleAndAFollowerMissesNothingOfASecondRound) {
  Watched day(kTwice);
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  std::vector<api::DayEntry> joe, fay;
  for (int round = 0; round < 2; ++round) {
    day.follow("joe", joe);
    const std::uint64_t newest = day.day().newest("joe");
    EXPECT_EQ(newest, joe.back().number);
    ASSERT_TRUE(day.say({.kind = EntryKind::note, .step = "boo", .text = "secret"}));
    EXPECT_EQ(day.day().newest("joe"), newest) << "he waits on";
    const auto note = day.say({.kind = EntryKind::note, .text = "his"}, "joe");
    EXPECT_EQ(day.day().number_for("joe", note->number), newest + 1);
    day.follow("joe", joe);
    for (const api::DayEntry& entry : joe) EXPECT_TRUE(round == 1 || entry.step != "boo");
    ASSERT_TRUE(day.say({.kind = EntryKind::answered, .step = "boo"}));
    day.follow("joe", joe);
    ASSERT_TRUE(day.say({.kind = EntryKind::answered, .step = "bar"}));
    day.follow("joe", joe);
    day.follow("fay", fay);
  }
  ASSERT_TRUE(day.day().over());
  EXPECT_THAT(joe, SizeIs(fay.size()));
  for (std::size_t i = 0; i < joe.size(); ++i) EXPECT_EQ(joe[i].number, i + 1);
  // The same after a restart.
  const Day again(day.day().record());
  const auto view = again.view("joe", 0);
  ASSERT_THAT(view.entries, SizeIs(joe.size()));
  for (std::size_t i = 0; i < joe.size(); ++i)
    EXPECT_EQ(view.entries[i].text + view.entries[i].step, joe[i].text + joe[i].step) << i;
}

TEST(GameDaySecrets, AQuietRunIsHiddenBeforeTheDayKnowsOfItAndStaysShown) {
  Watched day(
      "  - name: g\n    repeat: 2\n    serial:\n    - {name: boo, surprise: true, experiment: "
      "{spec: "
      "{target: {selector: {namespaces: [shop]}}, faults: [{networkLoss: {loss: 10%}}]}}}\n"
      "    - {name: bar, waitFor: {person: y}}\n");
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  const auto wanted = day.day().wanted().runs;
  ASSERT_THAT(wanted, SizeIs(1));
  EXPECT_TRUE(day.day().hides("r1", wanted[0].key));
  EXPECT_TRUE(day.day().hides("r1", "gameday/day-1//rehearsal"));
  EXPECT_TRUE(day.day().hides("r1", "gameday/day-1/nobody-knows/0"));
  EXPECT_TRUE(wanted[0].name.starts_with(day.day().quiet_prefix()));
  EXPECT_EQ(day.day().experiment_of(wanted[0]).metadata.name, wanted[0].name);
  SeenRun& run = day.seen.runs[wanted[0].key];
  run.run = "r1";
  day.settle();
  EXPECT_TRUE(day.day().hides("r1", wanted[0].key));
  run.over = true;
  run.state = api::RunState::Completed;
  run.verdict = api::RunVerdict::met;
  day.settle();
  EXPECT_FALSE(day.day().hides("r1", wanted[0].key));
  ASSERT_TRUE(day.say({.kind = EntryKind::answered, .step = "bar"}));
  const auto second = day.day().wanted().runs;
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_TRUE(day.day().hides("r2", second[0].key));
  EXPECT_FALSE(day.day().hides("r1", wanted[0].key)) << "of the first round";
}

TEST(GameDaySecrets, WhatACheckSaysOfASurpriseIsTheFacilitators) {
  Watched day("  - {name: boo, surprise: true, waitFor: {person: x}}\n", "[targets]");
  day.seen.checks[api::PreCheck::targets] = {.good = true,
                                             .text = "0 pods will be hit",
                                             .secret = "with boo 4 pods will be hit",
                                             .secret_step = "boo",
                                             .secret_run = "r7"};
  day.settle();
  const auto text_of = [&](const std::string& who) {
    std::string all;
    for (const api::DayEntry& entry : day.day().view(who, 0).entries)
      all += entry.step + entry.text + entry.run;
    return all;
  };
  EXPECT_THAT(text_of("fay"), HasSubstr("with boo 4 pods"));
  EXPECT_THAT(text_of("joe"), Not(HasSubstr("boo")));
  EXPECT_THAT(text_of("joe"), Not(HasSubstr("r7")));
  EXPECT_THAT(day.day().hidden_runs(), testing::ElementsAre("r7"));
  EXPECT_EQ(day.day().record().state, api::DayState::waiting);
}

TEST(GameDaySecrets, ThatTheDayIsHeldEverybodySeesAndNotByWhat) {
  Watched day(
      "  - name: g\n    surprise: true\n    serial:\n    - {name: boo, onMiss: hold, waitFor: "
      "{person: x}}\n    - {name: more, waitFor: {person: x}}\n");
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  ASSERT_TRUE(
      day.say({.kind = EntryKind::answered, .step = "boo", .outcome = api::StepOutcome::missed}));
  EXPECT_EQ(day.day().record().state, api::DayState::held);
  const auto view = day.day().view("joe", 0);
  EXPECT_EQ(view.entries.back().kind, EntryKind::held);
  for (const api::DayEntry& entry : view.entries) {
    EXPECT_THAT(entry.text, Not(HasSubstr("boo")));
    EXPECT_EQ(entry.step, "");
  }
}

TEST(GameDaySecrets, NoKindOfWordTellsWhetherAStepIsThere) {
  Watched day("  - {name: boo, surprise: true, waitFor: {person: x}}\n");
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  for (const EntryKind kind :
       {EntryKind::note, EntryKind::missing, EntryKind::acknowledged, EntryKind::mitigated,
        EntryKind::tick, EntryKind::answered, EntryKind::action}) {
    const api::DayWord word{.kind = kind,
                            .step = "boo",
                            .text = "x",
                            .item = 1,
                            .action = api::ActionItem{.text = "x"}};
    const auto said = day.say(word, "joe");
    ASSERT_FALSE(said) << word_of(kind);
    EXPECT_THAT(said.error().message, HasSubstr("there is no step \"boo\"")) << word_of(kind);
  }
}

TEST(GameDaySecrets, AViewIsAPage) {
  Watched day("  - {name: sure, waitFor: {person: x}}\n", "[]", "{}");
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  for (int i = 0; i < 1200; ++i)
    ASSERT_TRUE(day.say({.kind = EntryKind::note, .text = std::to_string(i)}, "joe"));
  std::uint64_t after = 0;
  std::size_t pages = 0;
  while (after < day.day().newest("joe")) {
    const auto view = day.day().view("joe", after, kPage);
    ASSERT_THAT(view.entries, Not(IsEmpty()));
    EXPECT_LE(view.entries.size(), kPage.entries);
    EXPECT_EQ(view.entries.front().number, after + 1);
    EXPECT_GE(day.day().view_bytes("joe", after), view.entries.size() * 200);
    after = view.entries.back().number;
    ++pages;
  }
  EXPECT_EQ(pages, 3U);
  EXPECT_THAT(day.day().view("joe", 99'999, kPage).entries, IsEmpty());
  EXPECT_THAT(day.day().view("joe", 0, {500, 1}).entries, SizeIs(1)) << "however long one is";
}

TEST(GameDaySecrets, NobodyFillsTheTimelineAndTicksAlwaysHaveRoom) {
  Watched day("  - {name: fix, task: {runbook: {text: \"1. look\\n2. mend\\n\"}}}\n", "[]", "{}");
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  const api::ActionItem item{.text = std::string(1000, 'a')};
  int actions = 0;
  while (actions < 3000 && day.say({.kind = EntryKind::action, .action = item}, "eve")) ++actions;
  EXPECT_LT(actions, 300) << "the texts of action items count";
  const std::string text(1000, 'x');
  for (int i = 0; i < 30; ++i)
    while (day.say({.kind = EntryKind::note, .text = text}, "eve" + std::to_string(i))) continue;
  const auto note = day.say({.kind = EntryKind::note, .text = "x"}, "joe");
  ASSERT_FALSE(note);
  EXPECT_THAT(note.error().message, HasSubstr("full"));
  for (const EntryKind kind : {EntryKind::acknowledged, EntryKind::mitigated})
    EXPECT_TRUE(day.say({.kind = kind}, "joe"));
  EXPECT_TRUE(day.say({.kind = EntryKind::tick, .step = "fix", .item = 1}, "joe"));
  EXPECT_TRUE(day.say({.kind = EntryKind::answered, .step = "fix"}, "joe"));
}

TEST(GameDaySecrets, AnActionItemIsDueOnADayThatThereIs) {
  Watched day("  - {name: sure, waitFor: {person: x}}\n");
  for (const char* due : {"2026-02-31", "0000-00-00", "2026-13-01", "2027-02-29"})
    EXPECT_FALSE(day.say({.kind = EntryKind::action, .action = api::ActionItem{"x", "", due, ""}}))
        << due;
  for (const char* due : {"", "2026-12-31", "2028-02-29"})
    EXPECT_TRUE(day.say({.kind = EntryKind::action, .action = api::ActionItem{"x", "", due, ""}}))
        << due;
}

TEST(GameDaySecrets, NobodyHoldsAndSkipsForEver) {
  Watched day("  - {name: sure, waitFor: {person: x}}\n  - {name: last, waitFor: {person: x}}\n",
              "[]", "{}");
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  ASSERT_TRUE(day.say({.kind = EntryKind::skipped, .step = "last"}, "eve"));
  const auto again = day.say({.kind = EntryKind::skipped, .step = "last"}, "eve");
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("skipped already"));
  std::size_t holds = 0;
  while (holds < 5000 && day.say({.kind = EntryKind::held}, "eve")) {
    ASSERT_TRUE(day.say({.kind = EntryKind::resumed}, "eve"));
    ++holds;
  }
  EXPECT_EQ(holds, kMostControls - 1);
  EXPECT_TRUE(day.say({.kind = EntryKind::aborted}, "joe"));
  EXPECT_TRUE(day.day().over());
}

TEST(GameDaySecrets, WhatIsShownWhenTheDayIsOverMayBeSpokenOf) {
  Watched day(
      "  - {name: sure, waitFor: {person: x}}\n  - {name: boo, surprise: true, waitFor: {person: "
      "y}}\n");
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  EXPECT_FALSE(day.say({.kind = EntryKind::note, .step = "boo", .text = "?"}, "joe"));
  ASSERT_TRUE(day.say({.kind = EntryKind::aborted}));
  ASSERT_TRUE(day.day().over());
  ASSERT_THAT(day.day().view("joe", 0).steps, SizeIs(2));
  EXPECT_TRUE(day.say({.kind = EntryKind::note, .step = "boo", .text = "so it was"}, "joe"));
}

TEST(GameDaySecrets, AFullTimelineDoesNotTellHowManyEntriesAreHidden) {
  Watched day(
      "  - {name: sure, waitFor: {person: x}}\n  - {name: boo, surprise: true, waitFor: {person: "
      "y}}\n");
  ASSERT_TRUE(day.say({.kind = EntryKind::started}));
  for (int i = 0; i < 30; ++i)
    while (day.say({.kind = EntryKind::note, .text = std::string(1000, 'x')},
                   "eve" + std::to_string(i)))
      continue;
  const auto note = day.say({.kind = EntryKind::note, .text = "x"}, "joe");
  ASSERT_FALSE(note);
  EXPECT_THAT(note.error().message, HasSubstr("full"));
  EXPECT_THAT(note.error().message,
              Not(HasSubstr(std::to_string(day.day().record().entries.size()))));
}

TEST(GameDaySecrets, OnePersonDoesNotTakeTheRoomForLateWordsFromTheOthers) {
  Watched day("  - {name: sure, waitFor: {person: x}}\n", "[]", "{}");
  ASSERT_TRUE(day.say({.kind = EntryKind::aborted}));
  std::size_t late = 0;
  while (late < 3000 && day.say({.kind = EntryKind::note, .text = "x"}, "eve")) ++late;
  EXPECT_EQ(late, 250U);
  EXPECT_TRUE(day.say({.kind = EntryKind::note, .text = "what I learned"}, "joe"));
}

TEST(GameDaySecrets, LateWordsHaveABudget) {
  Watched day("  - {name: sure, waitFor: {person: x}}\n", "[]", "{}");
  ASSERT_TRUE(day.say({.kind = EntryKind::aborted}));
  ASSERT_TRUE(day.day().over());
  std::size_t late = 0;
  while (late < 3000 &&
         day.say({.kind = EntryKind::note, .text = "x"}, "eve" + std::to_string(late / 100)))
    ++late;
  EXPECT_EQ(late, 1000U);
  const Day again(day.day().record());
  EXPECT_FALSE(again.say({.kind = EntryKind::note, .key = "0123456789", .text = "x"}, "joe", "cli",
                         day.seen.now))
      << "also after a restart";
}

}  // namespace
}  // namespace faultline::controller::gameday
