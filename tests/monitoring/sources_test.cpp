// SPDX-License-Identifier: Apache-2.0
// Sources that do not behave: a Prometheus that stands still, is killed, has another time, or
// stores values that are none; and what twenty runs say of the floor. Each has a Prometheus of its
// own; all go on at the same time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <cmath>
#include <iostream>
#include <thread>

#include "controller/observe/watcher.h"
#include "report/detections.h"
#include "tests/monitoring/ground.h"
#include "tests/unit/http/misbehaving.h"

namespace faultline::controller::observe {
namespace {

using api::DetectionVerdict;
using std::chrono::milliseconds;
using testing::AnyOf;
using testing::Eq;
using testing::HasSubstr;
namespace asio = boost::asio;

constexpr const char* kRoutes = R"yaml(
route: {receiver: pager, group_by: [alertname], group_wait: 1s, group_interval: 1s}
receivers:
- name: pager
  webhook_configs: [{url: "HOOK"}]
)yaml";

constexpr int kRuns = 20;

// `ahead` of this machine's clock, and so of everybody else's.
class ClockAhead final : public Clock {
 public:
  explicit ClockAhead(std::chrono::nanoseconds ahead) : ahead_(ahead) {}
  [[nodiscard]] SteadyTime steady() const override { return clock_.steady(); }
  [[nodiscard]] UtcTime utc() const override { return clock_.utc() + ahead_; }

 private:
  SystemClock clock_;
  std::chrono::nanoseconds ahead_;
};

struct Step {
  double at = 0;  // seconds after the begin
  std::function<void()> what;
};

// One run, as the controller follows it.
struct Watched {
  bool ready = false;
  api::Experiment experiment;
  api::MonitoringRecord record;
  UtcTime begin;
  report::DetectionTimes times;
  [[nodiscard]] UtcTime after(double seconds) const {
    return begin + milliseconds(std::llround(seconds * 1e3));
  }
  // Of the expected alert `i`, were `first` the first injected event.
  [[nodiscard]] api::DetectionReport of(std::size_t i, UtcTime first) const {
    report::DetectionTimes mine = times;
    mine.first_injected = {first};
    return report::detections_of(record, experiment.spec.expect, mine).at(i);
  }
  [[nodiscard]] api::DetectionReport of(std::size_t i) const {
    return of(i, times.first_injected.value);
  }
};

void expect(Watched& run, const std::string& alert, int within = 60) {
  api::ExpectAlert one;
  one.name = alert;
  one.within.value = std::chrono::seconds(within);
  run.experiment.spec.expect.alerts.push_back(one);
}

// The fault lasts from `first` to `last`, seconds after the begin.
void watch(test::Ground& ground, Watched& run, const std::vector<Step>& steps, double first,
           double last, double end, std::chrono::nanoseconds ahead = {}) {
  run.ready = ground.ready();
  if (!run.ready) return;
  asio::io_context io;
  const ClockAhead clock(ahead);
  Watcher watcher(io.get_executor(),
                  {{{.name = "main", .url = ground.prometheus()}},
                   {{.name = "am", .url = ground.alertmanager()}},
                   {"pager"}},
                  run.experiment, clock);
  http::run(io, [&]() -> asio::awaitable<int> {
    co_await watcher.begin();
    run.begin = clock.utc();
    run.times.first_injected = {run.after(first)};
    run.times.last_injected = {run.after(last)};
    std::size_t done = 0;
    for (SteadyTime next = clock.steady(); clock.utc() < run.after(end);) {
      for (; done < steps.size() && clock.utc() >= run.after(steps[done].at); ++done)
        steps[done].what();
      if (clock.steady() >= next) {
        next = clock.steady() + milliseconds(500);
        co_await watcher.poll();
      }
      for (auto& one : ground.notifications()) {
        one.at.value += ahead;
        watcher.notified(one);
      }
      co_await http::pause(milliseconds(20));
    }
    const WatchTimes times{.begin = run.begin,
                           .first_injected = run.times.first_injected,
                           .last_injected = run.times.last_injected,
                           .end = clock.utc()};
    api::PodRef pod;
    pod.namespace_ = "shop";
    pod.name = "payments-0";
    const std::vector<api::PodRef> pods(1, pod);
    co_await watcher.finish(times, pods);
    run.times.end = {times.end};
    co_return 0;
  }());
  run.record = watcher.take();
}

class Sources : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::vector<std::thread> all;
    for (const auto one : {follow_twenty, follow_ahead, follow_stopped, follow_killed})
      all.emplace_back(one);
    for (std::thread& one : all) one.join();
  }
  void SetUp() override {
    for (const Watched* run : {&twenty_, &ahead_, &stopped_, &killed_})
      ASSERT_TRUE(run->ready) << "needs: the packages of the group monitoring";
  }

  // Gauges that rise one after another, at times that share no grid; each is a run of its own.
  static double raised(int i) { return 3 + 0.73 * i; }
  static void follow_twenty() {
    std::string rules = "groups:\n- name: shop\n  rules:\n";
    std::vector<Step> steps;
    for (int i = 0; i < kRuns; ++i) {
      const std::string gauge = "app_" + std::to_string(i), alert = "A" + std::to_string(i);
      rules += "  - {alert: " + alert + ", expr: '" +
               (i % 2 == 0 ? gauge + " > 0.5', for: 2s}\n"
                           : "avg_over_time(" + gauge + "[3s]) > 0.6'}\n");
      expect(twenty_, alert);
    }
    rules += "  - {alert: NoNumber, expr: 'app_nan > 0.5'}\n";
    rules += "  - {alert: Ahead, expr: 'app_ahead > 0.5'}\n";
    expect(twenty_, "NoNumber");
    expect(twenty_, "Ahead");
    test::Ground ground(rules, kRoutes);
    for (int i = 0; i < kRuns; ++i) {
      ground.set("app_" + std::to_string(i), 0);
      steps.push_back({raised(i), [&ground, i] { ground.set("app_" + std::to_string(i), 1); }});
    }
    // From its begin on a value that is no number, and samples of a time that is still to come.
    std::atomic<bool> begun{false};
    ground.text([&begun] {
      const auto now = std::chrono::duration_cast<milliseconds>(
          std::chrono::system_clock::now().time_since_epoch());
      return std::string("app_nan NaN\napp_ahead ") + (begun ? "1 " : "0 ") +
             std::to_string((now + std::chrono::seconds(4)).count()) + "\n";
    });
    steps.insert(steps.begin(), {raised(0), [&begun] { begun = true; }});
    watch(ground, twenty_, steps, raised(0), raised(kRuns) + 6, raised(kRuns) + 8);
  }

  static void follow_ahead() {
    test::Ground ground(
        "groups:\n- name: shop\n  rules:\n  - {alert: Slow, expr: app > 0.5, for: 2s}\n", kRoutes);
    ground.set("app", 0);
    expect(ahead_, "Slow");
    watch(ground, ahead_, {{3, [&] { ground.set("app", 1); }}, {10, [&] { ground.set("app", 0); }}},
          3, 10, 14, std::chrono::seconds(5));
  }

  static void follow_stopped() {
    test::Ground ground(
        "groups:\n- name: shop\n  rules:\n  - {alert: Slow, expr: app > 0.5, for: 2s}\n", kRoutes);
    ground.set("app", 0);
    expect(stopped_, "Slow", 5);
    watch(ground, stopped_,
          {{3, [&] { ground.set("app", 1); }},
           {3.5, [&] { ground.signal_prometheus(SIGSTOP); }},
           {10, [&] { ground.signal_prometheus(SIGCONT); }},
           {18, [&] { ground.set("app", 0); }}},
          3, 18, 20);
  }

  static void follow_killed() {
    test::Ground ground(
        "groups:\n- name: shop\n  rules:\n  - {alert: Slow, expr: app > 0.5, for: 5s}\n", kRoutes);
    ground.set("app", 0);
    expect(killed_, "Slow", 8);
    watch(ground, killed_,
          {{3, [&] { ground.set("app", 1); }},
           {6.5, [&] { ground.restart_prometheus(); }},
           {20, [&] { ground.set("app", 0); }}},
          3, 20, 22);
  }

  static inline Watched twenty_, ahead_, stopped_, killed_;
};

// The floor is what the settings allow: no run is below it, and the best one of many that begin at
// different times of the grids comes within an evaluation of it.
TEST_F(Sources, TheFloorIsNeverAboveARunAndTheBestOfTwentyReachesIt) {
  for (const int kind : {0, 1}) {
    double best = 1e9, lowest = 1e9;
    for (int i = kind; i < kRuns; i += 2) {
      const api::DetectionReport found =
          twenty_.of(static_cast<std::size_t>(i), twenty_.after(raised(i)));
      ASSERT_TRUE(found.seconds && found.floor) << found.alert << ": " << found.reason;
      EXPECT_LE(*found.floor, *found.seconds + 0.01) << found.alert;
      best = std::min(best, *found.seconds);
      lowest = std::min(lowest, *found.floor);
      std::cout << found.alert << " fired after " << *found.seconds << " s, floor " << *found.floor
                << " s\n";
    }
    EXPECT_LE(best, lowest + 1) << (kind == 0 ? "an instant rule" : "a rule with a range");
  }
}

TEST_F(Sources, AValueThatIsNoNumberFiresNothingAndPassesNothing) {
  EXPECT_EQ(twenty_.of(kRuns).verdict, DetectionVerdict::missed);
}

TEST_F(Sources, SamplesOfATimeThatIsStillToComeMakeNoStepNegative) {
  const api::DetectionReport ahead = twenty_.of(kRuns + 1);
  EXPECT_EQ(ahead.verdict, DetectionVerdict::still_firing) << ahead.reason;
  ASSERT_TRUE(ahead.seconds && ahead.floor);
  EXPECT_GT(*ahead.seconds, 2.9) << "they count from their time on";
  EXPECT_LE(*ahead.floor, *ahead.seconds + 0.01);
  for (const api::DetectionStep& step : ahead.steps) EXPECT_GE(step.seconds, 0) << step.name;
}

TEST_F(Sources, ClocksThatAreFiveSecondsApartAreMeasuredAndTakenOut) {
  ASSERT_FALSE(ahead_.record.sources.empty());
  EXPECT_NEAR(ahead_.record.sources[0].clockOffset, -5, 0.2);
  const api::DetectionReport slow = ahead_.of(0);
  EXPECT_EQ(slow.verdict, DetectionVerdict::detected) << slow.reason;
  ASSERT_TRUE(slow.seconds);
  EXPECT_GE(*slow.seconds, 2 - 0.01) << "for: 2s";
  EXPECT_LE(*slow.seconds, 2 + 1 + 1 + 1) << "for, a scrape, an evaluation, and rounding up";
  ASSERT_TRUE(slow.notifiedAt.set());
  EXPECT_GE(slow.notifiedAt, slow.firingAt);
}

TEST_F(Sources, APrometheusThatStoodStillIsAGapAndTheAlertItsTrueTime) {
  EXPECT_FALSE(stopped_.record.gaps.empty());
  const api::DetectionReport slow = stopped_.of(0);
  EXPECT_THAT(slow.verdict, AnyOf(Eq(DetectionVerdict::late), Eq(DetectionVerdict::unknown)))
      << slow.reason;
  if (slow.seconds) {
    EXPECT_GT(*slow.seconds, 6.4) << "it evaluated nothing before";
  }
  EXPECT_THAT(slow.reason, HasSubstr("main could not be asked from"));
  std::cout << slow.reason << "\n";
}

TEST_F(Sources, APrometheusThatWasKilledBeginsForAnewAndTheReasonSaysIt) {
  const api::DetectionReport slow = killed_.of(0);
  EXPECT_EQ(slow.verdict, DetectionVerdict::late) << slow.reason;
  ASSERT_TRUE(slow.seconds);
  EXPECT_GT(*slow.seconds, 3.5 + 5 - 0.01) << "for: 5s, from its restart on";
  EXPECT_THAT(slow.reason, HasSubstr("started anew"));
  std::cout << slow.reason << "\n";
}

}  // namespace
}  // namespace faultline::controller::observe
