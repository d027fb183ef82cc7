// SPDX-License-Identifier: Apache-2.0
// Manifests of which nothing comes out, since it would hit more than they ask.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/convert/convert.h"
#include "tests/unit/cli/convert_manifest.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;

// What cannot be said without hitting more: there is no experiment, and the reason is told.
TEST(Convert, NothingHitsMoreThanTheManifestAsked) {
  const std::pair<const char*, std::string> left_out[] = {
      {"spec.selector.annotationSelectors",
       manifest("PodChaos", "  action: container-kill\n  selector2: 1\n")},
      {"spec.path",
       manifest("IOChaos", "  action: fault\n  errno: 5\n  volumePath: /d\n  path: /d/[ab]\n")},
      {"spec.path",
       manifest("IOChaos", "  action: fault\n  errno: 5\n  volumePath: /d\n  path: /d/*/x\n")},
      {"spec.methods",
       manifest("IOChaos", "  action: fault\n  errno: 5\n  volumePath: /d\n  methods: [statfs]\n")},
      {"spec.action",
       manifest("IOChaos", "  action: mistake\n  volumePath: /d\n  mistake: {filling: zero}\n")},
      {"spec.patterns", manifest("DNSChaos", "  action: error\n  patterns: ['a?']\n")},
      {"spec.action", manifest("DNSChaos", "  action: random\n")},
      {"spec.externalTargets[0]",
       manifest("NetworkChaos", "  action: partition\n  externalTargets: [example.org]\n")},
      {"spec.target", manifest("NetworkChaos",
                               "  action: partition\n  target: {mode: all, selector: "
                               "{annotationSelectors: {a: b}}}\n")},
      {"spec.direction", manifest("NetworkChaos", "  action: partition\n  direction: up\n")},
      {"spec.stressors.memory.size",
       manifest("StressChaos", "  stressors: {memory: {workers: 1, size: 25%}}\n")},
      {"spec.stressngStressors",
       manifest("StressChaos", "  stressngStressors: --cpu 2\n  stressors: {cpu: {workers: 1}}\n")},
      {"spec.failKernRequest.callchain[0].predicate",
       manifest("KernelChaos",
                "  failKernRequest: {failtype: 0, probability: 1, callchain: [{funcname: sys_mmap, "
                "predicate: x}]}\n")},
      {"spec.failKernRequest.callchain[0].funcname",
       manifest("KernelChaos",
                "  failKernRequest: {failtype: 0, probability: 1, callchain: [{funcname: "
                "ext4_mount}]}\n")},
      {"spec.failKernRequest", manifest("KernelChaos", "  failKernRequest: {failtype: 0}\n")},
  };
  for (auto [field, text] : left_out) {
    if (const auto at = text.find("  selector2: 1\n"); at != std::string::npos) {
      text.erase(at);
      text.replace(text.find("{labelSelectors"), 7, "{annotationSelectors: {a: b}, label");
    }
    const auto out = convert_chaos_mesh(text, "m.yaml");
    ASSERT_TRUE(out) << text << out.error().message;
    EXPECT_TRUE(out->experiments.empty()) << text;
    EXPECT_FALSE(out->complete());
    bool told = false;
    for (const Finding& finding : out->findings) told = told || finding.field == field;
    EXPECT_TRUE(told) << text << field;
  }
}

// Each of these once became more than it says. `leave` is where it is told, with the nearest word.
TEST(Convert, WhatSaysLessThanWhatWouldComeOutIsLeftOutWithTheNearestWord) {
  const std::string partition = "  action: partition\n", kill = "  action: container-kill\n";
  const std::string io = "  action: latency\n  delay: 10ms\n  volumePath: /d\n";
  const struct {
    std::string text, field, says;
  } cases[] = {
      {manifest("NetworkChaos",
                partition + "  target: {mode: one, selector: {labelSelectors: {app: db}}}\n"),
       "spec.target.mode", "name the pods in target.selector.pods"},
      {manifest("NetworkChaos", partition + "  target: {mode: fixed, value: '1', selector: {pods: "
                                            "{db: [a, b]}}}\n"),
       "spec.target.mode", "every pod that matches would be hit"},
      {manifest("NetworkChaos", partition + "  target: {selector: {labelSelectors: {app: db}}}\n"),
       "spec.target", "missing key \"mode\""},
      {manifest("NetworkChaos", partition + "  target: {mode: all}\n"), "spec.target",
       "missing key \"selector\""},
      {manifest("NetworkChaos", partition + "  target: db\n"), "spec.target", "expected a map"},
      {manifest("NetworkChaos", partition + "  target: {mode: all, selector: {labelSelector: {app: "
                                            "db}}}\n"),
       "spec.target.selector.labelSelector", "did you mean \"labelSelectors\"?"},
      {manifest("NetworkChaos", partition + "  targets: {mode: all, selector: {labelSelectors: "
                                            "{app: db}}}\n"),
       "spec.targets", "did you mean \"target\"?"},
      {manifest("NetworkChaos", partition + "  externalTarget: [10.0.0.7]\n"),
       "spec.externalTarget", "did you mean \"externalTargets\"?"},
      {manifest("NetworkChaos", partition + "  device: eth1\n"), "spec.device",
       "the pod's own interface, eth0"},
      {manifest("NetworkChaos", partition + "  targetDevice: net1\n"), "spec.targetDevice",
       "the pod's own interface, eth0"},
      {manifest("NetworkChaos", partition + "  remoteCluster: west\n"), "spec.remoteCluster",
       "apply it there"},
      {manifest("NetworkChaos", partition + "  partitionBehavior: reject\n"),
       "spec.partitionBehavior", "use tcpReset"},
      {manifest("NetworkChaos", partition + "  partitionBehavior: rejct\n"),
       "spec.partitionBehavior", "expected one of drop, reject"},
      {manifest("NetworkChaos", "  action: delay\n  delay: {latency: 5m}\n"), "spec.delay.latency",
       "at most 10s; the fault is left out"},
      {manifest("IOChaos",
                "  containerNames: [app]\n  action: latency\n  delay: 5m\n"
                "  volumePath: /d\n"),
       "spec.delay", "at most 10s; the fault is left out"},
      {manifest("IOChaos", io), "spec", "missing key \"containerNames\": Chaos Mesh takes the"},
      {manifest("IOChaos", io + "  containerName: app\n"), "spec.containerName",
       "did you mean \"containerNames\"?"},
      {manifest("IOChaos", io + "  containerNames: [app]\n  method: [read]\n"), "spec.method",
       "did you mean \"methods\"?"},
      {manifest("IOChaos", io + "  containerNames: [app]\n  methods: [READ]\n"), "spec.methods[0]",
       "is no method of Chaos Mesh; did you mean \"read\"?"},
      {manifest("StressChaos", "  stressors: {cpu: {workers: 1}}\n"), "spec",
       "missing key \"containerNames\""},
      {manifest("PodChaos", kill), "spec", "missing key \"containerNames\""},
      {manifest("DNSChaos", "  action: error\n  containerNames: [app]\n"), "spec.containerNames",
       "share its network"},
      {manifest("DNSChaos", "  action: error\n  pattern: [a.example]\n"), "spec.pattern",
       "did you mean \"patterns\"?"},
      {manifest("IoChaos", io), "", "no kind of Chaos Mesh; left out; did you mean IOChaos?"},
      {"apiVersion: pingcap.com/v1alpha1\nkind: NetworkChaos\nmetadata: {name: x}\nspec: {}\n", "",
       "did you mean NetworkChaos of chaos-mesh.org/v1alpha1?"},
  };
  for (const auto& c : cases) {
    const auto out = convert_chaos_mesh(c.text, "m.yaml");
    ASSERT_TRUE(out) << c.text << out.error().message;
    EXPECT_TRUE(out->experiments.empty()) << c.text;
    EXPECT_FALSE(out->complete()) << c.text;
    std::string told, all;
    int times = 0;
    for (const Finding& finding : out->findings) {
      all += finding.text() + "\n";
      if (finding.field != c.field) continue;
      told += finding.why + "\n";
      EXPECT_FALSE(finding.note) << all;
      ++times;
    }
    EXPECT_THAT(told, HasSubstr(c.says)) << all;
    EXPECT_LE(times, 2) << "told again and again: " << all;
  }
}

}  // namespace
}  // namespace faultline::cli
