// SPDX-License-Identifier: Apache-2.0
// What costs others than the measured pods is measured only where the run names it, and where
// whoever started the agent has allowed it.
#include <gmock/gmock.h>

#include "agent/effects/tls_plain.h"
#include "link_doubles.h"

namespace faultline::agent::test {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

// What collectors are told in a run with these lines of its `spec`.
TlsProbes told(const std::string& spec, bool may_probe = true) {
  Node node({}, may_probe);
  node.begin(api::RunPhase::baseline, experiment("[{networkLatency: {latency: 20ms}}]", spec));
  EXPECT_NE(node.world.index("measure shop/a"), -1);
  return node.world.tls_probes;
}

TEST(AskedFor, TlsIsMeasuredWhereAnExpectationOrAConditionRestsOnIt) {
  EXPECT_EQ(told(""), TlsProbes::kNotAskedFor);
  EXPECT_EQ(told("  abortWhen: [{effect: request.errors, above: 10%}]\n"), TlsProbes::kNotAskedFor);
  const std::string condition = "  abortWhen: [{effect: tls.request.errors, above: 10%}]\n";
  EXPECT_EQ(told(condition), TlsProbes::kAllowed);
  EXPECT_EQ(told(condition, false), TlsProbes::kForbidden);
  EXPECT_EQ(told("  expect: {effects: [{selector: {labelSelectors: {app: payments}}, metric: "
                 "tls.request.latency, quantile: 0.99, below: 50ms}]}\n"),
            TlsProbes::kAllowed);
  EXPECT_EQ(told("  expect: {signals: [{promql: up, equals: tls.request.rate}]}\n"),
            TlsProbes::kAllowed);
}

TEST(AskedFor, WhatIsForbiddenIsAGapOfItsOwnMetrics) {
  const SystemClock clock;
  const FeatureProbe features;
  for (const CollectorType* type : collector_registry()) {
    if (type->name != "tls_plain") continue;
    const auto none = type->start(pod("a"), {clock, features});
    ASSERT_TRUE(none);
    EXPECT_EQ(*none, nullptr);
    const auto forbidden = type->start(pod("a"), {clock, features, {}, TlsProbes::kForbidden});
    ASSERT_TRUE(forbidden);
    std::vector<api::EffectSample> samples;
    std::vector<api::Gap> gaps;
    (*forbidden)->take(samples, gaps);
    ASSERT_THAT(gaps, SizeIs(1));
    EXPECT_EQ(gaps[0].metric, "tls.request.*");
    EXPECT_THAT(gaps[0].reason, HasSubstr("without --tls-probes"));
    return;
  }
  FAIL() << "there is no such collector";
}

}  // namespace
}  // namespace faultline::agent::test
