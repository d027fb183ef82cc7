// SPDX-License-Identifier: Apache-2.0
// What people order while runs begin and end, and while clocks are set: the state machine alone.
#include <gmock/gmock.h>

#include "controller/gameday/day.h"
#include "controller/gameday/words.h"

namespace faultline::controller::gameday {
namespace {

using api::EntryKind;
using api::StepOutcome;
using std::chrono::hours;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const UtcTime kBegin = UtcTime(std::chrono::sys_days(std::chrono::year(2026) / 11 / 29));

constexpr const char* kExperiment =
    "{spec: {target: {selector: {namespaces: [shop]}}, faults: [{networkLoss: {loss: 10%}}]}}";

// A day that was started; what advance() wants is stored at once.
class Ordered {
 public:
  explicit Ordered(const std::string& steps)
      : day_(Day::create(parsed(steps), "day-1", "jane", false, kBegin)) {
    seen.now = kBegin;
    EXPECT_TRUE(say(EntryKind::started));
  }
  static api::GameDay parsed(const std::string& steps) {
    auto day = api::parse_gameday(
        "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: day, namespace: "
        "shop}\nspec:\n  title: Payments is slow\n  preChecks: []\n  steps:\n" +
            steps,
        "day.yaml");
    if (!day) throw std::runtime_error(day.error().message);
    return *day;
  }
  void settle() {
    for (int i = 0; i < 100; ++i) {
      const auto entries = day_.advance(seen);
      if (entries.empty()) return;
      for (const api::DayEntry& entry : entries)
        if (entry.kind == EntryKind::run_over) seen.runs.erase(entry.key);
      day_.apply(entries);
    }
    FAIL() << "the day never comes to rest";
  }
  Result<api::DayEntry> say(EntryKind kind, const std::string& step = "", UtcTime at = {}) {
    api::DayWord word{.kind = kind, .key = "key-of-word-" + std::to_string(++keys_), .step = step};
    if (at != UtcTime{}) word.at = {at};
    word.good = kind != EntryKind::held;  // a hold ends what runs
    auto entry = day_.say(word, "jane", "cli", seen.now);
    if (entry) day_.apply({*entry});
    settle();
    return entry;
  }
  void begin(const std::string& key, const std::string& run) {
    seen.runs[key].run = run;
    settle();
  }
  void end(const std::string& key, api::RunState state, api::RunVerdict verdict) {
    SeenRun& run = seen.runs[key];
    run.over = true;
    run.state = state;
    run.verdict = verdict;
    settle();
  }
  [[nodiscard]] std::optional<StepOutcome> outcome(const std::string& step) const {
    for (const api::StepView& view : day_.view("", 0).steps)
      if (view.name == step && view.state == "over") return view.outcome;
    return std::nullopt;
  }
  [[nodiscard]] api::DayState state() const { return day_.record().state; }
  Day& day() { return day_; }

  Seen seen;

 private:
  Day day_;
  int keys_ = 0;
};

const std::string kOne = "gameday/day-1/one/0";

TEST(GameDayOrders, WhatAHoldEndedIsNoMissAlsoWhenThatIsSeenAfterTheResume) {
  for (const bool grouped : {false, true}) {
    const std::string one =
        std::string("{name: one, onMiss: abort, experiment: ") + kExperiment + "}";
    Ordered day((grouped ? "  - {name: all, onMiss: abort, serial: [" + one + "]}\n"
                         : "  - " + one + "\n") +
                "  - {name: two, pause: 10s}\n");
    day.begin(kOne, "r1");
    ASSERT_TRUE(day.say(EntryKind::held));
    EXPECT_THAT(day.day().unwanted(), SizeIs(1));
    ASSERT_TRUE(day.say(EntryKind::resumed));
    day.end(kOne, api::RunState::Aborted, api::RunVerdict::aborted);
    EXPECT_EQ(day.outcome("one"), StepOutcome::aborted);
    EXPECT_EQ(day.state(), api::DayState::running) << day.day().record().stateReason;
  }
}

TEST(GameDayOrders, AMissAfterAHoldThatKeptWhatRanIsAMiss) {
  Ordered day(std::string("  - {name: one, onMiss: abort, experiment: ") + kExperiment + "}\n");
  day.begin(kOne, "r1");
  const api::DayWord hold{.kind = EntryKind::held, .key = "hold-and-keep", .good = true};
  day.day().apply({*day.day().say(hold, "jane", "cli", day.seen.now)});
  ASSERT_TRUE(day.say(EntryKind::resumed));
  day.end(kOne, api::RunState::Completed, api::RunVerdict::missed);
  EXPECT_EQ(day.state(), api::DayState::aborted);
}

// Faults of other steps go on while a day is held so: what the day ends at holds then, too.
TEST(GameDayOrders, AMissWhileTheDayIsHeldAndFaultsGoOnEndsTheDay) {
  Ordered day(std::string("  - name: both\n    parallel:\n    - {name: one, onMiss: abort, "
                          "experiment: ") +
              kExperiment + "}\n    - {name: ask, task: {text: Well?}}\n");
  day.begin(kOne, "r1");
  const api::DayWord keep{.kind = EntryKind::held, .key = "hold-and-keep", .good = true};
  day.day().apply({*day.day().say(keep, "jane", "cli", day.seen.now)});
  day.end(kOne, api::RunState::Completed, api::RunVerdict::missed);
  EXPECT_EQ(day.state(), api::DayState::aborted) << day.day().record().stateReason;
}

TEST(GameDayOrders, WhoHeldADayWithItsFaultsCanStillEndThem) {
  Ordered day(std::string("  - {name: one, experiment: ") + kExperiment +
              "}\n  - {name: two, pause: 10s}\n");
  day.begin(kOne, "r1");
  const api::DayWord keep{.kind = EntryKind::held, .key = "hold-and-keep", .good = true};
  day.day().apply({*day.day().say(keep, "jane", "cli", day.seen.now)});
  EXPECT_THAT(day.day().unwanted(), IsEmpty());
  const api::DayWord again{.kind = EntryKind::held, .key = "keep-it-again", .good = true};
  EXPECT_FALSE(day.day().say(again, "jane", "cli", day.seen.now)) << "it is held already";
  day.seen.now += seconds(20);
  ASSERT_TRUE(day.say(EntryKind::held));
  EXPECT_TRUE(day.day().unwanted().contains("r1"));
  EXPECT_FALSE(day.say(EntryKind::held)) << "nothing is left to end";
  day.seen.now += seconds(20);
  day.end(kOne, api::RunState::Aborted, api::RunVerdict::aborted);
  EXPECT_EQ(day.day().age_of("one", day.seen.now), seconds(0)) << "held since the first of both";
  ASSERT_TRUE(day.say(EntryKind::resumed));
  EXPECT_EQ(day.state(), api::DayState::running) << "what a hold ended is no miss";
  day.seen.now += seconds(11);
  day.settle();
  EXPECT_EQ(day.state(), api::DayState::completed);
  EXPECT_EQ(day.day().record().stateReason, "") << "what a hold ended is no miss";
}

// Between two cells of a sweep nothing runs that a hold could end.
TEST(GameDayOrders, AHoldInTheRestOfASweepOnlyMakesItLonger) {
  const std::string sweep =
      "  - name: one\n    sweep:\n      experiment: {target: {selector: {namespaces: [shop]}}, "
      "expect: {alerts: [{name: Slow, within: 5s}]}}\n"
      "      rest: {least: 10s}\n      faults: [{name: lat, fault: {networkLatency: {}}, vary: "
      "latency, severities: [1ms, 2ms, 3ms]}]\n";
  const auto cell = [](int ms) { return kOne + "/lat/" + std::to_string(ms) + "ms"; };
  Ordered day(sweep);
  day.begin(cell(1), "r1");
  day.end(cell(1), api::RunState::Completed, api::RunVerdict::met);
  ASSERT_TRUE(day.say(EntryKind::held));
  EXPECT_EQ(day.outcome("one"), std::nullopt) << "two cells are missing";
  EXPECT_THAT(day.day().wanted().runs, IsEmpty());
  day.seen.now += seconds(60);
  day.settle();
  ASSERT_TRUE(day.say(EntryKind::resumed));
  ASSERT_THAT(day.day().wanted().runs, SizeIs(1));
  EXPECT_EQ(day.day().wanted().runs[0].key, cell(2));
  // A cell that a hold ends ends the sweep, and says so.
  day.begin(cell(2), "r2");
  ASSERT_TRUE(day.say(EntryKind::held));
  EXPECT_TRUE(day.day().unwanted().contains("r2"));
  day.end(cell(2), api::RunState::Aborted, api::RunVerdict::aborted);
  EXPECT_EQ(day.outcome("one"), StepOutcome::aborted);
  EXPECT_THAT(day.day().wanted().runs, IsEmpty());
}

// A cell that comes up while the day is held is ended as well.
TEST(GameDayOrders, ACellThatComesUpInAHoldIsEndedAndWithItTheSweep) {
  Ordered day(
      "  - name: one\n    sweep:\n      experiment: {target: {selector: {namespaces: [shop]}}, "
      "expect: {alerts: [{name: Slow, within: 5s}]}}\n"
      "      faults: [{name: lat, fault: {networkLatency: {}}, vary: latency, severities: [1ms, "
      "2ms]}]\n");
  day.seen.beginning = {kOne + "/lat/1ms"};
  ASSERT_TRUE(day.say(EntryKind::held));
  day.seen.beginning.clear();
  day.begin(kOne + "/lat/1ms", "r1");
  EXPECT_TRUE(day.day().unwanted().contains("r1"));
  day.end(kOne + "/lat/1ms", api::RunState::Aborted, api::RunVerdict::aborted);
  EXPECT_EQ(day.outcome("one"), StepOutcome::aborted);
  EXPECT_THAT(day.day().wanted().runs, IsEmpty());
  EXPECT_EQ(day.state(), api::DayState::completed) << "nothing is left to do";
}

TEST(GameDayOrders, ASkippedSweepEndsItsCellAndBeginsNoOther) {
  for (const bool held : {false, true}) {
    Ordered day(
        "  - name: one\n    repeat: 2\n    sweep:\n      experiment: {target: {selector: "
        "{namespaces: [shop]}}, expect: {alerts: [{name: Slow, within: 5s}]}}\n      faults: "
        "[{name: lat, fault: {networkLatency: {}}, vary: "
        "latency, severities: [1ms, 2ms]}]\n  - {name: two, pause: 10s}\n");
    day.begin(kOne + "/lat/1ms", "r1");
    if (held) {
      const api::DayWord keep{.kind = EntryKind::held, .key = "hold-and-keep", .good = true};
      day.day().apply({*day.day().say(keep, "jane", "cli", day.seen.now)});
    }
    ASSERT_TRUE(day.say(EntryKind::skipped, "one"));
    EXPECT_EQ(day.outcome("one"), StepOutcome::skipped);
    EXPECT_TRUE(day.day().unwanted().contains("r1"));
    EXPECT_THAT(day.day().wanted().runs, IsEmpty());
    day.end(kOne + "/lat/1ms", api::RunState::Aborted, api::RunVerdict::aborted);
    EXPECT_EQ(day.outcome("one"), StepOutcome::skipped);
    EXPECT_THAT(day.day().wanted().runs, IsEmpty());
    if (held) {
      ASSERT_TRUE(day.say(EntryKind::resumed));
    }
    EXPECT_THAT(day.day().running_steps(), SizeIs(1));
    EXPECT_EQ(day.day().running_steps()[0].first, "two");
  }
}

// A run may come up at the very moment that the day is ended: the day knows it, and waits for its
// end.
TEST(GameDayOrders, ARunThatComesUpAfterTheAbortIsEndedBeforeTheDayIsOver) {
  Ordered day(std::string("  - {name: one, experiment: ") + kExperiment + "}\n");
  ASSERT_THAT(day.day().wanted().runs, SizeIs(1));
  const WantedRun run = day.day().wanted().runs[0];
  EXPECT_TRUE(day.day().wants(run));
  day.seen.beginning = {kOne};
  ASSERT_TRUE(day.say(EntryKind::aborted));
  EXPECT_FALSE(day.day().wants(run));
  EXPECT_EQ(day.state(), api::DayState::aborting);
  day.seen.beginning.clear();
  day.begin(kOne, "r1");
  EXPECT_EQ(day.state(), api::DayState::aborting);
  EXPECT_TRUE(day.day().unwanted().contains("r1"));
  day.end(kOne, api::RunState::Aborted, api::RunVerdict::aborted);
  EXPECT_EQ(day.state(), api::DayState::aborted);
}

TEST(GameDayOrders, ARunThatComesUpAfterTheDeadlineOfItsStepIsEnded) {
  Ordered day(std::string("  - {name: one, deadline: 5s, repeat: 2, experiment: ") + kExperiment +
              "}\n");
  day.seen.beginning = {kOne};
  day.seen.now += seconds(6);
  day.settle();
  EXPECT_THAT(day.day().wanted().runs, IsEmpty()) << "the second time waits";
  day.seen.beginning.clear();
  day.seen.runs[kOne].run = "r1";
  const auto entries = day.day().advance(day.seen);
  ASSERT_FALSE(entries.empty());
  EXPECT_EQ(entries[0].kind, EntryKind::run_begun);
  day.settle();
  EXPECT_TRUE(day.day().unwanted().contains("r1"));
  EXPECT_THAT(day.day().wanted().runs, IsEmpty());
  day.end(kOne, api::RunState::Aborted, api::RunVerdict::aborted);
  EXPECT_THAT(day.day().wanted().runs, SizeIs(1));
}

TEST(GameDayOrders, AClockThatIsSetBackKeepsNobodyFromEndingTheDay) {
  Ordered day("  - {name: one, pause: 10s}\n");
  day.seen.now -= hours(1);
  const auto note = day.say(EntryKind::acknowledged);
  ASSERT_TRUE(note) << note.error().message;
  EXPECT_EQ(note->at.value, kBegin) << "in the order of the timeline";
  const auto early = day.say(EntryKind::acknowledged, "", kBegin - hours(1));
  ASSERT_FALSE(early);
  EXPECT_THAT(early.error().message, HasSubstr("is before the day"));
  // The order is heard, whatever time its sender thinks it is.
  const auto aborted = day.say(EntryKind::aborted, "", kBegin - hours(1));
  ASSERT_TRUE(aborted) << aborted.error().message;
  EXPECT_EQ(aborted->at.value, kBegin);
  EXPECT_EQ(day.state(), api::DayState::aborted);
}

TEST(GameDayOrders, StepsAgeWhenTheClockIsSetBack) {
  Ordered day("  - {name: one, pause: 10s}\n  - {name: two, deadline: 5s, waitFor: {person: x}}\n");
  day.seen.now -= hours(1);
  day.seen.ages = {{"one", seconds(9)}};
  day.settle();
  EXPECT_EQ(day.outcome("one"), std::nullopt);
  day.seen.ages = {{"one", seconds(10)}};
  day.settle();
  EXPECT_EQ(day.outcome("one"), StepOutcome::done);
  ASSERT_THAT(day.day().running_steps(), SizeIs(1));
  EXPECT_EQ(day.day().running_steps()[0].first, "two");
  EXPECT_EQ(day.day().running_steps()[0].second, kBegin);
  day.seen.ages = {{"two", seconds(5)}};
  day.settle();
  EXPECT_EQ(day.outcome("two"), StepOutcome::missed);
}

}  // namespace
}  // namespace faultline::controller::gameday
