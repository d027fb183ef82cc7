// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "report/format.h"
#include "report/html_parts.h"
#include "report/report.h"
#include "tests/unit/report/synthetic.h"

namespace faultline::report {
namespace {

using api::RunPhase;
using std::chrono::milliseconds;

TEST(Format, NumbersHaveThreeDigitsAndGroups) {
  EXPECT_EQ(number_words(0), "0");
  EXPECT_EQ(number_words(12.345), "12.3");
  EXPECT_EQ(number_words(9.999), "10.0");
  EXPECT_EQ(number_words(0.00521), "0.00521");
  EXPECT_EQ(number_words(7412), "7 412");
  EXPECT_EQ(number_words(-1234567), "-1 234 567");
  EXPECT_EQ(count_words(48210), "48 210");
  EXPECT_EQ(count_words(999), "999");
}

TEST(Format, DurationsTakeTheUnitThatReads) {
  EXPECT_EQ(seconds_words(0.0121), "12.1 ms");
  EXPECT_EQ(seconds_words(0.431), "431 ms");
  EXPECT_EQ(seconds_words(0.0009999), "1.00 ms");
  EXPECT_EQ(seconds_words(0.9999), "1.00 s");
  EXPECT_EQ(seconds_words(35e-6), "35.0 us");
  EXPECT_EQ(seconds_words(125), "2 min 5 s");
  EXPECT_EQ(exact_seconds_words(0.05), "50 ms");
  EXPECT_EQ(exact_seconds_words(1.5), "1.5 s");
  EXPECT_EQ(exact_seconds_words(0.1), "100 ms");
}

TEST(Format, SharesKeepWhatTellsThemFromAWhole) {
  EXPECT_EQ(percent_words(0.1003), "10.03 %");
  EXPECT_EQ(percent_words(0.5), "50 %");
  EXPECT_EQ(percent_words(0.9996), "99.96 %");
  EXPECT_EQ(percent_words(0), "0 %");
}

TEST(Format, AChangeAndItsIntervalShareAUnit) {
  const api::Metric& latency = *api::find_metric("request.latency");
  EXPECT_EQ(change_words(latency, 0.0498, api::Interval{0.0492, 0.0513}),
            "+49.8 ms (+49.2 to +51.3)");
  EXPECT_EQ(change_words(latency, 0, api::Interval{-131e-6, 131e-6}), "0 us (-131 to +131)");
  EXPECT_EQ(change_words(*api::find_metric("request.errors"), 0.25), "+25.0 points");
  EXPECT_EQ(change_words(*api::find_metric("net.bytes"), -384e3), "-384 kB/s");
}

TEST(AskedWords, SayWhatAFaultAsks) {
  api::NetworkLatency latency;
  latency.latency = {milliseconds(50)};
  latency.jitter = {milliseconds(5)};
  latency.direction = api::Direction::both;
  latency.ports = {8080};
  EXPECT_EQ(asked_words({latency}), "50 ms +- 5 ms, both directions, port 8080");
  api::NetworkLoss loss;
  loss.loss = {0.1};
  loss.burst = api::LossBurst{.length = 8};
  loss.protocol = api::Protocol::udp;
  EXPECT_EQ(asked_words({loss}),
            "10 % of packets lost, in bursts of 8 on average, on what it sends, udp only");
  loss.except.emplace().ports = {22};
  loss.except->peer = api::Selector{.namespaces = {"monitoring"}};
  EXPECT_TRUE(asked_words({loss}).ends_with("udp only, all but port 22, peers " +
                                            selector_words(*loss.except->peer)))
      << asked_words({loss});
  api::SocketError error;
  error.operations = {api::SocketOperation::connect};
  error.errno_ = {ECONNREFUSED};
  error.probability = {0.5};
  error.ports = {5432};
  EXPECT_EQ(asked_words({error}), "50 % of connect calls fail with ECONNREFUSED, port 5432");
  api::CpuPressure cpu;
  EXPECT_EQ(asked_words({cpu}), "1 worker at 100 % of a CPU each");
  cpu = {.workers = 2, .load = 12.5};
  EXPECT_EQ(asked_words({cpu}), "2 workers at 12.5 % of a CPU each");
  cpu = {.percent = 80, .load = 50};
  EXPECT_EQ(asked_words({cpu}),
            "80 % of the pod's CPU limit, else of the node's CPUs, at most 50 % of a CPU a worker");
}

template <std::size_t I = 0>
void every_fault_speaks() {
  const api::Fault fault{api::FaultSpec{std::in_place_index<I>}};
  EXPECT_FALSE(asked_words(fault).empty()) << fault.name();
  EXPECT_GT(explain_words(fault).size(), 40u) << fault.name();
  if constexpr (I + 1 < std::variant_size_v<api::FaultSpec>) every_fault_speaks<I + 1>();
}
TEST(AskedWords, EveryFaultHasSome) { every_fault_speaks(); }

TEST(ExplainWords, CountTheRoundTripsOfADelay) {
  api::NetworkLatency f;
  f.latency = {milliseconds(200)};
  f.direction = api::Direction::both;
  const std::string text = explain_words({f});
  EXPECT_NE(text.find("400 ms longer on a kept connection"), std::string::npos) << text;
  EXPECT_NE(text.find("800 ms where the caller connects anew"), std::string::npos) << text;
}

TEST(ExplainWords, SayWhatANarrowLinkFeelsLike) {
  api::NetworkBandwidth f;
  f.rate.bits_per_second = 10'000'000;
  f.direction = api::Direction::both;
  const std::string text = explain_words({f});
  EXPECT_NE(text.find("10 Mbit/s, each direction its own: a megabyte takes 800 ms at least"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("up to 100 ms"), std::string::npos) << text;
  f.rate.bits_per_second = 262'144;
  EXPECT_NE(explain_words({f}).find("up to 1.00 s"), std::string::npos) << explain_words({f});
}

TEST(ParseBound, ReadsTheMetricsUnit) {
  EXPECT_EQ(parse_bound("request.latency", "1s").value(), 1);
  EXPECT_EQ(parse_bound("cpu.runqueue", "10ms").value(), 0.01);
  EXPECT_EQ(parse_bound("request.errors", "50%").value(), 0.5);
  EXPECT_EQ(parse_bound("request.rate", "10").value(), 10);
}

TEST(ParseBound, RefusesTheWrongUnitInOneLine) {
  for (const auto& [metric, text] : {std::pair{"request.latency", "50%"},
                                     {"request.errors", "1s"},
                                     {"request.rate", "fast"},
                                     {"request.rate", "-1"},
                                     {"request.rate", ""},
                                     {"request.rate", "nan"},
                                     {"request.speed", "1"},
                                     {"request.latency", ""}}) {
    const auto bound = parse_bound(metric, text);
    ASSERT_FALSE(bound) << metric << " " << text;
    EXPECT_EQ(bound.error().code, Errc::kInvalid);
    EXPECT_EQ(bound.error().message.find('\n'), std::string::npos);
  }
}

class MetricValue : public testing::Test {
 protected:
  static api::Selector app(const std::string& name) {
    api::Selector s;
    s.labelSelectors = {{"app", name}};
    return s;
  }
  api::RunRecord record_ = synthetic::slow_payments();
};

TEST_F(MetricValue, IsTheServersViewOfAPodThatServes) {
  // checkout answers at 52.3 ms and sees payments at 51.3 ms; together they would be in between.
  const auto p50 = metric_value(record_, app("checkout"), "request.latency", 0.5, RunPhase::fault);
  ASSERT_TRUE(p50);
  EXPECT_NEAR(*p50, 0.0523, 0.0009);
  EXPECT_NEAR(*metric_value(record_, app("checkout"), "request.rate", {}, RunPhase::fault), 150, 3);
}

TEST_F(MetricValue, SumsRatesOverPods) {
  api::Selector all;
  all.namespaces = {"shop"};
  EXPECT_NEAR(*metric_value(record_, all, "request.rate", {}, RunPhase::fault), 150 + 150 + 90, 6);
}

TEST_F(MetricValue, WithoutASelectorLeavesControlPodsOut) {
  EXPECT_NEAR(*metric_value(record_, {}, "request.rate", {}, RunPhase::fault), 300, 6);
}

TEST_F(MetricValue, IsEmptyWhenNothingWasMeasured) {
  EXPECT_FALSE(metric_value(record_, app("nobody"), "request.rate", {}, RunPhase::fault));
  EXPECT_FALSE(metric_value(record_, app("checkout"), "no.such", {}, RunPhase::fault));
  EXPECT_FALSE(metric_value(record_, app("payments"), "connect.latency", 0.5, RunPhase::fault));
  EXPECT_FALSE(metric_value({}, {}, "request.rate", {}, RunPhase::fault));
}

TEST_F(MetricValue, WorksOnARunThatHasOnlyBegun) {
  record_.state = api::RunState::Injecting;
  std::erase_if(record_.nodes[0].windows,
                [](const api::EffectWindow& w) { return w.from > synthetic::at(13); });
  EXPECT_GT(*metric_value(record_, app("checkout"), "request.latency", 0.99, RunPhase::fault),
            0.05);
  EXPECT_FALSE(metric_value(record_, app("checkout"), "request.latency", 0.99, RunPhase::recovery));
}

TEST(HtmlText, EscapesWhatItIsGiven) {
  EXPECT_EQ(escape("<a b=\"c\">'&"), "&lt;a b=&quot;c&quot;&gt;&#39;&amp;");
  EXPECT_EQ(typeset("9 021 of <b> 50 ms +- 5 ms, 397 us"),
            "9&#8239;021 of &lt;b&gt; 50 ms &plusmn; 5 ms, 397&nbsp;&micro;s");
}

}  // namespace
}  // namespace faultline::report
