// SPDX-License-Identifier: Apache-2.0
// A sweep for the tests of its parts.
#pragma once

#include "tests/unit/cli/harness.h"

namespace faultline::cli {

inline constexpr const char* kSweep = R"(apiVersion: faultline.dev/v1alpha1
kind: Sweep
metadata: {name: pay}
spec:
  experiment:
    target: {selector: {namespaces: [shop], labelSelectors: {app: payments}}, mode: all}
    phases: {baseline: 1s, fault: 1s, recovery: 1s}
    expect: {alerts: [{name: Slow, within: 2s}]}
  faults:
  - name: latency
    fault: {networkLatency: {}}
    vary: latency
    severities: [10ms, 50ms, 200ms]
    resolution: 10ms
  - {name: loss, fault: {networkLoss: {}}, vary: loss, severities: [1%, 20%]}
  rest: {most: 10s}
)";

}  // namespace faultline::cli
