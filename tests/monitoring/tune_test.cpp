// SPDX-License-Identifier: Apache-2.0
// What a tuning predicts, against a run that is really made with the changed rule, and against a
// history whose false alarms are known, by Debian's Prometheus.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "controller/observe/tune_ask.h"
#include "controller/observe/watcher.h"
#include "tests/monitoring/ground.h"
#include "tests/monitoring/service.h"
#include "tests/unit/http/misbehaving.h"

namespace faultline::controller::observe {
namespace {

using api::TuneOutcome;
using std::chrono::milliseconds;
using testing::HasSubstr;
namespace asio = boost::asio;

constexpr double kEvaluation = 1;  // seconds, of the ground
constexpr const char* kLatency =
    "histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[5s])))";

// The rules as they are, and as somebody changes them after the first run.
constexpr const char* kRules = R"yaml(
groups:
- name: shop
  rules:
  - {alert: Load, expr: 'app_load{job="payments"} > 0.5', for: 2s}
  - {alert: LoadChanged, expr: 'app_load{job="payments"} > 0.8', for: 4s}
  - {alert: Slow, expr: 'histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[5s]))) > 0.1', for: 1s}
  - {alert: SlowChanged, expr: 'histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[10s]))) > 0.2', for: 3s}
  - {alert: Noisy, expr: app_noise > 0.5, for: 1s}
)yaml";
constexpr const char* kRoutes = R"yaml(
route: {receiver: nobody}
receivers: [{name: nobody}]
)yaml";

class Tuning : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ground_ = std::make_unique<test::Ground>(kRules, kRoutes);
    service_ = std::make_unique<test::Service>(std::vector<test::Service::Histogram>{
        {"http_request_duration_seconds", {0.01, 0.1, 0.25, 1}}});
    ground_->text([] { return service_->text(); });
    for (const char* name : {"app_load", "app_noise"}) ground_->set(name, 0);
    ready_ = ground_->ready();
    if (!ready_) return;
    asio::io_context io;
    http::run(io, []() -> asio::awaitable<int> {
      // Three false alarms: of 3 s, 3 s and 8 s.
      for (const int seconds : {3, 3, 8}) {
        ground_->set("app_noise", 1);
        co_await http::pause(std::chrono::seconds(seconds));
        ground_->set("app_noise", 0);
        co_await http::pause(std::chrono::seconds(4));
      }
      co_return 0;
    }());
    first_ = made_run("first-1");
    second_ = made_run("second-1");
  }
  static void TearDownTestSuite() {
    ground_.reset();
    service_.reset();
  }
  void SetUp() override { ASSERT_TRUE(ready_) << "needs: the packages of the group monitoring"; }

  struct Made {
    api::RunRecord record;
    WatchTimes times;
  };
  // The same fault each time, at the same place between two scrapes: what a run measures differs by
  // up to a scrape and an evaluation with that place alone.
  static Made made_run(const std::string& name) {
    Made out;
    out.record.run = name;
    for (const char* alert : {"Load", "LoadChanged", "Slow", "SlowChanged", "Noisy"}) {
      api::ExpectAlert one{.name = alert};
      one.within.value = std::chrono::seconds(30);
      out.record.experiment.spec.expect.alerts.push_back(one);
    }
    asio::io_context io;
    const SystemClock clock;
    Watcher watcher(io.get_executor(), {{{.name = "main", .url = ground_->prometheus()}}, {}, {}},
                    out.record.experiment, clock);
    http::run(io, [&]() -> asio::awaitable<int> {
      out.times.begin = clock.utc();
      co_await watcher.begin();
      const auto fault = std::chrono::ceil<std::chrono::seconds>(clock.utc()) + milliseconds(4'400);
      co_await http::pause(std::chrono::duration_cast<milliseconds>(fault - clock.utc()));
      ground_->set("app_load", 0.6);
      ground_->set("app_noise", 1);
      service_->behave({.latency = 0.2});
      out.times.first_injected = {clock.utc()};
      co_await http::pause(milliseconds(6'000));
      ground_->set("app_load", 0.9);
      service_->behave({.latency = 0.9});
      co_await http::pause(milliseconds(14'000));
      ground_->set("app_load", 0);
      ground_->set("app_noise", 0);
      service_->behave({});
      out.times.last_injected = {clock.utc()};
      co_await http::pause(milliseconds(14'000));
      out.times.end = clock.utc();
      const std::vector<api::PodRef> none;
      co_await watcher.finish(out.times, none);
      co_return 0;
    }());
    out.record.monitoring = watcher.take();
    out.record.history = {{api::RunState::Pending, {out.times.begin}, "", {}},
                          {api::RunState::Completed, {out.times.end}, "", {}}};
    return out;
  }

  // Seconds to the firing in the run itself; -1: it did not fire.
  static double measured(const Made& made, const std::string& alert) {
    for (const api::AlertChange& change : made.record.monitoring->changes)
      if (change.alert == alert && change.state == api::AlertState::firing &&
          made.times.first_injected <= change.at)
        return std::chrono::duration<double>(change.at.value - made.times.first_injected.value)
            .count();
    return -1;
  }

  static Result<api::TuneReport> tune(const std::vector<const Made*>& runs,
                                      const std::string& alert, TuneWish wish,
                                      const std::vector<const Made*>& known) {
    TuneQuestion question{.recorded = {}, .wish = std::move(wish), .runs = {}, .known = {}};
    for (const api::AlertRule& rule : runs.front()->record.monitoring->rules)
      if (rule.alert == alert) question.recorded = rule;
    for (const Made* made : runs)
      question.runs.push_back(
          tuned_run(made->record, question.recorded, made->times.first_injected));
    for (const Made* made : known) question.known.emplace_back(made->times.begin, made->times.end);
    asio::io_context io;
    const SystemClock clock;
    const SourceOptions options{.name = "main", .url = ground_->prometheus()};
    Prometheus client(io.get_executor(), options, clock);
    TuneTurn turn = []() -> asio::awaitable<Result<std::shared_ptr<void>>> {
      co_return std::shared_ptr<void>();
    };
    auto data = http::run(io, ask_tune(client, std::move(question), std::move(turn), clock));
    if (!data) return fail(data.error());
    return tuned(*data);
  }
  static const api::TuneSetting& setting(const api::TuneReport& report, double seconds,
                                         std::optional<double> threshold,
                                         std::optional<double> window = std::nullopt) {
    for (const api::TuneSetting& one : report.settings)
      if (one.forSeconds == seconds && one.threshold == threshold && one.window == window)
        return one;
    throw std::runtime_error("no such setting");
  }
  static void expect_near(const api::TunePrediction& predicted, double really,
                          const std::string& what) {
    ASSERT_EQ(predicted.outcome, TuneOutcome::detected) << what;
    std::cout << what << ": predicted " << *predicted.seconds << " s, really " << really << " s\n";
    EXPECT_NEAR(*predicted.seconds, really, kEvaluation + 0.05) << what;
  }

  static inline std::unique_ptr<test::Ground> ground_;
  static inline std::unique_ptr<test::Service> service_;
  static inline bool ready_ = false;
  static inline Made first_, second_;
};

TEST_F(Tuning, PredictsARunThatIsThenReallyMadeWithTheChangedRule) {
  const auto load = tune({&first_}, "Load", {.fors = {2, 4}, .thresholds = {0.5, 0.8, 5}}, {});
  ASSERT_TRUE(load.has_value()) << load.error().message;
  const auto& present = setting(*load, 2, 0.5);
  EXPECT_TRUE(present.present);
  expect_near(present.runs[0], measured(first_, "Load"), "the rule as it is");
  const auto& changed = setting(*load, 4, 0.8);
  EXPECT_EQ(changed.expr, "app_load{job=\"payments\"} > 0.8");
  expect_near(changed.runs[0], measured(second_, "LoadChanged"), "changed, in the next run");
  expect_near(changed.runs[0], measured(first_, "LoadChanged"), "changed, in the same run");
  EXPECT_EQ(setting(*load, 2, 5).runs[0].outcome, TuneOutcome::missed);

  const auto slow =
      tune({&first_, &second_}, "Slow", {.fors = {3}, .thresholds = {0.2}, .windows = {10}}, {});
  ASSERT_TRUE(slow.has_value()) << slow.error().message;
  const auto& rate = setting(*slow, 3, 0.2, 10);
  expect_near(rate.runs[0], measured(second_, "SlowChanged"), "a rate, in the next run");
  expect_near(rate.runs[1], measured(second_, "SlowChanged"), "a rate, in the same run");
  expect_near(setting(*slow, 1, 0.1, 5).runs[0], measured(first_, "Slow"), "the rate as it is");
  EXPECT_EQ(slow->evaluationInterval, 1);
  EXPECT_THAT(slow->expr, HasSubstr(kLatency));
}

TEST_F(Tuning, AHistoryWithKnownFalseAlarmsIsCountedWithoutTheRuns) {
  const TuneWish wish{.fors = {0, 1, 5, 600}, .thresholds = {0.5, 3}, .history = 600};
  const auto without = tune({&first_}, "Noisy", wish, {&first_, &second_});
  ASSERT_TRUE(without.has_value()) << without.error().message;
  EXPECT_EQ(setting(*without, 0, 0.5).falseAlarms, 3U);
  EXPECT_EQ(setting(*without, 0, 0.5).leftOut, 2U);
  EXPECT_EQ(setting(*without, 1, 0.5).falseAlarms, 3U);
  EXPECT_NEAR(*setting(*without, 0, 0.5).falseSeconds, 3 + 3 + 8, 3);
  EXPECT_EQ(setting(*without, 5, 0.5).falseAlarms, 1U) << "only one lasted that long";
  EXPECT_EQ(setting(*without, 0, 3).falseAlarms, 0U);
  EXPECT_EQ(setting(*without, 600, 0.5).runs[0].outcome, TuneOutcome::missed);
  EXPECT_EQ(without->history.runsLeftOut, 2U);
  EXPECT_EQ(without->history.resolution, 1);
  EXPECT_GT(without->history.dataFrom.value, without->history.from.value)
      << "Prometheus is not that old";
  std::cout << *setting(*without, 0, 0.5).falsePerDay << " a day from " << without->history.counted
            << " s, " << without->questions << " questions\n";
  const auto with = tune({&first_}, "Noisy", wish, {});
  EXPECT_EQ(setting(*with, 0, 0.5).falseAlarms, 5U);
  EXPECT_EQ(setting(*with, 0, 0.5).leftOut, 0U);
}

TEST_F(Tuning, WhatPrometheusDoesNotHaveAnyMoreIsAGap) {
  Made old = first_;
  old.times.first_injected.value -= std::chrono::hours(24 * 30);
  for (api::PhaseMark& mark : old.record.history) mark.at.value -= std::chrono::hours(24 * 30);
  const auto gone = tune({&old, &first_}, "Load", {.history = 0}, {});
  ASSERT_TRUE(gone.has_value()) << gone.error().message;
  EXPECT_THAT(gone->runs[0].problem, HasSubstr("no samples"));
  for (const api::TuneSetting& one : gone->settings) {
    EXPECT_EQ(one.runs[0].outcome, TuneOutcome::gap);
    EXPECT_EQ(one.runs[0].seconds, std::nullopt);
    EXPECT_NE(one.runs[1].outcome, TuneOutcome::gap);
    EXPECT_EQ(one.falseAlarms, std::nullopt) << "none was asked for";
  }
  const auto none = tune({&old}, "Load", {.history = 40}, {&first_, &second_});
  ASSERT_TRUE(none.has_value()) << none.error().message;
  EXPECT_EQ(none->questions, 2U + 2U + 1U + none->settings.size() / 4);
}

}  // namespace
}  // namespace faultline::controller::observe
