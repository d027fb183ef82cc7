// SPDX-License-Identifier: Apache-2.0
// Manifests of Chaos Mesh as people write them, and the faults that each becomes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/codec.h"
#include "cli/convert/convert.h"
#include "tests/unit/cli/convert_manifest.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;

// One manifest, what the faults are (as YAML, without its blanks), and what is told, in order.
struct Case {
  std::string name, kind, spec, faults;
  std::vector<std::string> told = {};
};

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
      {"partition from other pods",
       "NetworkChaos",
       "  action: partition\n  direction: both\n"
       "  target: {mode: all, selector: {namespaces: [db], labelSelectors: {app: pg}}}\n",
       "- networkPartition:\n direction: both\n peer:\n namespaces:\n - db\n labelSelectors:\n "
       "app: pg",
       {"note: spec.target: behind a Service that leads to other pods"}},
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
       {"note: spec.externalTargets: Chaos Mesh cuts the pods of target",
        "note: spec.target: behind a Service that leads to other pods",
        "note: spec.target.value: has no meaning with this mode"}},
      {"as many peers as are named",
       "NetworkChaos",
       "  action: partition\n"
       "  target: {mode: fixed, value: '2', selector: {pods: {db: [pg-0, pg-1]}}}\n",
       "- networkPartition:\n peer:\n pods:\n db:\n - pg-0\n - pg-1",
       {"note: spec.target: behind a Service that leads to other pods"}},
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

}  // namespace
}  // namespace faultline::cli
