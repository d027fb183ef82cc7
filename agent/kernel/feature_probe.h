// SPDX-License-Identifier: Apache-2.0
// What this kernel can do, found by trying, never by version. Each answer is found once, on first
// use, and leaves nothing. Thread-safe after probe_all(); before it, used from one thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/sync.h"

namespace faultline::agent {

enum class KernelFeature {
  kBtf,
  kTcx,
  kClsact,  // the qdisc and bpf filters: where there is no tcx
  kTun,
  kCgroupSock,  // cgroup/sock_create + bpf_set_retval
  kCgroupBind,
  kCgroupConnect,
  kCgroupSendmsg,
  kCgroupSockopt,
  kSockOps,
  kTpBtf,
  kTrampoline,  // fentry, fexit, fmod_ret
  kLsm,
  kReadKernel,  // bpf_probe_read_kernel: not where the kernel is locked down
  kFmodRetSyscall,
  kSleepableLsm,
  kSleepableSyscall,  // fentry that may sleep, on a system call
  kTaskFromPid,
  kTaskWork,  // a program has a function of its own called when the task leaves the kernel
  kFuse,
  kKprobe,
  kUprobe,  // at entries and returns, and processes with filters of seccomp bear it
  kFq,
  kIterTcp,
  kSockDiag,
  kCgroup2,
  kCloneIntoCgroup,  // a process begins in a cgroup; without it one is moved there
  kPsi,
};

class FeatureProbe {
 public:
  FeatureProbe() = default;
  // As if the kernel lacked `feature`, for `reason`: what comes next on the ladder is used.
  FeatureProbe(KernelFeature feature, const std::string& reason);
  explicit FeatureProbe(const std::map<KernelFeature, std::string>& lacks);
  // Tries it now unless it was tried before.
  [[nodiscard]] bool has(KernelFeature feature) const;
  // Why not, in the kernel's words; empty when has().
  [[nodiscard]] const std::string& reason(KernelFeature feature) const;
  // As `faultline probe` calls it: "tcx links". Tries it, as has() does.
  [[nodiscard]] const std::string& name(KernelFeature feature) const;
  // All of them, in order, for `faultline probe`.
  [[nodiscard]] std::vector<api::Feature> probe_all() const;

 private:
  mutable std::map<KernelFeature, api::Feature> known_;
};

}  // namespace faultline::agent
