// SPDX-License-Identifier: Apache-2.0
// The rules that would have noticed, over the metrics of a service whose effects are known, by
// Debian's Prometheus.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/observe/prometheus.h"
#include "controller/observe/watcher.h"
#include "report/detections.h"
#include "report/noticed.h"
#include "tests/monitoring/ground.h"
#include "tests/monitoring/service.h"
#include "tests/unit/http/misbehaving.h"

namespace faultline::controller::observe {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;
namespace asio = boost::asio;

constexpr const char* kRules = R"yaml(
groups:
- name: shop
  rules:
  - {alert: Never, expr: "http_request_duration_seconds_count < 0"}
)yaml";
constexpr const char* kRoutes = R"yaml(
route: {receiver: nobody}
receivers: [{name: nobody}]
)yaml";

class Hints : public testing::Test {
 protected:
  // Baseline of 10 s, fault of 12 s: twenty times slower, a fifth fails, half as many requests.
  static void SetUpTestSuite() {
    ground_ = std::make_unique<test::Ground>(kRules, kRoutes);
    service_ = std::make_unique<test::Service>(std::vector<test::Service::Histogram>{
        {"http_request_duration_seconds", {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1}}});
    ground_->text([] { return service_->text(); });
    ready_ = ground_->ready();
    if (!ready_) return;
    api::ExpectAlert never{.name = "Never"};
    never.within.value = std::chrono::seconds(5);
    experiment_.spec.expect.alerts = {never};
    asio::io_context io;
    const SystemClock clock;
    Watcher watcher(io.get_executor(), {{{.name = "main", .url = ground_->prometheus()}}, {}, {}},
                    experiment_, clock);
    http::run(io, [&]() -> asio::awaitable<int> {
      co_await watcher.begin();
      // Rates need samples of their whole window.
      co_await http::pause(milliseconds(4'000));
      times_.begin = clock.utc();
      co_await http::pause(milliseconds(10'000));
      service_->behave({.rate = 40, .latency = 0.2, .failed = 0.2, .cpu = 0.1});
      times_.first_injected = {clock.utc()};
      co_await http::pause(milliseconds(12'000));
      times_.last_injected = {clock.utc()};
      service_->behave({});
      co_await http::pause(milliseconds(1'500));
      times_.end = clock.utc();
      api::PodRef pod;
      pod.namespace_ = "shop";
      pod.name = "payments-0";
      api::PodRef other = pod;
      other.name = "unwatched-0";
      const std::vector<api::PodRef> pods{pod, other};
      const SteadyTime asked = clock.steady();
      co_await watcher.finish(times_, pods);
      took_ = std::chrono::duration<double>(clock.steady() - asked).count();
      co_return 0;
    }());
    told_ = watcher.record().notes;
    record_ = watcher.take();
  }
  static void TearDownTestSuite() {
    ground_.reset();
    service_.reset();
  }
  void SetUp() override { ASSERT_TRUE(ready_) << "needs: the packages of the group monitoring"; }

  static std::vector<api::AlertCandidate> of(const std::string& metric, bool falls = false) {
    std::vector<api::AlertCandidate> out;
    for (const api::AlertCandidate& one : record_.candidates)
      if (one.metric == metric && one.falls == falls) out.push_back(one);
    return out;
  }
  static double after(const api::AlertCandidate& one) {
    return std::chrono::duration<double>(one.trueAt.value - times_.first_injected.value).count();
  }
  // Whether Prometheus, asked by hand, has the rule as true at a time.
  static bool holds(const std::string& promql, UtcTime at) {
    asio::io_context io;
    const SystemClock clock;
    const SourceOptions options{.name = "x", .url = ground_->prometheus()};
    Prometheus client(io.get_executor(), options, clock);
    const auto found = http::run(io, client.query(promql, to_theirs(at, {})));
    EXPECT_TRUE(found.has_value()) << found.error().message;
    return found && !found->empty();
  }

  static inline std::unique_ptr<test::Ground> ground_;
  static inline std::unique_ptr<test::Service> service_;
  static inline bool ready_ = false;
  static inline api::Experiment experiment_;
  static inline WatchTimes times_;
  static inline api::MonitoringRecord record_;
  static inline std::vector<std::string> told_;
  static inline double took_ = 0;
};

TEST_F(Hints, EachEffectHasARuleThatIsSilentBeforeAndTrueInTheFault) {
  for (const auto& [metric, falls, words] :
       {std::tuple{
            "request.latency", false,
            "histogram_quantile(0.95, sum by (namespace, pod, le) "
            "(rate(http_request_duration_seconds_bucket{namespace=\"shop\",pod=\"payments-0\"}"
            "[4s])))"},
        std::tuple{"request.errors", false, "http_requests_total"},
        std::tuple{"request.rate", true, "sum by (namespace, pod) (rate(http_request"}}) {
    SCOPED_TRACE(metric);
    const auto found = of(metric, falls);
    ASSERT_FALSE(found.empty());
    const api::AlertCandidate& one = found.front();
    EXPECT_EQ(one.reason, "") << one.promql;
    EXPECT_EQ(one.pod, "shop/payments-0");
    EXPECT_THAT(one.promql, HasSubstr(words));
    ASSERT_TRUE(one.trueAt.set() && one.threshold);
    EXPECT_GE(after(one), 0);
    EXPECT_LE(after(one), 7) << "a window of 4 s, two grids of 1 s, a busy machine";
    EXPECT_TRUE(holds(one.promql, one.trueAt.value));
    EXPECT_FALSE(holds(one.promql, one.trueAt.value - std::chrono::seconds(1)));
    EXPECT_FALSE(holds(one.promql, times_.first_injected.value - std::chrono::seconds(1)));
    EXPECT_FALSE(holds(one.promql, times_.begin + std::chrono::seconds(1)));
    std::cout << metric << " after " << after(one) << " s: " << one.promql << "\n";
  }
}

TEST_F(Hints, WhatDidNotMoveIsNoRuleAndSaysSo) {
  const auto cpu = of("cpu.usage");
  ASSERT_FALSE(cpu.empty());
  EXPECT_THAT(cpu[0].reason, StartsWith("process_cpu_seconds_total did not cross 0.1"));
  EXPECT_FALSE(cpu[0].trueAt.set());
  const auto up = of("connect.errors");
  ASSERT_FALSE(up.empty());
  EXPECT_THAT(up[0].promql, StartsWith("min by (namespace, pod) (up{"));
  EXPECT_EQ(up[0].reason, "up was never 0");
  const bool told = std::ranges::any_of(record_.candidates, [](const api::AlertCandidate& one) {
    return one.pod == "shop/unwatched-0" && one.reason == "it has no series of shop/unwatched-0";
  });
  EXPECT_TRUE(told);
  EXPECT_EQ(told_, std::vector<std::string>{});
  EXPECT_LT(took_, 6);
  EXPECT_LE(record_.candidates.size(), 30U);
}

TEST_F(Hints, TheMissedAlertNamesTheEffectsThatMovedMost) {
  const report::DetectionTimes times{times_.first_injected, times_.last_injected, {times_.end}};
  api::Report report;
  report.detections = report::detections_of(record_, experiment_.spec.expect, times);
  ASSERT_EQ(report.detections.size(), 1U);
  ASSERT_EQ(report.detections[0].verdict, api::DetectionVerdict::missed);
  const auto moved = [&](const char* pod, const char* metric, double before, double during) {
    api::EffectReport effect{.pod = pod, .metric = metric};
    effect.baseline.emplace().p50 = before;
    effect.fault.emplace().p50 = during;
    effect.baseline->rate = before;
    effect.fault->rate = during;
    effect.change = during - before;
    effect.significant = true;
    report.effects.push_back(effect);
  };
  moved("shop/payments-0", "request.latency", 0.01, 0.2);
  moved("shop/payments-0", "request.errors", 0, 0.2);
  moved("shop/payments-0", "tcp.rtt", 0.001, 0.0011);
  moved("shop/unwatched-0", "request.rate", 100, 40);
  report::add_hints(record_, times, report);
  const auto& hints = report.detections[0].hints;
  ASSERT_EQ(hints.size(), 3U);
  for (const std::string& text : report::hint_words(report.detections[0]))
    std::cout << text << "\n";
  for (const auto& hint : hints) {
    if (hint.text.find("unwatched") != std::string::npos) {
      EXPECT_EQ(hint.promql, "");
      EXPECT_THAT(hint.text, HasSubstr("main: it has no series of shop/unwatched-0"));
      continue;
    }
    EXPECT_NE(hint.promql, "");
    ASSERT_TRUE(hint.seconds);
    EXPECT_GT(*hint.seconds, 0);
  }
}

TEST_F(Hints, WhatBecameOfEachAlertIsInTheRecord) {
  ASSERT_EQ(record_.outcomes.size(), 1U);
  EXPECT_EQ(record_.outcomes[0].alert, "Never");
  EXPECT_EQ(record_.outcomes[0].verdict, api::DetectionVerdict::missed);
  EXPECT_FALSE(record_.outcomes[0].firingAt.set());
}

}  // namespace
}  // namespace faultline::controller::observe
