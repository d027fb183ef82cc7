// SPDX-License-Identifier: Apache-2.0
// --observe and its metrics, with a double of a collector (link_doubles.h).
#include <gmock/gmock.h>

#include "agent/link/agent_metrics.h"
#include "agent/link/observer.h"
#include "base/printable.h"
#include "link_doubles.h"

namespace faultline::agent::test {
namespace {

using testing::HasSubstr;
using testing::Not;

api::EffectSample sample(const char* metric, double value) {
  api::EffectSample s;
  s.metric = metric;
  s.value = value;
  return s;
}

TEST(PodMetrics, NamesFollowFromTheTableOfMetrics) {
  PodMetrics metrics;
  auto bytes = sample("net.bytes", 100);
  bytes.labels["direction"] = "to";
  auto latency = sample("request.latency", 0);
  latency.histogram.emplace();
  latency.histogram->add(0.02, 3);
  auto errors = sample("request.errors", 0);
  errors.numerator = 1;
  errors.denominator = 4;
  for (int i = 0; i < 2; ++i)
    metrics.add(pod("a").ref, {bytes, latency, errors, sample("cpu.usage", 0.5)});
  const std::string text = metrics.text();
  EXPECT_THAT(text, HasSubstr("faultline_pod_net_bytes_total{direction=\"to\",namespace=\"shop\","
                              "pod=\"a\"} 200\n"));
  EXPECT_THAT(text, HasSubstr("faultline_pod_request_latency_seconds_count{namespace=\"shop\","
                              "pod=\"a\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("pod=\"a\",le=\"0.01\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("pod=\"a\",le=\"0.025\"} 6\n"));
  EXPECT_THAT(text,
              HasSubstr("faultline_pod_request_errors_total{namespace=\"shop\",pod=\"a\"} 2"));
  EXPECT_THAT(text,
              HasSubstr("faultline_pod_request_errors_base_total{namespace=\"shop\",pod=\"a\"} 8"));
  EXPECT_THAT(text, HasSubstr("faultline_pod_cpu_usage_cores{namespace=\"shop\",pod=\"a\"} 0.5"));
}

TEST(PodMetrics, LabelsArePrintable) {
  PodMetrics metrics;
  metrics.add({"shop\x1b[2J", "web\u202e", "node-1", {}},
              {{.metric = "request.rate", .labels = {{"side", "a\nb"}}, .value = 1}});
  const std::string text = metrics.text();
  EXPECT_EQ(printable_lines(text), text);
}

TEST(PodMetrics, APodThatIsGoneHasNoSeries) {
  PodMetrics metrics;
  metrics.add(pod("a").ref, {sample("cpu.usage", 1)});
  metrics.add(pod("b").ref, {sample("cpu.usage", 1)});
  metrics.remove(pod("a").ref);
  EXPECT_THAT(metrics.text(), Not(HasSubstr("pod=\"a\"")));
  EXPECT_THAT(metrics.text(), HasSubstr("pod=\"b\""));
}

struct Observing : testing::Test {
  World world;
  HandClock clock;
  FeatureProbe features;
  HeldKernel kernel;
  ResidueLedger ledger{kernel};
  const CollectorType* const types[1] = {&kNotedCollector};
  Observer observer{clock, features, types, ledger, *api::parse_selector_words("shop/*")};
};

TEST_F(Observing, MeasuresThePodsOfItsSelectorOnly) {
  observer.pods({pod("a"), pod("z", 3, "other")});
  EXPECT_EQ(world.count("measure shop/a"), 1);
  EXPECT_EQ(world.count("measure other/z"), 0);
  world.packets["shop/a"] = 3;
  clock.move(1s);
  observer.tick();
  EXPECT_THAT(observer.metrics().text(), HasSubstr("faultline_pod_net_packets_total"));
}

TEST_F(Observing, FollowsRestartsWithoutResettingCounters) {
  observer.pods({pod("a", 1)});
  world.packets["shop/a"] = 3;
  observer.pods({pod("a", 2)});
  EXPECT_EQ(world.count("measure shop/a"), 2);
  world.packets["shop/a"] = 4;
  observer.tick();
  EXPECT_THAT(observer.metrics().text(), HasSubstr("pod=\"a\"} 7\n"));
  observer.pods({});
  EXPECT_THAT(observer.metrics().text(), Not(HasSubstr("pod=\"a\"")));
}

TEST(AgentMetrics, AreTextOfPrometheus) {
  AgentFigures figures;
  figures.link.answered = 12;
  figures.armed = 2;
  const std::string text = agent_metrics_text(figures);
  EXPECT_THAT(text, HasSubstr("# TYPE faultline_agent_syncs_total counter\n"
                              "faultline_agent_syncs_total{result=\"answered\"} 12\n"
                              "faultline_agent_syncs_total{result=\"failed\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("faultline_agent_armed_faults 2\n"));
}

}  // namespace
}  // namespace faultline::agent::test
