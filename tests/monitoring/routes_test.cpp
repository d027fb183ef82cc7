// SPDX-License-Identifier: Apache-2.0
// Whom Debian's Alertmanager tells, of alerts of one name that labels keep apart, when it was away
// as the run began.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <iostream>

#include "controller/observe/watcher.h"
#include "report/detections.h"
#include "tests/monitoring/ground.h"
#include "tests/unit/http/misbehaving.h"

namespace faultline::controller::observe {
namespace {

using api::DetectionVerdict;
using std::chrono::milliseconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
namespace asio = boost::asio;

// Level is a warning and a page of one name and group, as in many public files of rules.
constexpr const char* kRules = R"yaml(
groups:
- name: shop
  rules:
  - {alert: Early, expr: app_early > 0.5}
  - {alert: Split, expr: app_split > 0.5, for: 1s}
  - {alert: Level, expr: app_level > 5, for: 2s, labels: {severity: page}}
  - {alert: Level, expr: app_level > 0.5, for: 3s, labels: {severity: warn}}
  - {alert: Outside, expr: app_split > 0.5, labels: {kind: outside}}
)yaml";
constexpr const char* kRoutes = R"yaml(
route:
  receiver: pager
  group_by: [alertname, shard]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1h
  routes:
  - {matchers: ['kind="outside"', 'cluster="eu"'], receiver: eu}
  - {matchers: ['shard="a"'], receiver: team-a}
  - {matchers: ['shard="b"'], receiver: team-b}
receivers:
- {name: pager, webhook_configs: [{url: "HOOK"}]}
- {name: eu, webhook_configs: [{url: "HOOK"}]}
- {name: team-a, webhook_configs: [{url: "HOOK"}]}
- {name: team-b, webhook_configs: [{url: "HOOK"}]}
)yaml";

class Routes : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ground_ = std::make_unique<test::Ground>(kRules, kRoutes, "{cluster: eu}");
    std::atomic<int> split = 0;
    ground_->text([&split] {
      const std::string value = std::to_string(split);
      return "app_split{shard=\"a\"} " + value + "\napp_split{shard=\"b\"} " + value + "\n";
    });
    ground_->set("app_early", 0);
    ground_->set("app_level", 0);
    ready_ = ground_->ready();
    if (!ready_) return;
    expect("Early", {}, "");
    expect("Split", {{"shard", "a"}}, "team-a");
    expect("Split", {{"shard", "b"}}, "team-b");
    expect("Level", {}, "");
    expect("Level", {{"severity", "page"}}, "");
    expect("Outside", {}, "eu");
    ground_->kill_alertmanager();
    asio::io_context io;
    const SystemClock clock;
    Watcher watcher(io.get_executor(),
                    {{{.name = "main", .url = ground_->prometheus()}},
                     {{.name = "am", .url = ground_->alertmanager()}},
                     {"pager", "eu", "team-a", "team-b"}},
                    experiment_, clock);
    WatchTimes times;
    times.begin = clock.utc();
    http::run(io, [&]() -> asio::awaitable<int> {
      co_await watcher.begin();
      const auto look = [&](int tenths) -> asio::awaitable<void> {
        const UtcTime until = clock.utc() + milliseconds(100) * tenths;
        while (clock.utc() < until) {
          co_await http::pause(milliseconds(250));
          co_await watcher.poll();
          for (auto& one : ground_->notifications()) watcher.notified(one);
        }
      };
      co_await look(20);
      ground_->set("app_early", 1);
      times.first_injected = {clock.utc()};
      co_await look(40);
      ground_->start_alertmanager();
      back_ = clock.utc();
      co_await look(40);
      split = 1;
      ground_->set("app_level", 1);
      co_await look(100);
      split = 0;
      ground_->set("app_level", 0);
      times.last_injected = {clock.utc()};
      co_await look(60);
      times.end = clock.utc();
      const std::vector<api::PodRef> none;
      co_await watcher.finish(times, none);
      co_return 0;
    }());
    record_ = watcher.take();
    found_ = report::detections_of(record_, experiment_.spec.expect,
                                   {times.first_injected, times.last_injected, {times.end}});
    ground_->text({});
    for (const auto& one : found_)
      std::cout << one.alert << " " << static_cast<int>(one.verdict) << " " << one.reason
                << ", after " << one.seconds.value_or(-1) << " s, floor " << one.floor.value_or(-1)
                << "\n";
    for (const auto& gap : record_.gaps) std::cout << gap.source << ": " << gap.reason << "\n";
    for (const auto& note : record_.notes) std::cout << note << "\n";
  }
  static void TearDownTestSuite() { ground_.reset(); }
  void SetUp() override { ASSERT_TRUE(ready_) << "needs: the packages of the group monitoring"; }

  static void expect(const std::string& name, std::map<std::string, std::string> labels,
                     const std::string& receiver) {
    api::ExpectAlert one{.name = name};
    one.labels = std::move(labels);
    one.receiver = receiver;
    one.within.value = std::chrono::seconds(60);
    experiment_.spec.expect.alerts.push_back(one);
  }

  static inline std::unique_ptr<test::Ground> ground_;
  static inline bool ready_ = false;
  static inline api::Experiment experiment_;
  static inline UtcTime back_;
  static inline api::MonitoringRecord record_;
  static inline std::vector<api::DetectionReport> found_;
};

TEST_F(Routes, WhatFiredWhileItWasAwayLedNobodyKnowsWhere) {
  std::vector<std::string> gaps;
  for (const api::MonitoringGap& gap : record_.gaps) gaps.push_back(gap.source);
  ASSERT_THAT(gaps, Contains("routes of am"));
  for (const api::MonitoringGap& gap : record_.gaps) {
    EXPECT_GE(gap.to.value, back_) << gap.source;
    EXPECT_LE(gap.to.value, back_ + std::chrono::seconds(3)) << gap.source;
  }
  EXPECT_THAT(found_.at(0).reason, HasSubstr("whom am tells is not known from "));
  EXPECT_NE(found_.at(0).verdict, DetectionVerdict::not_notified);
}

TEST_F(Routes, EachExpectationOfOneRuleHasItsReceiver) {
  for (const std::size_t i : {1U, 2U}) {
    EXPECT_EQ(found_.at(i).verdict, DetectionVerdict::detected) << found_[i].reason;
    EXPECT_THAT(found_[i].receivers, ElementsAre(i == 1 ? "team-a" : "team-b"));
    EXPECT_EQ(found_[i].steps.at(3).cause, "group_wait 1s");
  }
}

TEST_F(Routes, TwoRulesOfOneNameHaveTheirOwnFloors) {
  const api::DetectionReport& warning = found_.at(3);
  EXPECT_EQ(warning.verdict, DetectionVerdict::detected) << warning.reason;
  EXPECT_EQ(warning.labels.at("severity"), "warn");
  ASSERT_TRUE(warning.seconds && warning.floor);
  EXPECT_LE(*warning.floor, *warning.seconds + 0.01);
  EXPECT_GE(*warning.floor, *warning.seconds - 3) << "grids of 1 s";
  const api::DetectionReport& page = found_.at(4);
  EXPECT_EQ(page.verdict, DetectionVerdict::missed) << page.reason;
  EXPECT_THAT(page.reason, HasSubstr("its expression was true at none of"));
}

TEST_F(Routes, AreThoseOfTheExternalLabelsToo) {
  EXPECT_EQ(found_.at(5).verdict, DetectionVerdict::detected) << found_[5].reason;
  EXPECT_THAT(found_[5].receivers, ElementsAre("eu"));
}

}  // namespace
}  // namespace faultline::controller::observe
