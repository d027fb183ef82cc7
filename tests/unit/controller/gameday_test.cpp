// SPDX-License-Identifier: Apache-2.0
// The state machine of a game day. Runs are made up here; tests/e2e has real ones.
#include "tests/unit/controller/gameday_driven.h"

namespace faultline::controller::gameday {
namespace {

TEST(GameDay, StepsFollowEachOtherAndARunIsWantedOnce) {
  Driven day(std::string("  - {name: hello, note: Welcome}\n  - {name: slow, experiment: ") +
             kExperiment + "}\n  - {name: rest, pause: 10s}\n");
  ASSERT_THAT(day.day().wanted().runs, SizeIs(1));
  EXPECT_EQ(day.day().wanted().runs[0].key, "gameday/day-1/slow/0");
  const WantedRun slow = day.day().wanted().runs[0];
  EXPECT_EQ(slow.name, "day-slow");
  EXPECT_EQ(day.day().experiment_of(slow).metadata.name, "day-slow");
  EXPECT_THAT(day.begin_runs(), ElementsAre("r1"));
  EXPECT_THAT(day.day().wanted().runs, IsEmpty());
  day.end_run("r1", api::RunVerdict::met);
  EXPECT_EQ(day.state(), api::DayState::running);
  day.pass(seconds(11));
  EXPECT_EQ(day.state(), api::DayState::completed);
  EXPECT_THAT(day.course(), ElementsAre("created", "started", "step-begun hello", "note hello",
                                        "step-over hello done", "step-begun slow", "run-begun slow",
                                        "run-over slow met", "step-over slow met",
                                        "step-begun rest", "step-over rest done", "over"));
}

// A controller that was killed after any write goes on as if nothing had been.
TEST(GameDay, IsTheSameAfterARestartAtEachWrite) {
  const std::string steps =
      std::string("  - name: both\n    repeat: 2\n    parallel:\n    - {name: a, experiment: ") +
      kExperiment +
      "}\n    - {name: b, serial: [{name: c, pause: 1s}, {name: d, experiment: " + kExperiment +
      "}]}\n  - {name: last, note: Bye}\n";
  const auto play = [&](std::size_t restart_at) {
    auto document = Driven::parsed(steps, "");
    api::GameDayRecord record = Day::create(document, "day-1", "jane", true, kBegin);
    auto day = std::make_unique<Day>(record);
    Seen seen{.now = kBegin};
    int number = 0;
    std::size_t writes = 0;
    for (int turn = 0; turn < 200 && !day->over(); ++turn) {
      for (const WantedRun& run : day->wanted().runs)
        if (!seen.runs.contains(run.key)) seen.runs[run.key].run = "r" + std::to_string(++number);
      for (auto& [key, run] : seen.runs)
        if (turn % 7 == 6)
          run = {run.run, "", true, api::RunState::Completed, "", api::RunVerdict::met};
      if (const auto entries = day->advance(seen); !entries.empty()) {
        // They are stored all or none, and the controller is killed after that.
        day->apply(entries);
        if (++writes == restart_at) day = std::make_unique<Day>(api::GameDayRecord(day->record()));
      }
      seen.now += std::chrono::milliseconds(300);
    }
    std::vector<std::string> words;
    for (const api::DayEntry& entry : day->record().entries)
      words.push_back(word_of(entry.kind) + entry.step + entry.run);
    std::ranges::sort(words);
    return words;
  };
  const auto whole = play(0);
  EXPECT_GT(whole.size(), 25U);
  for (std::size_t at = 1; at < 30; ++at) EXPECT_EQ(play(at), whole) << at;
}

TEST(GameDay, AbortStopsWhatRunsAndIsOverWhenThatIsOver) {
  Driven day(std::string("  - {name: slow, experiment: ") + kExperiment +
             "}\n  - {name: rest, pause: 10s}\n");
  day.begin_runs();
  ASSERT_TRUE(day.say({.kind = EntryKind::aborted, .text = "enough"}));
  EXPECT_EQ(day.state(), api::DayState::aborting);
  EXPECT_THAT(day.day().wanted().stop.at("r1"), HasSubstr("enough"));
  day.end_run("r1", api::RunVerdict::aborted, api::RunState::Aborted);
  EXPECT_EQ(day.state(), api::DayState::aborted);
  EXPECT_EQ(day.outcome("slow"), StepOutcome::aborted);
  EXPECT_TRUE(day.day().wanted().stop.empty());
  EXPECT_FALSE(day.say({.kind = EntryKind::resumed}));
}

TEST(GameDay, HoldKeepsOrEndsWhatRuns) {
  for (const bool keeps : {true, false}) {
    Driven day(std::string("  - {name: slow, experiment: ") + kExperiment +
               "}\n  - {name: more, experiment: " + kExperiment + "}\n");
    day.begin_runs();
    ASSERT_TRUE(day.say({.kind = EntryKind::held, .good = keeps}));
    EXPECT_EQ(day.day().wanted().stop.contains("r1"), !keeps);
    if (keeps)
      day.end_run("r1", api::RunVerdict::met);
    else
      day.end_run("r1", api::RunVerdict::aborted, api::RunState::Aborted);
    EXPECT_EQ(day.outcome("slow"), keeps ? StepOutcome::met : StepOutcome::aborted);
    EXPECT_THAT(day.day().wanted().runs, IsEmpty()) << "nothing begins while it is held";
    ASSERT_TRUE(day.say({.kind = EntryKind::resumed}));
    EXPECT_THAT(day.day().wanted().runs, SizeIs(1));
  }
}

TEST(GameDay, AMissHoldsOrAbortsWhereAsked) {
  for (const char* on_miss : {"continue", "hold", "abort"}) {
    Driven day(std::string("  - {name: slow, onMiss: ") + on_miss + ", experiment: " + kExperiment +
               "}\n  - {name: rest, pause: 10s}\n");
    day.begin_runs();
    day.end_run("r1", api::RunVerdict::missed);
    EXPECT_EQ(day.outcome("slow"), StepOutcome::missed);
    EXPECT_EQ(word_of(day.state()), std::string(on_miss) == "continue" ? "running"
                                    : std::string(on_miss) == "hold"   ? "held"
                                                                       : "aborted");
  }
}

TEST(GameDay, ADeadlineEndsAStepAndItsRun) {
  Driven day(std::string("  - name: group\n    deadline: 30s\n    serial:\n    - {name: slow, "
                         "experiment: ") +
             kExperiment + "}\n    - {name: never, pause: 1s}\n  - {name: after, note: x}\n");
  day.begin_runs();
  day.pass(seconds(31));
  EXPECT_EQ(day.outcome("group"), StepOutcome::missed);
  EXPECT_TRUE(day.day().wanted().stop.contains("r1"));
  EXPECT_EQ(day.state(), api::DayState::running) << "its run is not over";
  day.end_run("r1", api::RunVerdict::aborted, api::RunState::Aborted);
  EXPECT_EQ(day.state(), api::DayState::completed);
}

TEST(GameDay, WhenLeavesStepsOut) {
  Driven day(std::string("  - {name: slow, experiment: ") + kExperiment +
             "}\n  - {name: good, when: {step: slow, is: [met]}, note: well}\n"
             "  - {name: bad, when: {step: slow, is: [missed, failed]}, note: oh}\n");
  day.begin_runs();
  day.end_run("r1", api::RunVerdict::missed);
  EXPECT_EQ(day.outcome("good"), StepOutcome::skipped);
  EXPECT_EQ(day.outcome("bad"), StepOutcome::done);
}

TEST(GameDay, WaitsForAlertsQueriesEffectsAndPeople) {
  Driven day(
      "  - {name: alert, waitFor: {alert: Slow, labels: {pod: a}}}\n"
      "  - {name: query, waitFor: {promql: up, above: 5}}\n"
      "  - {name: effect, waitFor: {effect: {metric: request.latency, above: 1s}}}\n"
      "  - {name: silent, waitFor: {alert: Slow, state: silent}}\n",
      "", true);
  EXPECT_TRUE(day.day().asked().alerts);
  day.seen.alerts.emplace();
  day.settle();
  EXPECT_FALSE(day.outcome("alert"));
  day.seen.alerts->push_back({"Slow", {{"pod", "b"}}});
  day.settle();
  EXPECT_FALSE(day.outcome("alert")) << "another instance";
  day.seen.alerts->push_back({"Slow", {{"pod", "a"}}});
  day.settle();
  EXPECT_EQ(day.outcome("alert"), StepOutcome::met);
  EXPECT_THAT(day.day().asked().queries, ElementsAre("up"));
  day.seen.queries["up"] = 5;
  day.settle();
  EXPECT_FALSE(day.outcome("query"));
  day.seen.queries["up"] = 5.5;
  day.settle();
  EXPECT_EQ(day.outcome("query"), StepOutcome::met);
  day.seen.effects["effect"] = "request.latency above 1 s: 2 s";
  day.settle();
  EXPECT_EQ(day.outcome("effect"), StepOutcome::met);
  EXPECT_FALSE(day.outcome("silent"));
  day.seen.alerts.reset();  // not known is not silence
  day.settle();
  EXPECT_FALSE(day.outcome("silent"));
  day.seen.alerts.emplace();
  day.settle();
  EXPECT_EQ(day.state(), api::DayState::completed);
}

TEST(GameDay, PeopleAnswerWhatIsTheirsAndTheTimeIsTheTrueOne) {
  const std::string roles = "  roles: {facilitator: [fay], commander: [joe], observers: [olga]}\n";
  Driven day(
      "  - {name: fix, task: {text: Fix it, role: commander, runbook: {text: \"1. look\\n2. "
      "do\"}}}\n"
      "  - {name: sure, waitFor: {person: All well?}}\n",
      roles, false);
  EXPECT_EQ(day.state(), api::DayState::waiting);
  const auto denied = day.say({.kind = EntryKind::started}, "joe");
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code, Errc::kDenied);
  ASSERT_TRUE(day.say({.kind = EntryKind::started}, "fay"));
  day.pass(seconds(20));
  const auto tick = day.say(
      {.kind = EntryKind::tick, .at = {kBegin + seconds(15)}, .step = "fix", .item = 2}, "joe");
  ASSERT_TRUE(tick) << tick.error().message;
  EXPECT_EQ(tick->at.value, kBegin + seconds(15));
  EXPECT_EQ(tick->recordedAt.value, kBegin + seconds(20));
  EXPECT_EQ(tick->role, api::DayRole::commander);
  EXPECT_FALSE(day.say({.kind = EntryKind::tick, .step = "fix", .item = 3}, "joe"));
  EXPECT_FALSE(day.say({.kind = EntryKind::note, .at = {kBegin - seconds(1)}, .text = "x"}, "joe"));
  EXPECT_FALSE(
      day.say({.kind = EntryKind::note, .at = {kBegin + seconds(60)}, .text = "x"}, "joe"));
  const auto not_hers = day.say({.kind = EntryKind::answered, .step = "fix"}, "olga");
  ASSERT_FALSE(not_hers);
  EXPECT_THAT(not_hers.error().message, HasSubstr("commander"));
  ASSERT_TRUE(day.say({.kind = EntryKind::answered}, "joe"));
  EXPECT_EQ(day.outcome("fix"), StepOutcome::met);
  ASSERT_TRUE(day.say({.kind = EntryKind::answered, .step = "sure"}, "olga"));
  EXPECT_EQ(day.state(), api::DayState::completed);
}

TEST(GameDay, TheSameWordSentAgainIsOneEntry) {
  Driven day("  - {name: rest, pause: 10s}\n");
  const api::DayWord word{.kind = EntryKind::note, .key = "0123456789", .text = "hello"};
  const auto first = day.say(word);
  day.pass(seconds(1));
  const auto again = day.say(word);
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->number, again->number);
  EXPECT_EQ(std::ranges::count(day.day().record().entries, EntryKind::note, &api::DayEntry::kind),
            1);
}

TEST(GameDay, NobodyIsThereSoTasksTakeTheirDefault) {
  Driven day(
      "  - {name: fix, task: {text: Fix it, timeout: 5s, otherwise: failed}}\n"
      "  - {name: look, task: {text: Look}}\n  - {name: sure, waitFor: {person: All well?}}\n");
  EXPECT_FALSE(day.outcome("fix"));
  day.pass(seconds(5));
  EXPECT_EQ(day.outcome("fix"), StepOutcome::failed);
  EXPECT_EQ(day.outcome("look"), StepOutcome::missed);
  EXPECT_EQ(day.outcome("sure"), StepOutcome::skipped);
  EXPECT_EQ(day.state(), api::DayState::completed);
  EXPECT_THAT(day.day().record().stateReason, HasSubstr("2 of 3 steps missed"));
}

TEST(GameDay, ASurpriseIsTheFacilitatorsUntilItIsFoundOrOver) {
  const std::string roles = "  roles: {facilitator: [fay], commander: [joe]}\n";
  Driven day(std::string("  - name: secret\n    surprise: true\n    serial:\n    - {name: boom, "
                         "title: Payments dies, experiment: ") +
                 kExperiment + "}\n",
             roles, false);
  ASSERT_TRUE(day.say({.kind = EntryKind::started}, "fay"));
  day.begin_runs();
  const auto text_of = [&](const std::string& who) {
    std::string all;
    const api::GameDayView view = day.day().view(who, 0);
    for (const api::StepView& step : view.steps) all += step.name + step.title;
    for (const api::DayEntry& entry : view.entries) all += entry.step + entry.text + entry.run;
    return all + view.next + view.stateReason;
  };
  EXPECT_THAT(text_of("fay"), HasSubstr("boom"));
  for (const char* who : {"joe", "", "stranger"}) {
    EXPECT_THAT(text_of(who), testing::Not(HasSubstr("boom"))) << who;
    EXPECT_THAT(text_of(who), testing::Not(HasSubstr("secret"))) << who;
    EXPECT_THAT(text_of(who), testing::Not(HasSubstr("r1"))) << who;
  }
  EXPECT_THAT(day.day().hidden_runs(), ElementsAre("r1"));
  // A name that is guessed is not confirmed.
  for (const EntryKind kind : {EntryKind::note, EntryKind::missing, EntryKind::acknowledged}) {
    const auto guess = day.say({.kind = kind, .step = "boom", .text = "x"}, "joe");
    const auto wrong = day.say({.kind = kind, .step = "boon", .text = "x"}, "joe");
    ASSERT_FALSE(guess);
    ASSERT_FALSE(wrong);
    std::string same = wrong.error().message;
    same.replace(same.find("boon"), 4, "boom");
    EXPECT_EQ(guess.error().message, same);
  }
  const std::uint64_t known = day.day().newest("joe");
  EXPECT_FALSE(day.say({.kind = EntryKind::found, .step = "secret", .text = "it"}, "joe"));
  ASSERT_TRUE(day.say({.kind = EntryKind::found, .text = "payments?"}, "joe"));
  EXPECT_THAT(text_of("joe"), testing::Not(HasSubstr("boom")));
  ASSERT_TRUE(day.say({.kind = EntryKind::found, .step = "secret", .text = "yes"}, "fay"));
  EXPECT_THAT(text_of("joe"), HasSubstr("boom"));
  EXPECT_THAT(day.day().hidden_runs(), IsEmpty());
  // Whoever asks for what is new gets what was hidden before.
  bool told = false;
  for (const api::DayEntry& entry : day.day().view("joe", known).entries)
    told = told || entry.run == "r1";
  EXPECT_TRUE(told);
}

TEST(GameDay, ConditionsAndTheWindowEndTheDay) {
  const std::string more =
      "  abortWhen: [{promql: errors, above: 5}, {effect: request.errors, above: 50%}]\n";
  for (const int which : {0, 1, 2}) {
    Driven day("  - {name: rest, pause: 10s}\n", more);
    EXPECT_THAT(day.day().asked().queries, ElementsAre("errors"));
    if (which == 0) day.seen.queries["errors"] = 6;
    if (which == 1) day.seen.effects[condition_key(1)] = "request.errors above 50 %: 73 %";
    if (which == 2) day.seen.unasked.insert("errors");
    day.settle();
    EXPECT_EQ(day.state(), api::DayState::aborted);
    EXPECT_THAT(day.course(), testing::Contains("condition"));
  }
  Driven day(
      "  - {name: rest, pause: 1h}\n",
      "  window: {notBefore: \"2026-11-29T00:00:10Z\", notAfter: \"2026-11-29T00:01:00Z\"}\n");
  EXPECT_EQ(day.state(), api::DayState::waiting);
  day.pass(seconds(10));
  EXPECT_EQ(day.state(), api::DayState::running);
  day.pass(seconds(50));
  EXPECT_EQ(day.state(), api::DayState::aborted);
  EXPECT_THAT(day.day().record().stateReason, HasSubstr("window"));
}

TEST(GameDay, ASweepRunsItsCellsOneByOneWithARest) {
  Driven day(
      "  - name: map\n    sweep:\n      experiment: {target: {selector: {namespaces: [shop]}}, "
      "expect: {alerts: [{name: Slow, within: 5s}]}}\n      rest: {least: 10s}\n      faults:\n"
      "      - {name: lat, fault: {networkLatency: {}}, vary: latency, severities: [1ms, 2ms]}\n");
  ASSERT_THAT(day.day().wanted().runs, SizeIs(1));
  const WantedRun first = day.day().wanted().runs[0];
  EXPECT_EQ(first.name, "day-map-lat-1");
  EXPECT_EQ(day.day().experiment_of(first).metadata.name, "day-map-lat-1");
  day.begin_runs();
  EXPECT_THAT(day.day().wanted().runs, IsEmpty());
  day.end_run("r1", api::RunVerdict::missed);
  ASSERT_THAT(day.day().wanted().runs, SizeIs(1));
  const WantedRun second = day.day().wanted().runs[0];
  EXPECT_EQ(second.not_before, day.seen.now + seconds(10));
  EXPECT_EQ(second.name, "day-map-lat-2");
  EXPECT_EQ(second.key, "gameday/day-1/map/0/lat/2ms");
  const api::Experiment cell = day.day().experiment_of(second);
  EXPECT_EQ(cell.metadata.name, "day-map-lat-2");
  ASSERT_THAT(cell.spec.faults, SizeIs(1));
  EXPECT_EQ(std::get<api::NetworkLatency>(cell.spec.faults[0].spec).latency.value,
            std::chrono::milliseconds(2));
  day.begin_runs();
  day.end_run("r2", api::RunVerdict::met);
  EXPECT_EQ(day.outcome("map"), StepOutcome::done);
}

TEST(GameDay, PreChecksComeFirstAndABadOneIsTheEnd) {
  auto document = Driven::parsed("  - {name: rest, pause: 10s}\n", "");
  document.spec.preChecks = {api::PreCheck::agents, api::PreCheck::alerts};
  for (const bool good : {true, false}) {
    Day day(Day::create(document, "day-1", "jane", true, kBegin));
    Seen seen{.now = kBegin};
    EXPECT_THAT(day.advance(seen), IsEmpty());
    seen.checks[api::PreCheck::agents] = {true, "2 of 2"};
    day.apply(day.advance(seen));
    EXPECT_EQ(day.record().state, api::DayState::checking);
    seen.checks[api::PreCheck::alerts] = {good, "Slow fires"};
    for (int i = 0; i < 5; ++i) day.apply(day.advance(seen));
    EXPECT_EQ(word_of(day.record().state), good ? "running" : "failed");
  }
}

TEST(GameDay, WhatOnePersonSaysHasAnEndAndTheDayCanStillBeEnded) {
  Driven day("  - {name: rest, pause: 1h}\n", "  roles: {facilitator: [fay]}\n");
  const std::string long_text(4096, 'x');
  int taken = 0;
  while (taken < 3000 && day.say({.kind = EntryKind::note, .text = long_text}, "joe")) ++taken;
  EXPECT_NEAR(taken, static_cast<int>(kMostBytesOfOne / 8 * 7 / long_text.size()), 5);
  EXPECT_TRUE(day.say({.kind = EntryKind::mitigated, .text = "his"}, "joe"));
  EXPECT_TRUE(day.say({.kind = EntryKind::note, .text = "hers"}, "fay"));
  EXPECT_TRUE(day.say({.kind = EntryKind::aborted, .text = "enough"}, "joe"));
}

TEST(GameDay, AKeyIsOfWhoeverUsedItFirst) {
  Driven day("  - {name: rest, pause: 1h}\n");
  const api::DayWord word{.kind = EntryKind::note, .key = "0123456789", .text = "hello"};
  ASSERT_TRUE(day.say(word, "joe"));
  const auto other = day.say(word, "eve");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::kConflict);
}

TEST(GameDay, NoDayIsOpenForEver) {
  Driven day("  - {name: sure, waitFor: {person: All well?}}\n", "", false);
  EXPECT_EQ(day.state(), api::DayState::waiting);
  day.pass(std::chrono::hours(49));
  EXPECT_EQ(day.state(), api::DayState::aborted);
}

}  // namespace
}  // namespace faultline::controller::gameday
