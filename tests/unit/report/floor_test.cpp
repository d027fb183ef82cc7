// SPDX-License-Identifier: Apache-2.0
// The earliest that a rule allows, what its expression says of windows and metrics, and signals
// without numbers.
#include "report/floor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "report/alert_episodes.h"
#include "report/detections.h"
#include "report/promql.h"
#include "tests/unit/report/made_monitoring.h"

namespace faultline::report {
namespace {

using synthetic::at;
using testing::HasSubstr;

// A warning and a page of one name and group, each with evaluations of its own.
TEST(Floor, IsOfTheRuleThatFiredAndNotOfAnotherOneOfItsName) {
  synthetic::Made made;
  made.fires();
  api::AlertRule warning = made.record.rules[0];
  warning.labels = {{"severity", "warn"}};
  warning.expr = "slow > 9";
  made.record.rules.insert(made.record.rules.begin(), warning);
  const double floor = *made.first().floor;
  const std::string reason = made.first().reason;
  EXPECT_EQ(evaluated_as(made.record, made.record.rules[0]), "shop");
  const std::string own = evaluated_as(made.record, made.record.rules[1]);
  EXPECT_EQ(own, "shop#2");
  for (api::AlertEvaluation& one : made.record.evaluations) one.group = own;
  const double alone = *made.first().floor;
  made.evaluate(9.2, 59.2, [](double) { return false; });  // of the warning
  EXPECT_EQ(made.first().floor, alone);
  EXPECT_EQ(made.first().verdict, api::DetectionVerdict::detected);
  EXPECT_EQ(floor, for_on_grid(warning)) << "without its evaluations only `for` is known";
  // What leads elsewhere is the same rule again.
  api::AlertRule again = made.record.rules[1];
  again.expr.clear();
  again.labels["pod"] = "payments-0";
  EXPECT_EQ(evaluated_as(made.record, again), own);
  EXPECT_EQ(reason, made.first().reason);
}

TEST(Floor, ForIsRoundedUpToTheEvaluationGrid) {
  api::AlertRule rule;
  rule.forSeconds = 20;
  rule.evaluationInterval = 15;
  EXPECT_NEAR(for_on_grid(rule), 30, 1e-9);
  rule.forSeconds = 30;
  EXPECT_NEAR(for_on_grid(rule), 30, 1e-9);
  rule.forSeconds = 0.3;
  rule.evaluationInterval = 0.1;
  EXPECT_NEAR(for_on_grid(rule), 0.3, 1e-9);  // 0.3 / 0.1 is more than 3 as a double
  rule.forSeconds = 0;
  EXPECT_EQ(for_on_grid(rule), 0);
}

TEST(Floor, AnImpossibleExpectationSaysWhatToSet) {
  api::AlertRule rule;
  rule.forSeconds = 360;
  rule.evaluationInterval = 15;
  rule.scrapeInterval = 15;
  const auto found = could_fire(rule, 30, std::nullopt);
  EXPECT_FALSE(found.possible);
  EXPECT_THAT(found.reason, HasSubstr("needs at least 6 min"));
  EXPECT_THAT(found.reason, HasSubstr("the fault is 30"));
  EXPECT_THAT(found.reason, HasSubstr("set phases.fault to 6 min 30 s"));
  EXPECT_TRUE(could_fire(rule, 400, std::nullopt).possible);
  EXPECT_EQ(could_fire(rule, 400, std::nullopt).reason, "");
  EXPECT_THAT(could_fire(rule, 370, std::nullopt).reason, HasSubstr("depends on when"));
  EXPECT_THAT(could_fire(rule, 400, 60).reason, HasSubstr("cannot fire before 6 min"));
  // A window keeps the expression true after the fault.
  rule.longestWindow = 600;
  EXPECT_TRUE(could_fire(rule, 30, std::nullopt).possible);
}

TEST(Floor, TheFirstTimeThatItStaysTrue) {
  const std::vector<ExpressionSample> samples = {{-1, false}, {2, true},  {3, false},
                                                 {10, true},  {11, true}, {14, true}};
  EXPECT_EQ(first_true(samples, 3), 10);
  EXPECT_EQ(first_true(samples, 0), 2);
  EXPECT_EQ(first_true({{0, false}, {1, false}}, 0), std::nullopt);
}

TEST(Promql, WindowsAndMetricsOfRealRules) {
  const auto burn = scan_promql(
      "sum(rate(http_requests_total{code=~\"5..\"}[1h])) by (job) / ignoring(code) "
      "sum without (x) (rate(http_requests_total[5m:30s])) > (14.4 * 0.001) and on (job) up == 1");
  EXPECT_EQ(burn.longest_window, 3600);
  EXPECT_THAT(burn.metrics, testing::ElementsAre("http_requests_total", "up"));
  EXPECT_THAT(burn.selectors, testing::ElementsAre("http_requests_total{code=~\"5..\"}",
                                                   "http_requests_total", "up"));
  EXPECT_FALSE(burn.incomplete || burn.fixed_time);
  const auto moved =
      scan_promql("rate(a[5m] offset 1h) - b{x=\"offset 9h\"} offset -2h + c @ end()");
  EXPECT_EQ(moved.longest_offset, 3600);
  EXPECT_TRUE(moved.fixed_time);
  EXPECT_THAT(moved.selectors, testing::ElementsAre("a", "b{x=\"offset 9h\"}", "c"));
  const auto named = scan_promql("absent({__name__=\"a:b:rate5m\", job=\"x[9h]\"}) # [2d]");
  EXPECT_THAT(named.metrics, testing::ElementsAre("a:b:rate5m"));
  EXPECT_THAT(named.selectors, testing::ElementsAre("{__name__=\"a:b:rate5m\", job=\"x[9h]\"}"));
  EXPECT_EQ(named.longest_window, 0);
  EXPECT_TRUE(scan_promql("{__name__=~\"a|b\"}").incomplete);
  EXPECT_EQ(parse_promql_duration("1h30m"), 5400);
  EXPECT_EQ(parse_promql_duration("5x"), std::nullopt);
  EXPECT_EQ(promql_duration_words(5400), "1h30m");
  EXPECT_EQ(promql_duration_words(0.5), "500ms");
}

// ---- signals ----

struct Asked {
  api::RunRecord run;
  DetectionTimes times{at(10), at(40), at(60)};
  Asked() {
    api::ExpectSignal signal;
    signal.promql = "histogram_quantile(0.99, rate(x_bucket[10s]))";
    signal.equals = "request.latency";
    run.experiment.spec.expect.signals.push_back(signal);
    run.monitoring.emplace();
  }
  void answer(double t, std::optional<double> value) {
    run.monitoring->signals.push_back({.index = 0, .at = at(t), .value = value});
  }
};

TEST(Signals, NoDataAndNaNAreNoNumbers) {
  Asked asked;
  EXPECT_EQ(signals_of(asked.run, asked.times).at(0).verdict, api::SignalVerdict::no_data);
  asked.answer(25, std::nullopt);
  asked.answer(26, std::nan(""));
  const auto found = signals_of(asked.run, asked.times).at(0);
  EXPECT_EQ(found.verdict, api::SignalVerdict::no_data);
  EXPECT_EQ(found.text, "no data: none of 2 answers had a number");
  asked.answer(27, 0.3);
  EXPECT_THAT(signals_of(asked.run, asked.times).at(0).text, HasSubstr("kernel did not measure"));
  asked.run.monitoring->signals.back().newest = 300;
  EXPECT_EQ(signals_of(asked.run, asked.times).at(0).verdict, api::SignalVerdict::stale);
  // A scrape interval may be longer than the fault.
  asked.run.monitoring->signals.back().newest = 18;
  const auto before = signals_of(asked.run, asked.times).at(0);
  EXPECT_EQ(before.verdict, api::SignalVerdict::stale);
  EXPECT_EQ(before.text, "its newest sample is of before the first injected event");
  asked.run.monitoring.reset();
  EXPECT_EQ(signals_of(asked.run, asked.times).at(0).text, "no monitoring was asked");
}

}  // namespace
}  // namespace faultline::report
