// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/feature_probe.h"

#include <linux/bpf.h>

#include <array>

#include "agent/kernel/cgroup2.h"
#include "agent/kernel/feature_tries.h"

namespace faultline::agent {
namespace {

struct Row {
  KernelFeature feature;
  const char* name;
  const char* enables;
  Result<> (*attempt)();
};

constexpr std::array kRows{
    Row{KernelFeature::kBtf, "BTF of the kernel", "every BPF program that reads kernel structs",
        tries::btf},
    Row{KernelFeature::kTcx, "tcx links", "network faults, packet effects", tries::tcx},
    Row{KernelFeature::kClsact, "clsact + bpf filters",
        "network faults, packet effects without tcx", tries::clsact},
    Row{KernelFeature::kTun, "TUN/TAP", "networkLatency, networkBandwidth by the delay line",
        tries::tun},
    Row{KernelFeature::kCgroupSock, "cgroup/sock_create + bpf_set_retval", "socketError: socket",
        [] { return tries::cgroup_hook(BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE); }},
    Row{KernelFeature::kCgroupBind, "cgroup/bind + bpf_set_retval", "socketError: bind",
        [] { return tries::cgroup_hook(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND); }},
    Row{KernelFeature::kCgroupConnect, "cgroup/connect + bpf_set_retval", "socketError: connect",
        [] {
          return tries::cgroup_hook(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT);
        }},
    Row{KernelFeature::kCgroupSendmsg, "cgroup/sendmsg + bpf_set_retval",
        "socketError: sendmsg of unconnected UDP",
        [] { return tries::cgroup_hook(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG); }},
    Row{KernelFeature::kCgroupSockopt, "cgroup/sockopt + bpf_set_retval",
        "socketError: setsockopt, getsockopt", tries::sockopt},
    Row{KernelFeature::kSockOps, "sockops", "TCP effects: connect latency, round trip, retransmits",
        tries::sock_ops},
    Row{KernelFeature::kTpBtf, "tp_btf tracepoints", "effects of tracepoints", tries::tp_btf},
    Row{KernelFeature::kTrampoline, "fentry and fexit", "effects and faults of single functions",
        tries::trampoline},
    Row{KernelFeature::kLsm, "BPF LSM", "syscallError and socketError by security hooks",
        tries::lsm},
    Row{KernelFeature::kReadKernel, "bpf_probe_read_kernel",
        "syscallError, syscallLatency, socketError by security hooks", tries::read_kernel},
    Row{KernelFeature::kFmodRetSyscall, "fmod_ret on system calls",
        "syscallError: any errno of any call", tries::fmod_syscall},
    Row{KernelFeature::kSleepableLsm, "LSM programs that sleep", "syscallLatency by security hooks",
        tries::sleepable_lsm},
    Row{KernelFeature::kSleepableSyscall, "fentry that sleeps on system calls",
        "syscallLatency of any call", tries::sleepable_syscall},
    Row{KernelFeature::kTaskFromPid, "bpf_task_from_pid", "syscallLatency without a busy CPU",
        tries::task_from_pid},
    Row{KernelFeature::kTaskWork, "bpf_task_work", "syscallLatency of any call, of many at once",
        tries::task_work},
    Row{KernelFeature::kFuse, "FUSE", "syscallLatency without a busy CPU", tries::fuse},
    Row{KernelFeature::kKprobe, "kprobes", "effects of single functions", tries::kprobe},
    Row{KernelFeature::kUprobe, "uprobes", "effects of the plain bytes of TLS (tls.*)",
        tries::uprobe},
    Row{KernelFeature::kFq, "fq qdisc", "networkLatency, networkBandwidth in the kernel (EDT)",
        tries::fq},
    Row{KernelFeature::kIterTcp, "iter/tcp", "TCP effects by sampling, tcpReset", tries::iter_tcp},
    Row{KernelFeature::kSockDiag, "sock_diag", "TCP effects by sampling", tries::sock_diag},
    Row{KernelFeature::kCgroup2, "cgroup2", "pods",
        []() -> Result<> {
          if (auto mount = find_cgroup2_mount(); !mount) return fail(mount.error());
          return {};
        }},
    Row{KernelFeature::kCloneIntoCgroup, "clone3 into a cgroup",
        "cpuPressure from a worker's first moment", tries::clone_into_cgroup},
    Row{KernelFeature::kPsi, "pressure stall information", "saturation effects", tries::psi},
};

const api::Feature& find_or_try(KernelFeature feature,
                                std::map<KernelFeature, api::Feature>& known) {
  const auto found = known.find(feature);
  if (found != known.end()) return found->second;
  api::Feature answer;
  for (const Row& row : kRows) {
    if (row.feature != feature) continue;
    const auto result = row.attempt();
    answer = {row.name, result.has_value(), result ? std::string() : result.error().message,
              row.enables};
  }
  return known.emplace(feature, std::move(answer)).first->second;
}

}  // namespace

FeatureProbe::FeatureProbe(KernelFeature feature, const std::string& reason)
    : FeatureProbe(std::map<KernelFeature, std::string>{{feature, reason}}) {}

FeatureProbe::FeatureProbe(const std::map<KernelFeature, std::string>& lacks) {
  for (const Row& row : kRows)
    if (const auto lack = lacks.find(row.feature); lack != lacks.end())
      known_.emplace(row.feature, api::Feature{row.name, false, lack->second, row.enables});
}

bool FeatureProbe::has(KernelFeature feature) const {
  return find_or_try(feature, known_).available;
}

const std::string& FeatureProbe::reason(KernelFeature feature) const {
  return find_or_try(feature, known_).reason;
}

const std::string& FeatureProbe::name(KernelFeature feature) const {
  return find_or_try(feature, known_).name;
}

std::vector<api::Feature> FeatureProbe::probe_all() const {
  std::vector<api::Feature> all;
  for (const Row& row : kRows) all.push_back(find_or_try(row.feature, known_));
  return all;
}

}  // namespace faultline::agent
