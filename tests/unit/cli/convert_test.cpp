// SPDX-License-Identifier: Apache-2.0
// Manifests of Chaos Mesh as people write them, and what becomes of each.
#include "cli/convert/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "api/codec.h"
#include "tests/unit/cli/harness.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string manifest(const std::string& kind, const std::string& spec) {
  return "apiVersion: chaos-mesh.org/v1alpha1\nkind: " + kind +
         "\nmetadata: {name: x, namespace: shop}\nspec:\n"
         "  mode: one\n  duration: 20s\n  selector: {labelSelectors: {app: pay}}\n" +
         spec;
}

// One manifest, what the faults are (as YAML, without its blanks), and what is told, in order.
struct Case {
  std::string name, kind, spec, faults;
  std::vector<std::string> told = {};
};

std::string without_blanks(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (c != ' ' && c != '\n' && c != '"') out += c;
  return out;
}

const std::vector<Case>& cases() {
  static const std::string kApp = "  containerNames: [app]\n";
  static const std::vector<Case> all{
      {"delay", "NetworkChaos",
       "  action: delay\n  delay: {latency: 90ms, correlation: '25', jitter: 30ms}\n",
       "- networkLatency:\n latency: 90ms\n jitter: 30ms\n correlation: 25%"},
      {"a jitter longer than the delay",
       "NetworkChaos",
       "  action: delay\n  delay: {latency: 1s, jitter: 30s}\n",
       "- networkLatency:\n latency: 1s\n jitter: 1s",
       {"spec.delay.jitter: at most latency"}},
      {"reorder is the part that is held back", "NetworkChaos",
       "  action: delay\n  delay:\n    latency: 10ms\n    reorder: {reorder: '25', correlation: "
       "'50', gap: 1}\n",
       "- networkReorder:\n reorder: 75%\n correlation: 50%"},
      {"reorder with what it cannot have",
       "NetworkChaos",
       "  action: delay\n  delay:\n    latency: 20ms\n    jitter: 1ms\n    correlation: '5'\n"
       "    reorder: {reorder: '25', gap: 5}\n",
       "- networkReorder:\n reorder: 75%\n latency: 20ms",
       {"spec.delay.jitter: packets that are held", "spec.delay.correlation: packets that",
        "spec.delay.reorder.gap: packets are not counted"}},
      {"loss", "NetworkChaos", "  action: loss\n  loss: {loss: '25', correlation: '5'}\n",
       "- networkLoss:\n loss: 25%\n correlation: 5%"},
      {"duplicate", "NetworkChaos", "  action: duplicate\n  duplicate: {duplicate: '40'}\n",
       "- networkDuplicate:\n duplicate: 40%"},
      {"corrupt", "NetworkChaos", "  action: corrupt\n  corrupt: {corrupt: '0.5'}\n",
       "- networkCorrupt:\n corrupt: 0.5%"},
      {"netem is all that is given", "NetworkChaos",
       "  action: netem\n  delay: {latency: 90ms}\n  loss: {loss: '25'}\n  rate: {rate: 1mbps}\n",
       "- networkLatency:\n latency: 90ms\n- networkLoss:\n loss: 25%\n- networkBandwidth:\n rate: "
       "8mbit"},
      {"what another action needs has no effect",
       "NetworkChaos",
       "  action: loss\n  loss: {loss: '25'}\n  bandwidth: {rate: 1mbps, limit: 1, buffer: 1}\n",
       "- networkLoss:\n loss: 25%",
       {"note: spec.bandwidth: has no effect with action loss"}},
      {"nothing is lost",
       "NetworkChaos",
       "  action: netem\n  loss: {loss: '0'}\n  corrupt: {corrupt: '1'}\n",
       "- networkCorrupt:\n corrupt: 1%",
       {"spec.loss.loss: 0 does nothing"}},
      {"bandwidth",
       "NetworkChaos",
       "  action: bandwidth\n  bandwidth: {rate: 100 KBPS, limit: 100, buffer: 10000, peakrate: 1, "
       "minburst: 2}\n",
       "- networkBandwidth:\n rate: 800kbit\n burst: 10k",
       {"spec.bandwidth.limit: how much may wait", "spec.bandwidth.peakrate: there is one rate",
        "spec.bandwidth.minburst: there is one rate"}},
      {"partition from other pods", "NetworkChaos",
       "  action: partition\n  direction: both\n"
       "  target: {mode: all, selector: {namespaces: [db], labelSelectors: {app: pg}}}\n",
       "- networkPartition:\n direction: both\n peer:\n namespaces:\n - db\n labelSelectors:\n "
       "app: pg"},
      {"partition from the outside, by port",
       "NetworkChaos",
       "  action: partition\n  direction: from\n"
       "  externalTargets: [10.1.2.3/8, 10.0.0.7, '10.0.0.8:443', '[fd00::1]:443', "
       "www.example.org]\n",
       "- networkPartition:\n direction: from\n cidrs:\n - 10.0.0.0/8\n - 10.0.0.7\n"
       "- networkPartition:\n direction: from\n cidrs:\n - 10.0.0.8\n - fd00::1\n peerPorts:\n - "
       "443",
       {"spec.externalTargets[4]: names are not looked up"}},
      {"pods and addresses add up",
       "NetworkChaos",
       "  action: partition\n  externalTargets: [10.0.0.7]\n"
       "  target: {mode: one, value: '1', selector: {pods: {db: [pg-0]}}}\n",
       "- networkPartition:\n peer:\n pods:\n db:\n - pg-0\n- networkPartition:\n cidrs:\n - "
       "10.0.0.7",
       {"note: spec.target.value: has no meaning with this mode"}},
      {"as many peers as are named", "NetworkChaos",
       "  action: partition\n"
       "  target: {mode: fixed, value: '2', selector: {pods: {db: [pg-0, pg-1]}}}\n",
       "- networkPartition:\n peer:\n pods:\n db:\n - pg-0\n - pg-1"},
      {"the device that it is", "NetworkChaos",
       "  action: partition\n  device: eth0\n  targetDevice: eth0\n  partitionBehavior: drop\n",
       "- networkPartition:\n {}"},
      {"what was a schedule before there were Schedules",
       "NetworkChaos",
       "  action: loss\n  loss: {loss: '5'}\n  scheduler: {cron: '@every 10m'}\n",
       "- networkLoss:\n loss: 5%",
       {"spec.scheduler: nothing here starts by the clock; let a CronJob"}},
      {"latency of files", "IOChaos",
       kApp + "  action: latency\n  delay: 10ms\n  volumePath: /var/run/etcd\n  path: "
              "/var/run/etcd/**/*\n"
              "  methods: [read, write]\n  percent: 50\n",
       "- syscallLatency:\n syscalls:\n - read\n - pread64\n - readv\n - preadv\n - preadv2\n - "
       "write\n"
       " - pwrite64\n - writev\n - pwritev\n - pwritev2\n path: /var/run/etcd\n probability: 50%\n "
       "latency: 10ms"},
      {"an errno by number",
       "IOChaos",
       kApp + "  action: fault\n  errno: 28\n  volumePath: /data\n  path: /data/*.wal\n  methods: "
              "[fsync, statfs]\n",
       "- syscallError:\n syscalls:\n - fsync\n - fdatasync\n path: /data/*.wal\n errno: ENOSPC",
       {"spec.methods[1]: no system call"}},
      {"load on a CPU", "StressChaos", kApp + "  stressors: {cpu: {workers: 2, load: 30}}\n",
       "- cpuPressure:\n workers: 2\n load: 30"},
      {"memory of four workers", "StressChaos",
       kApp + "  stressors: {memory: {workers: 4, size: 256MiB}, cpu: {workers: 1}}\n",
       "- cpuPressure:\n workers: 1\n- memoryPressure:\n bytes: 1Gi"},
      {"a killed container", "PodChaos", kApp + "  action: container-kill\n",
       "- processKill:\n {}"},
      {"a killed pod",
       "PodChaos",
       "  action: pod-kill\n  gracePeriod: 30\n",
       "- processKill:\n signal: SIGTERM",
       {"spec.action: the pod is not deleted", "spec.gracePeriod: processes get SIGTERM"}},
      {"a pod that fails",
       "PodChaos",
       "  action: pod-failure\n",
       "- processPause:\n {}",
       {"spec.action: the pod's processes stand still"}},
      {"names that are not found",
       "DNSChaos",
       "  action: error\n  patterns: [google.com, 'chaos-mesh.*', 'github.?om']\n",
       "- dnsError:\n names:\n - google.com\n - chaos-mesh.*\n rcode: SERVFAIL",
       {"spec.patterns[2]: no name is like that"}},
      {"memory that the kernel has not",
       "KernelChaos",
       "  failKernRequest:\n    failtype: 0\n    headers: [linux/mm.h]\n    probability: 1\n    "
       "times: 3\n"
       "    callchain:\n    - funcname: __x64_sys_mmap\n",
       "- syscallError:\n syscalls:\n - mmap\n probability: 1%\n count: 3\n errno: ENOMEM",
       {"spec.failKernRequest.failtype: the system call fails",
        "spec.failKernRequest.headers: nothing is"}},
      {"blocks that cannot be read",
       "KernelChaos",
       "  failKernRequest: {failtype: 2, probability: 10}\n",
       "- syscallError:\n syscalls:\n - read\n - pread64\n - write\n - pwrite64\n - fsync\n - "
       "fdatasync\n"
       " fd: regular\n probability: 10%\n errno: EIO",
       {"spec.failKernRequest.failtype: the system call fails"}},
  };
  return all;
}

TEST(Convert, EachKindBecomesFaultsAndTheRestIsTold) {
  for (const Case& c : cases()) {
    const auto out = convert_chaos_mesh(manifest(c.kind, c.spec), "m.yaml");
    ASSERT_TRUE(out) << c.name << out.error().message;
    ASSERT_EQ(out->experiments.size(), 1U) << c.name << out->findings[0].text();
    const api::Experiment& experiment = out->experiments[0].experiment;
    const std::string yaml = api::to_yaml(experiment);
    const auto again = api::parse_experiment(yaml, "out.yaml");
    ASSERT_TRUE(again) << c.name << again.error().message << yaml;
    const std::size_t from = yaml.find("  faults:\n") + 10, to = yaml.find("\n  phases:");
    EXPECT_EQ(without_blanks(yaml.substr(from, to - from)), without_blanks(c.faults)) << c.name;
    EXPECT_EQ(experiment.spec.phases.fault.seconds(), 20) << c.name;
    EXPECT_EQ(experiment.spec.target.selector.namespaces, std::vector<std::string>{"shop"});
    ASSERT_EQ(out->findings.size(), c.told.size())
        << c.name << (out->findings.empty() ? "" : out->findings.back().text());
    for (std::size_t i = 0; i < c.told.size(); ++i) {
      EXPECT_THAT(out->findings[i].text(), HasSubstr(c.told[i])) << c.name;
      EXPECT_GT(out->findings[i].line, 3) << out->findings[i].text();
    }
  }
}

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

TEST(Convert, APauseThatIsNoneIsNotLeftOut) {
  std::string text = manifest("NetworkChaos", "  action: partition\n");
  text.replace(text.find("namespace: shop"), 15,
               "namespace: shop, annotations: {experiment.chaos-mesh.org/pause: \"false\"}");
  const auto out = convert_chaos_mesh(text, "m.yaml");
  ASSERT_TRUE(out);
  EXPECT_EQ(out->experiments.size(), 1U);
  EXPECT_TRUE(out->complete());
}

TEST(Convert, SelectorsThatAreNamesAreNamedAndOthersLeaveTheDocumentOut) {
  const auto select = [](const std::string& selector) {
    std::string text = manifest("PodChaos", "  action: container-kill\n  containerNames: [a]\n");
    text.replace(text.find("{labelSelectors: {app: pay}}"), 28, selector);
    return *convert_chaos_mesh(text, "m.yaml");
  };
  const auto selector = [&](const std::string& words) {
    const Conversion out = select(words);
    EXPECT_EQ(out.experiments.size(), 1U) << words;
    return out.experiments.empty() ? ""
                                   : without_blanks(api::to_yaml(out.experiments[0].experiment));
  };
  EXPECT_THAT(selector("{namespaces: [a, b]}"), HasSubstr("selector:namespaces:-a-bcontainer"));
  EXPECT_THAT(selector("{}"), HasSubstr("selector:namespaces:-shopcontainer"));
  EXPECT_THAT(selector("{nodeSelectors: {kubernetes.io/hostname: n1}}"), HasSubstr("nodes:-n1"));
  EXPECT_THAT(selector("{namespaces: [shop, web], fieldSelectors: {spec.nodeName: n1, "
                       "metadata.namespace: web}}"),
              HasSubstr("selector:namespaces:-webnodes:-n1"));
  EXPECT_THAT(selector("{expressionSelectors: [{key: tier, operator: In, values: [db]}]}"),
              HasSubstr("labelSelectors:tier:db"));
  EXPECT_THAT(selector("{podPhaseSelectors: [Running]}"), HasSubstr("namespaces:-shop"));
  // As in Chaos Mesh, nothing beside names of pods has an effect.
  const Conversion pods = select("{pods: {web: [w-0]}, labelSelectors: {app: other}}");
  EXPECT_THAT(without_blanks(api::to_yaml(pods.experiments.at(0).experiment)),
              HasSubstr("selector:pods:web:-w-0container"));
  EXPECT_TRUE(pods.complete());
  EXPECT_EQ(pods.findings.size(), 1U);
  for (const char* words :
       {"{expressionSelectors: [{key: a, operator: Exists}]}", "{nodeSelectors: {zone: a}}",
        "{fieldSelectors: {status.podIP: 10.0.0.1}}", "{podPhaseSelectors: [Pending]}",
        "{labelSelectors: {app: true}}", "{nodes: n1}", "pay", "", "{labelSelector: {app: pay}}",
        "{expressionSelectors: {key: a}}", "{podPhaseSelectors: Running}",
        "{namespace: [shop], labelSelectors: {app: pay}}", "{labelSelectors: [a]}",
        "{fieldSelectors: {metadata.namespace: web}}",
        "{labelSelectors: {a: x}, expressionSelectors: [{key: a, operator: In, values: [y]}]}"})
    EXPECT_TRUE(select(words).experiments.empty()) << words;
}

TEST(Convert, ModesKeepTheirMeaningAndRaiseTheLimitsToIt) {
  const auto one = [](const std::string& mode) {
    std::string text = manifest("PodChaos", "  action: container-kill\n  containerNames: [a]\n");
    text.replace(text.find("mode: one"), 9, mode);
    return *convert_chaos_mesh(text, "m.yaml");
  };
  const api::ExperimentSpec all = one("mode: all").experiments.at(0).experiment.spec;
  EXPECT_EQ(all.target.mode, api::Mode::all);
  EXPECT_EQ(all.limits.maxPercent, 100);
  EXPECT_TRUE(all.limits.allReadyPods);
  const Conversion told = one("mode: all");
  ASSERT_EQ(told.findings.size(), 1U);
  EXPECT_THAT(told.findings[0].text(), HasSubstr("note: spec.mode: all pods that match are hit"));
  EXPECT_THAT(told.findings[0].text(), HasSubstr("maxPercentOfWorkload, which is 50 as installed"));
  const api::ExperimentSpec fixed =
      one("mode: fixed\n  value: '7'").experiments.at(0).experiment.spec;
  EXPECT_EQ(fixed.target.value, "7");
  EXPECT_EQ(fixed.limits.maxPods, 7);
  const api::ExperimentSpec part =
      one("mode: random-max-percent\n  value: '80'").experiments.at(0).experiment.spec;
  EXPECT_EQ(part.target.mode, api::Mode::random_max_percent);
  EXPECT_EQ(part.limits.maxPercent, 80);
  EXPECT_TRUE(one("mode: fixed").experiments.empty());
  EXPECT_TRUE(one("mode: fixed\n  value: many").experiments.empty());
  EXPECT_TRUE(one("mode: most").experiments.empty());
}

TEST(Convert, WhatIsNotThereIsANoteNotALoss) {
  const auto out = convert_chaos_mesh(
      "apiVersion: chaos-mesh.org/v1alpha1\nkind: IOChaos\nmetadata: {name: x}\nspec:\n  mode: "
      "one\n"
      "  selector: {}\n  action: fault\n  errno: 5\n  volumePath: /d\n  containerNames: [app]\n",
      "m.yaml");
  ASSERT_TRUE(out);
  ASSERT_EQ(out->experiments.size(), 1U);
  EXPECT_TRUE(out->complete());
  ASSERT_EQ(out->findings.size(), 2U);
  EXPECT_THAT(out->findings[0].text(), HasSubstr("m.yaml:3: note: metadata.namespace: not given"));
  EXPECT_THAT(out->findings[1].text(), HasSubstr("m.yaml:4: note: spec.duration: not given"));
  EXPECT_THAT(api::to_yaml(out->experiments[0].experiment), HasSubstr("- default"));
}

constexpr const char* kStream = R"(apiVersion: chaos-mesh.org/v1alpha1
kind: Schedule
metadata:
  name: kill.every.hour
  namespace: shop
  annotations: {experiment.chaos-mesh.org/pause: "true", team: pay}
spec:
  schedule: "@every 1h"
  historyLimit: 5
  concurrencyPolicy: Forbid
  type: PodChaos
  podChaos:
    action: container-kill
    mode: one
    containerNames: [app]
    selector: {labelSelectors: {app: pay}}
    duration: 30s
---
# nothing but this
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
---
apiVersion: chaos-mesh.org/v1alpha1
kind: TimeChaos
metadata: {name: late}
spec: {timeOffset: -10m}
---
apiVersion: v1
kind: List
items:
- apiVersion: chaos-mesh.org/v1alpha1
  kind: DNSChaos
  metadata: {name: no-names, namespace: shop, uid: "7"}
  spec:
    action: error
    mode: one
    selector: {labelSelectors: {app: pay}}
    duration: 30s
  status: {experiment: {desiredPhase: Run}}
)";

TEST(Convert, ReadsManyDocumentsSchedulesAndLists) {
  const auto out = convert_chaos_mesh(kStream, "m.yaml");
  ASSERT_TRUE(out) << out.error().message;
  ASSERT_EQ(out->experiments.size(), 2U);
  EXPECT_EQ(out->experiments[0].experiment.metadata.name, "kill-every-hour");
  EXPECT_EQ(out->experiments[0].experiment.metadata.annotations.size(), 1U);
  EXPECT_EQ(out->experiments[0].line, 1);
  EXPECT_EQ(out->experiments[1].experiment.metadata.name, "no-names");
  std::string told;
  for (const Finding& finding : out->findings) told += finding.text() + "\n";
  for (const char* line :
       {"m.yaml:4: note: metadata.name: an experiment's name is one DNS label: kill-every-hour",
        "m.yaml:6: metadata.annotations[\"experiment.chaos-mesh.org/pause\"]: an experiment does "
        "not",
        "m.yaml:8: spec.schedule: nothing here starts by the clock", "m.yaml:9: spec.historyLimit:",
        "m.yaml:10: spec.concurrencyPolicy:", "m.yaml:21: is a Deployment of apps/v1",
        "m.yaml:26: kind: TimeChaos has no equivalent and is left out: clocks are never changed",
        "m.yaml:35: note: items[0].metadata.uid: is the API server's",
        "m.yaml:41: note: items[0].status: is what became of it"})
    EXPECT_THAT(told, HasSubstr(line));
  EXPECT_EQ(out->findings.size(), 9U) << told;
}

TEST(Convert, AScheduleOfWhatHasNoEquivalentIsToldByItsName) {
  // Longer than what std::string keeps in itself: the name was once read after it was freed.
  const auto out = convert_chaos_mesh(
      "apiVersion: chaos-mesh.org/v1alpha1\nkind: Schedule\nmetadata: {name: a}\n"
      "spec: {type: PhysicalMachineChaos}\n",
      "m.yaml");
  ASSERT_TRUE(out) << out.error().message;
  ASSERT_FALSE(out->findings.empty());
  EXPECT_THAT(out->findings[0].text(),
              HasSubstr("spec.type: PhysicalMachineChaos has no equivalent and is left out"));
}

TEST(Convert, WhatAStrangerSendsEndsAtTheBudget) {
  std::string documents, values = "a: [";
  for (int i = 0; i < 1001; ++i) documents += "--- a\n";
  for (int i = 0; i < 100'001; ++i) values += "1,";
  for (const auto& [text, says] :
       {std::pair<std::string, std::string>{",", "m.yaml:1: not valid YAML"},
        {documents, "more than 1000 documents"},
        {values + "]", "more than 100000 values"},
        {"a: &a [x]\nb: *a\n", "m.yaml:2: b: aliases like \"*a\" are not supported"},
        {std::string((1 << 20) + 1, ' '), "larger than 1 MiB"}}) {
    const auto out = convert_chaos_mesh(text, "m.yaml");
    ASSERT_FALSE(out);
    EXPECT_THAT(out.error().message, HasSubstr(says));
  }
}

TEST(Convert, WhatIsNoYamlIsBadInput) {
  for (const char* text : {"", "# only this\n", "a: [", "a: 1\na: 2\n"}) {
    const auto out = convert_chaos_mesh(text, "m.yaml");
    ASSERT_FALSE(out) << text;
    EXPECT_EQ(out.error().code, Errc::kInvalid);
    EXPECT_THAT(out.error().message, testing::StartsWith("m.yaml"));
  }
}

TEST(ConvertCommand, PrintsWhatItCanAndTheExitCodeTellsWhetherThatIsAll) {
  Folder folder;
  Shell shell;
  const std::string whole = folder.file(
      "whole.yaml", manifest("PodChaos", "  action: container-kill\n  containerNames: [app]\n"));
  EXPECT_EQ(shell.run({"convert", whole}), 0);
  EXPECT_EQ(shell.err.str(), "");
  EXPECT_THAT(shell.out.str(),
              HasSubstr("# Converted from " + whole + ":1\napiVersion: faultline.dev"));
  const std::string part = folder.file("part.yaml", kStream);
  EXPECT_EQ(shell.run({"convert", part, whole}), 1);
  EXPECT_THAT(shell.out.str(), HasSubstr("\n---\n# Converted from " + whole));
  EXPECT_THAT(shell.err.str(), HasSubstr(part + ":8: spec.schedule"));
  EXPECT_EQ(shell.run({"convert", part, whole, "--strict"}), 1);
  EXPECT_EQ(shell.out.str(), "");
  EXPECT_THAT(shell.err.str(), HasSubstr("nothing is written"));
  EXPECT_EQ(shell.run({"convert", whole, "--strict"}), 0);
  EXPECT_EQ(shell.run({"convert", folder.file("bad.yaml", "a: [")}), 3);
  EXPECT_EQ(shell.run({"convert", folder.path() + "/none.yaml"}), 3);
  shell.in.str(manifest("PodChaos", "  action: container-kill\n  containerNames: [app]\n"));
  EXPECT_EQ(shell.run({"convert", "-"}), 0);
  EXPECT_EQ(shell.run({"convert", part, "--output", "json"}), 1);
  EXPECT_EQ(shell.json().at("experiments").as_array().size(), 2U);
  EXPECT_EQ(shell.json().at("findings").as_array().size(), 9U);
  EXPECT_EQ(shell.json().at("exitCode"), 1);
}

TEST(ConvertCommand, WritesAFileEachAndOverwritesNone) {
  Folder folder;
  Shell shell;
  const std::string one = folder.file(
      "one.yaml", manifest("PodChaos", "  action: container-kill\n  containerNames: [app]\n"));
  const std::string out = folder.path() + "/out";
  EXPECT_EQ(shell.run({"convert", one, one, "--directory", out}), 0);
  EXPECT_EQ(shell.out.str(), out + "/x.yaml\n" + out + "/x-2.yaml\n");
  EXPECT_EQ(shell.run({"validate", out + "/x-2.yaml"}), 0);
  EXPECT_EQ(shell.run({"convert", one, "-d", out}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr(out + "/x.yaml exists already"));
  const std::string part = folder.file("part.yaml", kStream);
  EXPECT_EQ(shell.run({"convert", part, "--strict", "--directory", folder.path() + "/no"}), 1);
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/no"));
}

}  // namespace
}  // namespace faultline::cli
