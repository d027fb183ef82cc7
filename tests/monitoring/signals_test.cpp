// SPDX-License-Identifier: Apache-2.0
// Whether the monitoring's numbers are right: a service whose latency is known answers through
// histograms that can tell it, that cannot, and that lie, by Debian's Prometheus.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/run_record.h"
#include "controller/observe/watcher.h"
#include "report/detections.h"
#include "tests/monitoring/ground.h"
#include "tests/monitoring/service.h"
#include "tests/unit/http/misbehaving.h"

namespace faultline::controller::observe {
namespace {

using api::SignalVerdict;
using std::chrono::milliseconds;
using testing::HasSubstr;
namespace asio = boost::asio;

constexpr const char* kRules = R"yaml(
groups:
- name: shop
  rules:
  - {alert: Slow, expr: "fine_seconds_count < 0"}
)yaml";
constexpr const char* kRoutes = R"yaml(
route: {receiver: nobody}
receivers: [{name: nobody}]
)yaml";
constexpr double kLatency = 0.12, kRate = 80, kFailed = 0.25;  // in the fault, exactly

std::string p90(const std::string& name) {
  return "histogram_quantile(0.9, sum by (le) (rate(" + name + "_bucket[4s])))";
}

class Signals : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ground_ = std::make_unique<test::Ground>(kRules, kRoutes);
    service_ = std::make_unique<test::Service>(std::vector<test::Service::Histogram>{
        {"fine_seconds", {0.01, 0.1, 0.118, 0.122, 0.2}},
        {"coarse_seconds", {0.05, 0.1, 0.25, 0.5}},
        {"short_seconds", {0.05, 0.1}},
        // It measures half of the time: what the handler takes, say, without the queue before it.
        {"handler_seconds", {0.01, 0.058, 0.062, 0.2}, 0.5},
        {"ending_seconds", {0.01, 0.1, 0.118, 0.122, 0.2}},
    });
    ground_->text([] { return service_->text(); });
    ready_ = ground_->ready();
    if (!ready_) return;
    api::Experiment& experiment = record_.experiment;
    api::ExpectAlert slow{.name = "Slow"};  // its rule tells how often it is scraped
    slow.within.value = std::chrono::seconds(30);
    experiment.spec.expect.alerts = {slow};
    const auto add = [&](const std::string& promql, const char* metric, bool quantile) {
      api::ExpectSignal signal{.promql = promql, .equals = metric};
      if (quantile) signal.quantile = 0.9;
      signal.tolerance.value = 0.1;
      experiment.spec.expect.signals.push_back(signal);
    };
    for (const char* name : {"fine_seconds", "coarse_seconds", "short_seconds", "handler_seconds"})
      add(p90(name), "request.latency", true);
    add("histogram_quantile(0.9, sum by (le) (rate(ending_seconds_bucket[12s])))",
        "request.latency", true);
    add(p90("no_such_seconds"), "request.latency", true);
    add("sum(rate(http_requests_total[4s]))", "request.rate", false);
    add("sum(rate(http_requests_total{code=\"500\"}[4s])) / sum(rate(http_requests_total[4s]))",
        "request.errors", false);
    add("fine_seconds_count", "request.rate", false);
    asio::io_context io;
    const SystemClock clock;
    Watcher watcher(io.get_executor(), {{{.name = "main", .url = ground_->prometheus()}}, {}, {}},
                    experiment, clock);
    WatchTimes times;
    http::run(io, [&]() -> asio::awaitable<int> {
      times.begin = clock.utc();
      co_await watcher.begin();
      co_await http::pause(milliseconds(2'000));
      test::Behaviour fault{.rate = kRate, .latency = kLatency, .failed = kFailed};
      service_->behave(fault);
      times.first_injected = {clock.utc()};
      const auto look = [&](int seconds) -> asio::awaitable<void> {
        const UtcTime until = clock.utc() + std::chrono::seconds(seconds);
        while (clock.utc() < until) {
          co_await http::pause(milliseconds(400));
          co_await watcher.poll();
        }
      };
      co_await look(14);
      fault.silent = "ending_seconds";
      service_->behave(fault);
      co_await look(7);
      times.last_injected = {clock.utc()};
      service_->behave({});
      times.end = clock.utc();
      const std::vector<api::PodRef> none;
      co_await watcher.finish(times, none);
      co_return 0;
    }());
    told_ = watcher.record().notes;
    record_.monitoring = watcher.take();
    measure(times);
    found_ = report::signals_of(record_, {times.first_injected, times.last_injected, {times.end}});
  }
  static void TearDownTestSuite() {
    ground_.reset();
    service_.reset();
  }
  void SetUp() override { ASSERT_TRUE(ready_) << "needs: the packages of the group monitoring"; }

  // What the kernel would have seen of the service: the truth.
  static void measure(const WatchTimes& times) {
    api::PodRef pod;
    pod.namespace_ = "shop";
    pod.name = "payments-0";
    record_.pods.push_back(
        {.pod = pod, .role = api::PodRole::target, .joinedAt = {}, .leftAt = {}});
    api::NodeRecord& node = record_.nodes.emplace_back();
    const std::map<std::string, std::string> server{{"side", "server"}, {"port", "80"}};
    for (UtcTime from = times.first_injected.value;
         from + std::chrono::seconds(1) <= times.last_injected.value;
         from += std::chrono::seconds(1)) {
      api::EffectWindow window{
          pod, api::PodRole::target, api::RunPhase::fault, {from}, {from + std::chrono::seconds(1)},
          {}};
      api::EffectSample latency{.metric = "request.latency", .labels = server};
      latency.histogram.emplace().add(kLatency, static_cast<std::uint64_t>(kRate));
      window.samples = {latency,
                        {.metric = "request.rate", .labels = server, .value = kRate},
                        {.metric = "request.errors",
                         .labels = server,
                         .numerator = kRate * kFailed,
                         .denominator = kRate}};
      node.windows.push_back(std::move(window));
    }
  }

  static const api::SignalReport& of(std::size_t i) {
    std::cout << found_.at(i).promql << ": " << found_.at(i).text << "\n";
    return found_.at(i);
  }

  static inline std::unique_ptr<test::Ground> ground_;
  static inline std::unique_ptr<test::Service> service_;
  static inline bool ready_ = false;
  static inline api::RunRecord record_;
  static inline std::vector<std::string> told_;
  static inline std::vector<api::SignalReport> found_;
};

TEST_F(Signals, BucketsThatCanTellAgree) {
  const auto& fine = of(0);
  EXPECT_EQ(fine.verdict, SignalVerdict::agrees) << fine.text;
  EXPECT_NEAR(*fine.kernel, kLatency, kLatency * 0.02);
  EXPECT_NEAR(*fine.monitoring, kLatency, 0.004);
  EXPECT_EQ(fine.low, 0.118);
  EXPECT_EQ(fine.high, 0.122);
}

TEST_F(Signals, BucketsThatCannotTellAreTooCoarseAndTheirEdgesNamed) {
  const auto& coarse = of(1);
  EXPECT_EQ(coarse.verdict, SignalVerdict::too_coarse) << coarse.text;
  EXPECT_NEAR(*coarse.monitoring, 0.1 + 0.9 * 0.15, 0.002);
  EXPECT_EQ(coarse.low, 0.1);
  EXPECT_EQ(coarse.high, 0.25);
  EXPECT_THAT(coarse.text, HasSubstr("within one bucket, from 100 ms to 250 ms"));
  // Beyond the last edge there is none.
  const auto& open = of(2);
  EXPECT_EQ(open.verdict, SignalVerdict::too_coarse) << open.text;
  EXPECT_EQ(open.low, 0.1);
  EXPECT_EQ(open.high, std::nullopt);
  EXPECT_THAT(open.text, HasSubstr("from 100 ms to infinity"));
}

TEST_F(Signals, WhatMeasuresSomethingElseDiffers) {
  const auto& handler = of(3);
  EXPECT_EQ(handler.verdict, SignalVerdict::differs) << handler.text;
  EXPECT_NEAR(*handler.monitoring, kLatency / 2, 0.003);
  EXPECT_THAT(handler.text, HasSubstr("allowed: +- 10 %"));
  // A counter beside a rate.
  EXPECT_EQ(of(8).verdict, SignalVerdict::differs);
}

TEST_F(Signals, WhatIsNotScrapedAnyMoreIsStaleWhateverItSays) {
  const auto& ending = of(4);
  EXPECT_EQ(ending.verdict, SignalVerdict::stale) << ending.text;
  EXPECT_THAT(ending.text, HasSubstr("its newest sample is "));
}

TEST_F(Signals, NoDataIsNoPass) {
  EXPECT_EQ(of(5).verdict, SignalVerdict::no_data);
  EXPECT_EQ(of(5).monitoring, std::nullopt);
  api::RunRecord unmeasured = record_;
  unmeasured.nodes.clear();
  const auto found = report::signals_of(
      unmeasured, {record_.monitoring->signals.front().at, record_.monitoring->signals.back().at,
                   record_.monitoring->signals.back().at});
  EXPECT_EQ(found.at(0).verdict, SignalVerdict::no_data) << "the kernel did not measure it";
}

TEST_F(Signals, RatesAndSharesAgree) {
  EXPECT_EQ(of(6).verdict, SignalVerdict::agrees) << of(6).text;
  EXPECT_EQ(of(7).verdict, SignalVerdict::agrees) << of(7).text;
  EXPECT_NEAR(*of(7).monitoring, kFailed, 0.01);
  EXPECT_EQ(told_, std::vector<std::string>{});
}

}  // namespace
}  // namespace faultline::controller::observe
