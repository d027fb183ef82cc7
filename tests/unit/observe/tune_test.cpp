// SPDX-License-Identifier: Apache-2.0
// Pending, firing and kept firing on a grid; what that makes of runs and of a history.
#include "controller/observe/tune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace faultline::controller::observe {
namespace {

using api::TuneOutcome;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr double kOrigin = 1'795'000'000;

// A value at each of these evaluations.
Series series(Labels labels, const std::vector<int>& evaluations, double step) {
  Series out{.labels = std::move(labels), .points = {}};
  for (const int at : evaluations) out.points.push_back({kOrigin + at * step, 1});
  return out;
}
Values values(const std::vector<int>& evaluations, double step = 1) {
  Values out;
  out.add({series({{"pod", "a"}}, evaluations, step)}, {kOrigin, step});
  out.settle();
  return out;
}
std::vector<int> between(int first, int last) {
  std::vector<int> out;
  for (int i = first; i <= last; ++i) out.push_back(i);
  return out;
}

TEST(AlertStates, FiresAtTheFirstEvaluationThatIsForBehindTheFirstTrueOne) {
  EXPECT_THAT(firings({{10, 20}}, {0, 0}, 1), ElementsAre(Firing{10, 10, 20}));
  EXPECT_THAT(firings({{10, 20}}, {5, 0}, 1), ElementsAre(Firing{10, 15, 20}));
  EXPECT_THAT(firings({{10, 20}}, {10, 0}, 1), ElementsAre(Firing{10, 20, 20}));
  EXPECT_THAT(firings({{10, 20}}, {10.001, 0}, 1), IsEmpty());
  EXPECT_THAT(firings({{10, 20}}, {20, 0}, 15), ElementsAre(Firing{10, 12, 20}));
  EXPECT_THAT(firings({{10, 20}}, {0.3, 0}, 0.1), ElementsAre(Firing{10, 13, 20}))
      << "0.3 / 0.1 is a bit less than 3";
  // One evaluation without a value, and it begins anew.
  EXPECT_THAT(firings({{10, 13}, {15, 20}}, {4, 0}, 1), ElementsAre(Firing{15, 19, 20}));
}

TEST(AlertStates, KeepFiringForHoldsWhatFiresAndNotWhatIsPending) {
  EXPECT_THAT(firings({{10, 12}}, {0, 5}, 1), ElementsAre(Firing{10, 10, 17}));
  EXPECT_THAT(firings({{10, 12}, {16, 16}}, {0, 5}, 1), ElementsAre(Firing{10, 10, 21}));
  // At the evaluation at which it would resolve it is true again.
  EXPECT_THAT(firings({{10, 12}, {18, 18}}, {0, 5}, 1), ElementsAre(Firing{10, 10, 23}));
  EXPECT_THAT(firings({{10, 12}, {19, 19}}, {0, 5}, 1),
              ElementsAre(Firing{10, 10, 17}, Firing{19, 19, 24}));
  EXPECT_THAT(firings({{10, 12}, {14, 18}}, {4, 5}, 1), ElementsAre(Firing{14, 18, 23}));
  EXPECT_THAT(firings({{10, 12}, {14, 14}}, {2, 5}, 1), ElementsAre(Firing{10, 12, 19}))
      << "no second `for` while it is kept";
}

TEST(AlertStates, PartsOfARangeAreOneAndTheNameIsNoLabel) {
  Values all;
  const EvaluationGrid grid{kOrigin, 15};
  all.add({series({{"pod", "a"}, {"__name__", "x"}}, between(10, 19), 15)}, grid);
  Values earlier;
  earlier.add({series({{"pod", "a"}}, between(0, 9), 15), series({{"pod", "b"}}, {3, 5}, 15)},
              grid);
  all.add(std::move(earlier));
  all.settle();
  ASSERT_EQ(all.series().size(), 2U);
  EXPECT_THAT(all.series().at({{"pod", "a"}}), ElementsAre(Spell{0, 19}));
  EXPECT_THAT(all.series().at({{"pod", "b"}}), ElementsAre(Spell{3, 3}, Spell{5, 5}));
}

TunedRun run(double injected, double end) {
  TunedRun out{.run = "r"};
  out.injected = kOrigin + injected;
  out.asked = {kOrigin, kOrigin + end};
  out.grid = {kOrigin, 1};
  return out;
}

TEST(Predicted, CountsFromTheFirstInjectedEvent) {
  const auto hit = predicted(values(between(12, 40)), {}, run(10.5, 60), {5, 0});
  EXPECT_EQ(hit.outcome, TuneOutcome::detected);
  EXPECT_NEAR(*hit.seconds, 6.5, 1e-6);
  EXPECT_EQ(predicted(values({}), {}, run(10.5, 60), {5, 0}).outcome, TuneOutcome::missed);
  EXPECT_EQ(predicted(values({12, 13}), {}, run(10.5, 60), {5, 0}).outcome, TuneOutcome::missed);
  EXPECT_EQ(predicted(values(between(56, 60)), {}, run(10.5, 60), {5, 0}).outcome,
            TuneOutcome::pending);
}

TEST(Predicted, WhatWasPendingBeforeIsNoDetection) {
  const auto before = predicted(values(between(8, 40)), {}, run(10.5, 60), {5, 0});
  EXPECT_EQ(before.outcome, TuneOutcome::before_fault);
  EXPECT_EQ(before.seconds, std::nullopt);
  // It was over before, or never fired: then it is no obstacle.
  EXPECT_EQ(predicted(values(between(2, 9)), {}, run(10.5, 60), {5, 0}).outcome,
            TuneOutcome::missed);
  EXPECT_EQ(predicted(values(between(8, 12)), {}, run(10.5, 60), {5, 0}).outcome,
            TuneOutcome::missed);
  EXPECT_EQ(predicted(values(between(2, 9)), {}, run(10.5, 60), {5, 10}).outcome,
            TuneOutcome::before_fault)
      << "kept firing";
  // Another instance that begins with the fault is detected all the same.
  Values two;
  two.add({series({{"pod", "a"}}, between(0, 60), 1), series({{"pod", "b"}}, between(20, 60), 1)},
          {kOrigin, 1});
  two.settle();
  EXPECT_EQ(predicted(two, {}, run(10.5, 60), {5, 0}).seconds, 14.5);
  TunedRun only_a = run(10.5, 60);
  only_a.wanted = {{{"pod", "a"}}};
  EXPECT_EQ(predicted(two, {}, only_a, {5, 0}).outcome, TuneOutcome::before_fault);
  TunedRun severe = run(10.5, 60);
  severe.wanted = {{{"severity", "page"}}};
  EXPECT_EQ(predicted(two, {.labels = {{"severity", "page"}}}, severe, {5, 0}).seconds, 14.5);
  EXPECT_EQ(predicted(two, {.labels = {{"severity", "info"}}}, severe, {5, 0}).outcome,
            TuneOutcome::missed);
}

TEST(FalseAlarmsOf, AHistoryAreCountedWithoutTheRuns) {
  Values two;
  two.add({series({{"pod", "a"}}, {10, 11, 12, 13, 50, 51, 52, 90}, 1),
           series({{"pod", "b"}}, {12, 13, 14, 15, 91, 92}, 1)},
          {kOrigin, 1});
  two.settle();
  const EvaluationGrid grid{kOrigin, 1};
  const FalseAlarms all = false_alarms(two, {0, 0}, grid, {});
  EXPECT_EQ(all.count, 3U) << "of both pods at once one, those that touch too";
  EXPECT_NEAR(all.seconds, 6 + 3 + 3, 1e-6);
  EXPECT_EQ(all.left_out, 0U);
  const FalseAlarms patient = false_alarms(two, {2, 0}, grid, {});
  EXPECT_EQ(patient.count, 2U);
  const std::vector<TimeSpan> runs{{kOrigin + 48, kOrigin + 51}};
  const FalseAlarms without = false_alarms(two, {0, 0}, grid, runs);
  EXPECT_EQ(without.count, 2U);
  EXPECT_EQ(without.left_out, 1U);
  // One that began before the run is no work of it; the time of the run is not counted.
  const FalseAlarms began = false_alarms(two, {0, 0}, grid, {{kOrigin + 51, kOrigin + 80}});
  EXPECT_EQ(began.count, 3U);
  EXPECT_NEAR(began.seconds, 6 + 1 + 3, 1e-6);
}

TEST(Spans, AreJoinedAndCut) {
  const auto spans = joined({{5, 7}, {1, 2}, {6, 9}, {3, 3}, {2, 3}});
  ASSERT_EQ(spans.size(), 2U);
  EXPECT_EQ(spans[0].to, 3);
  EXPECT_EQ(spans[1].to, 9);
  EXPECT_EQ(length_without(spans, {{0, 1.5}, {2, 6}, {8, 20}}), 0.5 + 2);
  EXPECT_EQ(length_without({}, {{0, 1}}), 0);
}

TEST(TuneWish, NamesTheFieldThatIsWrong) {
  const auto refused = [](const TuneWords& words, const char* why) {
    const auto wish = tune_wish(words);
    ASSERT_FALSE(wish.has_value()) << why;
    EXPECT_THAT(wish.error().message, HasSubstr(why));
  };
  refused({.fors = "soon"}, "for: \"soon\" is not a length of time");
  refused({.fors = "30s,,1m"}, "for: \"\" is not");
  refused({.fors = "8d"}, "for: at most 1w");
  refused({.thresholds = "0.5,nan"}, "threshold: \"nan\" is not a number");
  refused({.thresholds = "inf"}, "threshold: \"inf\"");
  refused({.windows = "0s"}, "window: a range of no length");
  refused({.history = "1y"}, "history: at most 90d");
  refused({.history = "-1d"}, "history: \"-1d\" is no length");
  refused({.step = "x"}, "step: \"x\"");
  refused({.fors = "1,2,3,4,5,6,7,8,9,10,11,12,13"}, "for: 13 values are more than the 12");
  refused({.fors = std::string(2'000, '1')}, "longer than");
  const auto good = tune_wish({.fors = "30s, 0,1m30s", .thresholds = "-1e-3", .history = "0s"});
  ASSERT_TRUE(good.has_value()) << good.error().message;
  EXPECT_THAT(good->fors, ElementsAre(30, 0, 90));
  EXPECT_THAT(good->thresholds, ElementsAre(-0.001));
  EXPECT_EQ(good->history, 0);
}

api::AlertRule rule(const std::string& expr, double seconds) {
  return {.source = "main",
          .alert = "Slow",
          .expr = expr,
          .forSeconds = seconds,
          .evaluationInterval = 15};
}

TEST(TunePlanOf, ARuleHasThePresentSettingInIt) {
  const auto plan = tune_plan(rule("rate(x[5m]) > 0.4", 60), {});
  ASSERT_TRUE(plan.has_value());
  EXPECT_THAT(plan->fors, ElementsAre(0, 30, 60, 120));
  EXPECT_EQ(plan->expressions.size(), 15U);
  const auto named = tune_plan(rule("rate(x[5m]) > 0.4", 45), {.fors = {10}, .thresholds = {3}});
  EXPECT_THAT(named->fors, ElementsAre(10, 45));
  EXPECT_EQ(named->expressions.size(), 6U);
  const auto none = tune_plan(rule("absent(x)", 0), {});
  EXPECT_THAT(none->fors, ElementsAre(0, 15, 30, 60));
  ASSERT_EQ(none->expressions.size(), 1U);
  EXPECT_EQ(none->expressions[0].text, "absent(x)");
  const auto zero = tune_plan(rule("x > 0", 0), {});
  EXPECT_EQ(zero->expressions.size(), 1U) << "there is nothing around 0";
  const auto refused = tune_plan(rule("absent(x)", 0), {.thresholds = {1}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("threshold: no threshold is varied"));
  EXPECT_THAT(tune_plan(rule("x > 1", 0), {.windows = {60}}).error().message, HasSubstr("window"));
}

// Two settings of x > 1 over one run and a day.
TuneData data() {
  TuneData out;
  out.plan = *tune_plan(rule("x > 1", 30), {.fors = {0, 30}, .thresholds = {1, 2}});
  out.plan.rule.evaluationInterval = 1;
  out.runs = {run(1000, 1060)};
  out.answers.resize(2);
  out.answers[0].runs = {values(between(1010, 1060))};
  out.answers[1].runs = {values(between(1020, 1060))};
  std::vector<int> noise = between(100, 110);
  for (const int at : between(1010, 1065)) noise.push_back(at);
  for (const int at : between(5000, 5050)) noise.push_back(at);
  out.answers[0].history = values(noise);
  out.answers[1].history = values(between(1020, 1060));
  out.history = {kOrigin, kOrigin + 86'400};
  out.history_grid = {kOrigin, 1};
  out.data_grid = {kOrigin, 60};
  out.data = values(between(0, 1440), 60);
  out.known = {{kOrigin + 950, kOrigin + 1060}};
  return out;
}

TEST(Tuned, TellsTheTradeAndWhatNothingBeats) {
  const api::TuneReport report = tuned(data());
  ASSERT_EQ(report.settings.size(), 4U);
  const auto& [quick, present, high, highest] =
      std::tie(report.settings[0], report.settings[1], report.settings[2], report.settings[3]);
  EXPECT_EQ(quick.falseAlarms, 2U);
  EXPECT_EQ(quick.leftOut, 1U);
  EXPECT_NEAR(*quick.falsePerDay, 2, 0.01);
  EXPECT_NEAR(*quick.runs[0].seconds, 10, 1e-6);
  EXPECT_TRUE(quick.best);
  EXPECT_TRUE(present.present);
  EXPECT_EQ(present.falseAlarms, 1U);
  EXPECT_FALSE(present.best) << "0s at 2 is faster and never false";
  EXPECT_EQ(high.expr, "x > 2");
  EXPECT_EQ(high.falseAlarms, 0U);
  EXPECT_TRUE(high.best);
  EXPECT_FALSE(highest.best);
  EXPECT_EQ(report.history.runsLeftOut, 1U);
  EXPECT_NEAR(report.history.counted, 86'400 - 110, 1);
}

TEST(Tuned, WhatDetectsNothingIsNotBestHoweverQuiet) {
  TuneData quiet = data();
  quiet.answers[1].runs = {values({})};
  const api::TuneReport report = tuned(quiet);
  EXPECT_EQ(report.settings[2].falseAlarms, 0U);
  EXPECT_FALSE(report.settings[2].best);
  EXPECT_TRUE(report.settings[0].best);
  EXPECT_TRUE(report.settings[1].best) << "slower, with fewer false alarms";
}

TEST(Tuned, WhereThePredictionOfThePresentRuleIsOffItIsSaid) {
  TuneData doubted = data();
  doubted.runs[0].same_rule = true;
  doubted.runs[0].measured = 40;
  EXPECT_EQ(tuned(doubted).runs[0].problem, "");
  doubted.runs[0].measured = 43;
  EXPECT_THAT(tuned(doubted).runs[0].problem, HasSubstr("more than an evaluation"));
  doubted.runs[0].measured.reset();
  EXPECT_THAT(tuned(doubted).runs[0].problem, HasSubstr("says that it should have"));
  doubted.runs[0].same_rule = false;
  EXPECT_EQ(tuned(doubted).runs[0].problem, "");
}

TEST(Tuned, NoDataIsNoNumber) {
  TuneData gone = data();
  gone.data = {};
  gone.runs[0].gap = true;
  const api::TuneReport report = tuned(gone);
  for (const api::TuneSetting& one : report.settings) {
    EXPECT_EQ(one.falseAlarms, std::nullopt);
    EXPECT_EQ(one.falsePerDay, std::nullopt);
    EXPECT_EQ(one.runs[0].outcome, TuneOutcome::gap);
    EXPECT_EQ(one.runs[0].seconds, std::nullopt);
    EXPECT_FALSE(one.best) << "nothing is known of any";
  }
  EXPECT_THAT(report.notes, testing::Contains(HasSubstr("no data of the history")));
  // Data from the last quarter of the day only.
  TuneData late = data();
  late.data = values(between(1080, 1440), 60);
  const api::TuneReport quarter = tuned(late);
  EXPECT_NEAR(quarter.history.counted, 6 * 3600, 61);
  EXPECT_THAT(quarter.notes, testing::Contains(HasSubstr("with data only")));
}

}  // namespace
}  // namespace faultline::controller::observe
