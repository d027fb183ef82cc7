// SPDX-License-Identifier: Apache-2.0
// The tests of rules that a run gives: promtool passes each, and fails each whose threshold is
// raised above what was measured.
#include "controller/observe/rule_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "controller/observe/watcher.h"
#include "tests/monitoring/ground.h"
#include "tests/monitoring/service.h"
#include "tests/unit/http/misbehaving.h"

namespace faultline::controller::observe {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
namespace asio = boost::asio;

constexpr const char* kRules = R"yaml(
groups:
- name: shop
  rules:
  - {record: "pod:slow:avg3s", expr: "avg_over_time(app_slow[3s])"}
  - alert: Slow
    expr: histogram_quantile(0.9, sum by (pod, le) (rate(http_request_duration_seconds_bucket{job="payments"}[5s]))) > 0.1
    for: 2s
    labels: {severity: page, team: "of {{ $labels.pod }}"}
    annotations: {summary: "{{$labels.pod}} is 'slow' \"now\": 100 %", value: "{{ $value }}"}
  - {alert: Gauge, expr: app_slow > 0.5, for: 3s}
  - {alert: Smooth, expr: "pod:slow:avg3s > 0.6"}
  - {alert: Failing, expr: 'sum(rate(http_requests_total{code="500"}[5s])) / sum(rate(http_requests_total[5s])) > 0.1'}
  - {alert: Gone, expr: 'absent(http_request_duration_seconds_count{pod="payments-0"})'}
  - {alert: Calm, expr: app_slow > 9}
)yaml";
constexpr const char* kRoutes = R"yaml(
route: {receiver: nobody}
receivers: [{name: nobody}]
)yaml";

class RuleTests : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ground_ = std::make_unique<test::Ground>(kRules, kRoutes);
    service_ = std::make_unique<test::Service>(std::vector<test::Service::Histogram>{
        {"http_request_duration_seconds", {0.01, 0.1, 0.25, 1}}});
    ground_->text([] { return service_->text(); });
    ground_->set("app_slow", 0);
    ready_ = ground_->ready();
    if (!ready_) return;
    api::Experiment experiment;
    for (const char* name : {"Slow", "Gauge", "Smooth", "Failing", "Gone", "Calm"}) {
      api::ExpectAlert one{.name = name};
      one.within.value = std::chrono::seconds(30);
      experiment.spec.expect.alerts.push_back(one);
    }
    asio::io_context io;
    const SystemClock clock;
    Watcher watcher(io.get_executor(), {{{.name = "main", .url = ground_->prometheus()}}, {}, {}},
                    experiment, clock);
    WatchTimes times;
    http::run(io, [&]() -> asio::awaitable<int> {
      times.begin = clock.utc();
      co_await watcher.begin();
      co_await http::pause(milliseconds(5'000));
      service_->behave({.latency = 0.2, .failed = 0.3});
      ground_->set("app_slow", 1);
      times.first_injected = {clock.utc()};
      co_await http::pause(milliseconds(14'000));
      service_->behave({.latency = 0.2, .failed = 0.3, .silent = "http_request_duration_seconds"});
      co_await http::pause(milliseconds(7'000));
      times.last_injected = {clock.utc()};
      times.end = clock.utc();
      const std::vector<api::PodRef> none;
      co_await watcher.finish(times, none);
      co_return 0;
    }());
    record_ = watcher.take();
    times_ = times;
  }
  static void TearDownTestSuite() {
    ground_.reset();
    service_.reset();
  }
  void SetUp() override { ASSERT_TRUE(ready_) << "needs: the packages of the group monitoring"; }

  static Result<RuleTest> made(const std::string& alert) {
    RuleTestInput input{.run = "slow-payments-20261129T093000Z"};
    for (const api::AlertRule& rule : record_.rules)
      if (rule.alert == alert) input.rule = rule;
    input.changes = record_.changes;
    input.first_injected = times_.first_injected;
    input.offset = {record_.sources[0].clockOffset, record_.sources[0].clockUncertainty};
    asio::io_context io;
    const SystemClock clock;
    const SourceOptions options{.name = "main", .url = ground_->prometheus()};
    Prometheus client(io.get_executor(), options, clock);
    std::string expr = input.rule.expr;
    auto series = http::run(
        io,
        samples_of(client, expr,
                   to_theirs(rule_test_from(input.rule, input.first_injected.value), input.offset),
                   to_theirs(times_.end, input.offset)));
    if (!series) return fail(series.error());
    input.series = std::move(*series);
    return rule_test(input);
  }
  static void write(const std::string& name, const std::string& text) {
    std::ofstream(ground_->folder() / name) << text;
  }
  // Whether promtool passes the test; what it says goes to the test's output.
  static bool promtool(const RuleTest& test, bool quiet) {
    write(test.rules_file, test.rules);
    write(test.test_file, test.test);
    const std::string command = "cd " + ground_->folder().string() + " && promtool check rules " +
                                test.rules_file + " >/dev/null && promtool test rules " +
                                test.test_file + (quiet ? " >/dev/null 2>&1" : " 2>&1");
    return std::system(command.c_str()) == 0;
  }
  static std::string with(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from << " in " << text;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
  }

  static inline std::unique_ptr<test::Ground> ground_;
  static inline std::unique_ptr<test::Service> service_;
  static inline bool ready_ = false;
  static inline api::MonitoringRecord record_;
  static inline WatchTimes times_;
};

TEST_F(RuleTests, PassInPromtoolAndFailWhenTheThresholdIsAboveWhatWasMeasured) {
  for (const auto& [alert, threshold, above] :
       {std::tuple{"Slow", "> 0.1", "> 0.26"}, std::tuple{"Gauge", "> 0.5", "> 1.01"},
        std::tuple{"Smooth", "> 0.6", "> 1.01"}, std::tuple{"Failing", "> 0.1", "> 0.31"},
        std::tuple{"Gone", "absent(", "-1 > absent("}}) {
    SCOPED_TRACE(alert);
    auto test = made(alert);
    ASSERT_TRUE(test.has_value()) << test.error().message;
    EXPECT_TRUE(promtool(*test, false)) << test->rules << test->test;
    EXPECT_THAT(test->test, HasSubstr("exp_alerts: []"));
    EXPECT_THAT(test->test, HasSubstr("exp_labels"));
    RuleTest raised = *test;
    raised.rules = with(raised.rules, threshold, above);
    EXPECT_FALSE(promtool(raised, true)) << raised.rules;
    // One that is true from the begin on fails the silence before.
    if (std::string(alert) == "Gauge") {
      RuleTest lowered = *test;
      lowered.rules = with(lowered.rules, threshold, "> -1");
      EXPECT_FALSE(promtool(lowered, true));
      std::cout << test->test;
    }
  }
}

TEST_F(RuleTests, WhatIsMadeFromValuesIsLeftOutAndSaid) {
  const auto slow = made("Slow");
  ASSERT_TRUE(slow.has_value()) << slow.error().message;
  EXPECT_EQ(slow->rules_file, "Slow.rules.yml");
  ASSERT_EQ(slow->notes.size(), 1U);
  EXPECT_THAT(slow->notes[0], HasSubstr("annotation \"value\""));
  EXPECT_THAT(slow->rules, testing::Not(HasSubstr("$value")));
  EXPECT_THAT(slow->test, HasSubstr("payments-0 is 'slow' \\\"now\\\": 100 %"));
  EXPECT_THAT(slow->test, HasSubstr("\"team\": \"of payments-0\""));
}

TEST_F(RuleTests, WhereTheSeriesEndedIsAStaleMarker) {
  const auto gone = made("Gone");
  ASSERT_TRUE(gone.has_value()) << gone.error().message;
  EXPECT_THAT(gone->test, HasSubstr(" stale"));
}

TEST_F(RuleTests, AnAlertThatDidNotFireHasNoTest) {
  const auto calm = made("Calm");
  ASSERT_FALSE(calm.has_value());
  EXPECT_THAT(calm.error().message, HasSubstr("alert: \"Calm\" did not fire"));
}

}  // namespace
}  // namespace faultline::controller::observe
