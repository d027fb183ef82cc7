// SPDX-License-Identifier: Apache-2.0
// What costs others than the measured pods is measured only where the run names it.
#include <gmock/gmock.h>

#include "link_doubles.h"

namespace faultline::agent::test {
namespace {

// Measures a run with these lines of its `spec`, and says whether collectors were asked for TLS.
bool asks_for_tls(const std::string& spec) {
  Node node;
  node.begin(api::RunPhase::baseline, experiment("[{networkLatency: {latency: 20ms}}]", spec));
  EXPECT_NE(node.world.index("measure shop/a"), -1);
  return node.world.asked_for_tls;
}

TEST(AskedFor, TlsIsMeasuredWhereAnExpectationOrAConditionRestsOnIt) {
  EXPECT_FALSE(asks_for_tls(""));
  EXPECT_FALSE(asks_for_tls("  abortWhen: [{effect: request.errors, above: 10%}]\n"));
  EXPECT_TRUE(asks_for_tls("  abortWhen: [{effect: tls.request.errors, above: 10%}]\n"));
  EXPECT_TRUE(
      asks_for_tls("  expect: {effects: [{selector: {labelSelectors: {app: payments}}, metric: "
                   "tls.request.latency, quantile: 0.99, below: 50ms}]}\n"));
  EXPECT_TRUE(asks_for_tls("  expect: {signals: [{promql: up, equals: tls.request.rate}]}\n"));
}

}  // namespace
}  // namespace faultline::agent::test
