// SPDX-License-Identifier: Apache-2.0
// Which rung of the ladder each system call of a fault is hit on, and the configuration that the
// programs share. Chosen by what the kernel can do, never by its version.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/kernel/feature_probe.h"
#include "agent/kernel/kernel_btf.h"
#include "agent/kernel/syscalls.h"
#include "agent/targets/pod.h"
#include "api/fault.h"

namespace faultline::agent {

enum class SyscallRung {
  kSystemCall,  // fmod_ret or fentry on the call's own function
  kSecurity,    // LSM program, or fmod_ret on security_*
  kCgroup,      // socketError's hooks
};

struct PlannedCall {
  const api::Syscall* call;
  SyscallRung rung;
  const SecurityHook* hook = nullptr;  // of kSecurity
  int function_id = -1;                // BTF id, of kSystemCall
};

// What a rung needs, by the kind of fault; the reason is empty where it is there.
struct RungReasons {
  std::string system_call, security, cgroup;
  // Of one hook; not set: the same for all.
  std::function<std::string(const SecurityHook&)> hook{};
};

struct SyscallPlan {
  std::vector<PlannedCall> calls;     // not empty
  std::vector<std::string> left_out;  // of groups: what this kernel cannot do, "fsync: why"
};

// One rung a call, the highest that can do it with these filters. Of a group it takes what can be
// done; a call that was asked for by name must be. Errors: kInvalid for words that
// are no calls and filters that fit no call of theirs; kUnsupported with the call and why no rung
// does it.
Result<SyscallPlan> plan_calls(const api::SyscallFilter& spec, const RungReasons& reasons,
                               const KernelBtf* btf);

// What the programs need to know of a fault: its filters and dice, and which call is hit where; the
// rest of `fault` stays as it is. `error`: 0 for none. Errors: of find_in_pod() and
// node_mounts_for().
Result<> fill_call_fault(fl_call_fault& fault, const api::SyscallFilter& spec, int error,
                         const std::vector<PlannedCall>& calls, const Pod& pod);

// Which calls each security hook serves, and what io_uring's work counts as there.
void fill_hooks(const std::vector<PlannedCall>& calls, fl_hook_calls (&hooks)[FL_HOOKS]);

// "fmod_ret on openat, fsync; lsm on connect; left out: close": for the report.
[[nodiscard]] std::string describe_plan(const SyscallPlan& plan,
                                        const std::string& system_call_word,
                                        const std::string& security_word);

}  // namespace faultline::agent
