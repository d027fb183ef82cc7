// SPDX-License-Identifier: Apache-2.0
// Each verdict from rules and routes that deserve it: Prometheus and Alertmanager as Debian ships
// them, one run for all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cmath>

#include "controller/observe/prometheus.h"
#include "controller/observe/watcher.h"
#include "report/detections.h"
#include "report/floor.h"
#include "tests/monitoring/ground.h"
#include "tests/unit/http/misbehaving.h"

namespace faultline::controller::observe {
namespace {

using api::DetectionVerdict;
using std::chrono::milliseconds;
using testing::HasSubstr;
namespace asio = boost::asio;

constexpr const char* kRules = R"yaml(
groups:
- name: shop
  rules:
  - {record: "shop:slow:avg3s", expr: "avg_over_time(app_slow[3s])"}
  - {alert: Slow, expr: app_slow > 0.5, for: 2s, labels: {severity: page}}
  - {alert: Smooth, expr: "shop:slow:avg3s > 0.6", labels: {severity: page}}
  - {alert: High, expr: app_slow > 9, labels: {severity: page}}
  - {alert: TooSlow, expr: app_slow > 0.5, for: 5m, labels: {severity: page}}
  - {alert: Late, expr: app_slow > 0.5, for: 5s, labels: {severity: page}}
  - {alert: Lost, expr: app_slow > 0.5, labels: {severity: none}}
  - {alert: Quiet, expr: app_slow > 0.5, labels: {severity: page, team: quiet}}
  - {alert: Masked, expr: app_slow > 0.5, for: 3s, labels: {severity: page}}
  - {alert: Always, expr: up == 1, labels: {severity: page}}
  - {alert: Brief, expr: app_pulse > 0, labels: {severity: patient}}
  - {alert: Flap, expr: app_flap > 0, labels: {severity: page}}
  - {alert: Stuck, expr: app_stuck > 0, labels: {severity: page}}
  - {record: "shop:errors:ratio6s", expr: "rate(app_errors_total[6s]) / rate(app_requests_total[6s])"}
  - {record: "shop:errors:ratio3s", expr: "rate(app_errors_total[3s]) / rate(app_requests_total[3s])"}
  - {alert: Burn, expr: "shop:errors:ratio6s > 0.1 and shop:errors:ratio3s > 0.1", labels: {severity: page}}
  - {alert: Gone, expr: 'absent(app_beat{pod="payments-0"})', labels: {severity: page}}
  - {alert: Kept, expr: app_slow > 0.5, keep_firing_for: 4s, labels: {severity: page, told: "{{ $labels.pod }} has {{ $value }}"}}
  - {alert: Surprise, expr: app_slow > 0.5, labels: {severity: page}}
)yaml";
constexpr const char* kRoutes = R"yaml(
route:
  receiver: Default
  group_by: [alertname]
  group_wait: 1s
  group_interval: 2s
  repeat_interval: 1h
  routes:
  - {matchers: ['severity="page"'], receiver: pager}
  - {matchers: ['severity="patient"'], receiver: pager, group_wait: 30s}
inhibit_rules:
- {source_matchers: ['alertname="Slow"'], target_matchers: ['alertname="Masked"'], equal: [pod]}
receivers:
- name: Default
- name: pager
  webhook_configs: [{url: "HOOK"}]
)yaml";

// What a service counts while half of its requests fail, and a beat that stops then.
class Counters {
 public:
  void fail(bool fails) { fails_ = fails; }
  std::string text() {
    requests_ += 10;
    if (fails_) errors_ += 5;
    return "app_requests_total " + std::to_string(requests_) + "\napp_errors_total " +
           std::to_string(errors_) + "\n" + (fails_ ? "" : "app_beat 1\n");
  }

 private:
  std::atomic<bool> fails_ = false;
  int requests_ = 0, errors_ = 0;
};

constexpr std::array kGauges = {"app_slow", "app_pulse", "app_flap", "app_stuck"};

api::ExpectAlert expect(const std::string& name, int within = 60) {
  api::ExpectAlert out;
  out.name = name;
  out.within.value = std::chrono::seconds(within);
  return out;
}

class Verdicts : public testing::Test {
 protected:
  // One run: t2 when the exporter shows the fault, t9 12 s later, the end 10 s after that.
  static void SetUpTestSuite() {
    ground_ = std::make_unique<test::Ground>(kRules, kRoutes);
    for (const char* name : kGauges) ground_->set(name, 0);
    const auto counters = std::make_shared<Counters>();
    ground_->text([counters] { return counters->text(); });
    ready_ = ground_->ready() && ground_->amtool("silence add team=quiet -c works -a anna -d 1h");
    if (!ready_) return;
    for (const char* name : {"Slow", "Smooth", "High", "TooSlow", "Lost", "Quiet", "Masked",
                             "Always", "Brief", "Flap", "Stuck", "Slwo", "Burn", "Gone", "Kept"})
      experiment_.spec.expect.alerts.push_back(expect(name));
    experiment_.spec.expect.alerts.push_back(expect("Late", 3));
    asio::io_context io;
    const SystemClock clock;
    Watcher watcher(io.get_executor(),
                    {{{.name = "main", .url = ground_->prometheus()}},
                     {{.name = "am", .url = ground_->alertmanager()}},
                     {"pager"}},
                    experiment_, clock);
    WatchTimes times;
    times.begin = clock.utc();
    http::run(io, [&]() -> asio::awaitable<int> {
      co_await watcher.begin();
      before_ = watcher.record();
      const auto look = [&](int tenths) -> asio::awaitable<void> {
        const UtcTime until = clock.utc() + milliseconds(100) * tenths;
        while (clock.utc() < until) {
          co_await http::pause(milliseconds(250));
          co_await watcher.poll();
          for (auto& one : ground_->notifications()) watcher.notified(one);
        }
      };
      co_await look(20);
      for (const char* name : kGauges) ground_->set(name, 1);
      counters->fail(true);
      times.first_injected = {clock.utc()};
      co_await look(40);
      ground_->set("app_pulse", 0);
      ground_->set("app_flap", 0);
      co_await look(40);
      ground_->set("app_flap", 1);
      co_await look(40);
      ground_->set("app_slow", 0);
      counters->fail(false);
      ground_->set("app_flap", 0);
      times.last_injected = {clock.utc()};
      co_await look(100);
      times.end = clock.utc();
      api::PodRef pod;
      pod.namespace_ = "shop";
      pod.name = "payments-0";
      const std::vector<api::PodRef> pods(1, pod);
      co_await watcher.finish(times, pods);
      // An independent look at one of them, while it still is there.
      const SourceOptions options{.name = "x", .url = ground_->prometheus()};
      Prometheus client(io.get_executor(), options, clock);
      if (const auto alerts = co_await client.alerts())
        for (const ActiveAlert& one : *alerts)
          if (one.alert == "Stuck") stuck_since_ = one.active_at;
      co_return 0;
    }());
    told_ = watcher.record().notes;
    record_ = watcher.take();
    times_ = {times.first_injected, times.last_injected, {times.end}};
    found_ = report::detections_of(record_, experiment_.spec.expect, times_);
  }
  static void TearDownTestSuite() { ground_.reset(); }
  void SetUp() override { ASSERT_TRUE(ready_) << "needs: the packages of the group monitoring"; }

  static const api::DetectionReport& of(const std::string& alert) {
    for (const auto& one : found_)
      if (one.alert == alert) return one;
    static const api::DetectionReport kNone{.reason = "not there"};
    return kNone;
  }
  static double since_injected(api::Timestamp at) {
    return std::chrono::duration<double>(at.value - times_.first_injected.value).count();
  }

  static inline std::unique_ptr<test::Ground> ground_;
  static inline bool ready_ = false;
  static inline api::Experiment experiment_;
  static inline api::MonitoringRecord before_, record_;
  static inline std::vector<std::string> told_;
  static inline report::DetectionTimes times_;
  static inline std::vector<api::DetectionReport> found_;
  static inline double stuck_since_ = 0;
};

TEST_F(Verdicts, Detected) {
  const auto& slow = of("Slow");
  EXPECT_EQ(slow.verdict, DetectionVerdict::detected) << slow.reason;
  EXPECT_EQ(slow.labels.at("pod"), "payments-0");
  ASSERT_TRUE(slow.seconds && slow.floor);
  EXPECT_LE(*slow.floor, *slow.seconds);
  EXPECT_GE(*slow.floor, 2);
  EXPECT_LE(*slow.seconds, *slow.floor + 6) << "two grids of 1 s, on a machine that is busy";
  double sum = 0;
  for (const auto& step : slow.steps) {
    ASSERT_TRUE(step.seconds && step.floor) << step.name;
    EXPECT_LE(*step.floor, *step.seconds + 1e-9) << step.name;
    sum += *step.seconds;
    RecordProperty(step.name, std::to_string(*step.seconds) + ", floor " +
                                  std::to_string(*step.floor) + ", " + step.cause);
  }
  EXPECT_NEAR(sum, since_injected(slow.notifiedAt), 1e-3);
  EXPECT_EQ(slow.receivers, std::vector<std::string>{"pager"});
  EXPECT_TRUE(slow.resolvedAt.set());
  EXPECT_TRUE(slow.resolvedNotifiedAt.set());
  EXPECT_EQ(slow.steps[0].cause, "scrape_interval 1s");
}

TEST_F(Verdicts, ByARangeBehindARecordingRule) {
  const auto& smooth = of("Smooth");
  EXPECT_EQ(smooth.verdict, DetectionVerdict::detected) << smooth.reason;
  EXPECT_GE(*smooth.floor, 0.5);  // two of three samples must be above
  EXPECT_LE(*smooth.floor, *smooth.seconds);
  EXPECT_THAT(smooth.steps[1].cause, HasSubstr("range window 3s"));
}

TEST_F(Verdicts, ByTwoWindowsOfABurnRateAndByWhatIsAbsent) {
  for (const char* name : {"Burn", "Gone"}) {
    const auto& one = of(name);
    EXPECT_EQ(one.verdict, DetectionVerdict::detected) << name << ": " << one.reason;
    ASSERT_TRUE(one.seconds && one.floor) << name << ": " << one.reason;
    EXPECT_LE(*one.floor, *one.seconds) << name;
    EXPECT_LE(*one.seconds, *one.floor + 6) << name << ": grids of 1 s, on a machine that is busy";
    EXPECT_TRUE(one.resolvedAt.set()) << name;
  }
  EXPECT_THAT(of("Burn").steps[1].cause, HasSubstr("range window"));
}

TEST_F(Verdicts, WhatKeepsFiringIsToldWithItsTemplatedLabels) {
  const auto& kept = of("Kept");
  EXPECT_EQ(kept.verdict, DetectionVerdict::detected) << kept.reason;
  EXPECT_EQ(kept.labels.at("told"), "payments-0 has 1");
  ASSERT_TRUE(kept.resolvedAt.set());
  EXPECT_GE(kept.resolvedAt.value - times_.last_injected.value, std::chrono::seconds(4));
}

TEST_F(Verdicts, MissedAndWhy) {
  EXPECT_EQ(of("High").verdict, DetectionVerdict::missed);
  EXPECT_THAT(of("High").reason, HasSubstr("its expression was true at none of"));
  EXPECT_EQ(of("TooSlow").verdict, DetectionVerdict::missed);
  EXPECT_THAT(of("TooSlow").reason, HasSubstr("it needs 5 min"));
  EXPECT_EQ(of("Slwo").verdict, DetectionVerdict::missed);
  EXPECT_THAT(of("Slwo").reason, HasSubstr("the nearest is \"Slow\""));
  EXPECT_EQ(of("Late").verdict, DetectionVerdict::late);
}

TEST_F(Verdicts, NobodyWasTold) {
  EXPECT_EQ(of("Lost").verdict, DetectionVerdict::not_notified);
  EXPECT_EQ(of("Lost").reason, "routed to nobody: receiver Default has no integration");
  EXPECT_EQ(of("Quiet").verdict, DetectionVerdict::not_notified);
  EXPECT_THAT(of("Quiet").reason, HasSubstr("silenced by anna"));
  EXPECT_EQ(of("Masked").verdict, DetectionVerdict::not_notified);
  EXPECT_THAT(of("Masked").reason, HasSubstr("inhibited by Slow{"));
  EXPECT_EQ(of("Brief").verdict, DetectionVerdict::not_notified);
  EXPECT_THAT(of("Brief").reason, HasSubstr("within group_wait 30s"));
}

TEST_F(Verdicts, NotOnceNotInTimeNotExpected) {
  EXPECT_EQ(of("Always").verdict, DetectionVerdict::before_fault);
  EXPECT_EQ(of("Flap").verdict, DetectionVerdict::flapping) << of("Flap").reason;
  EXPECT_EQ(of("Stuck").verdict, DetectionVerdict::still_firing) << of("Stuck").reason;
  EXPECT_EQ(of("Surprise").verdict, DetectionVerdict::false_alarm);
}

TEST_F(Verdicts, TimesAreThoseOfTheAlertsPage) {
  const auto& stuck = of("Stuck");
  const double ours =
      std::chrono::duration<double>(stuck.firingAt.value.time_since_epoch()).count();
  EXPECT_NEAR(ours, stuck_since_, 0.1);
}

TEST_F(Verdicts, KnownBeforeTheRun) {
  ASSERT_GE(before_.rules.size(), 12U);
  for (const api::AlertRule& rule : before_.rules) {
    EXPECT_EQ(rule.scrapeInterval, 1) << rule.alert;
    ASSERT_EQ(rule.routes.size(), 1U) << rule.alert;
    if (rule.alert == "TooSlow") {
      EXPECT_FALSE(report::could_fire(rule, 12, 60).possible);
    }
    if (rule.alert == "Slow") {
      EXPECT_TRUE(report::could_fire(rule, 12, 60).possible);
    }
    if (rule.alert == "Quiet") {
      EXPECT_THAT(rule.routes[0].muted, HasSubstr("silenced by anna"));
    }
    if (rule.alert == "Lost") {
      EXPECT_TRUE(rule.routes[0].integrations.empty());
    }
    if (rule.alert == "Always") {
      EXPECT_TRUE(rule.routes[0].groupExists);
    }
    if (rule.alert == "Slow") {
      EXPECT_FALSE(rule.routes[0].groupExists);
    }
  }
  EXPECT_EQ(told_, std::vector<std::string>{});
  EXPECT_EQ(record_.sources[0].problem + record_.sources[1].problem, "");
  EXPECT_EQ(record_.gaps.size(), 0U);
  EXPECT_LT(std::abs(record_.sources[0].clockOffset), 0.5);
}

}  // namespace
}  // namespace faultline::controller::observe
