// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/syscalls/plan.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "agent/faults/syscalls/pod_path.h"
#include "agent/faults/syscalls/pod_processes.h"
#include "agent/kernel/dice.h"

namespace faultline::agent {
namespace {

using api::SyscallObject;

std::string name_of(const api::Syscall& call) { return std::string(call.name); }

bool filters_object(const api::SyscallFilter& spec) {
  return !spec.path.empty() || spec.fd != api::FdKind::any;
}

// Why a program on the call's own function cannot do it; empty: it can.
std::string not_on_call(const api::SyscallFilter& spec, const api::Syscall& call,
                        const RungReasons& reasons, const KernelBtf* btf, int& function_id) {
  if (!reasons.system_call.empty()) return reasons.system_call;
  function_id = btf == nullptr ? -1 : btf->function(syscall_function(call));
  if (function_id < 0) return "the kernel's BTF does not name " + syscall_function(call);
  if (filters_object(spec) && call.object == SyscallObject::path)
    return "at the call the path is not resolved yet";
  return "";
}

std::string not_on_security(const api::SyscallFilter& spec, const api::Syscall& call,
                            const RungReasons& reasons, const KernelBtf* btf) {
  const SecurityHook* hook = security_hook(call);
  if (hook == nullptr) return "no security hook stands in its way";
  if (!reasons.security.empty()) return reasons.security;
  if (btf == nullptr || btf->function("bpf_lsm_" + std::string(hook->name)) < 0)
    return "this kernel has no security hook " + std::string(hook->name);
  if (reasons.hook)
    if (const std::string reason = reasons.hook(*hook); !reason.empty()) return reason;
  if (spec.fd != api::FdKind::any && hook->sees != HookSees::kFile)
    return "the security hook " + std::string(hook->name) + " sees no descriptor";
  if (!spec.path.empty() && hook->sees == HookSees::kNothing)
    return "the security hook " + std::string(hook->name) + " sees no path";
  return "";
}

std::string not_in_cgroup(const api::SyscallFilter& spec, const api::Syscall& call,
                          const RungReasons& reasons) {
  static constexpr std::array kHooked{"socket",  "bind",       "connect",   "sendto",
                                      "sendmsg", "setsockopt", "getsockopt"};
  if (std::ranges::find(kHooked, call.name) == kHooked.end()) return "no cgroup hook for it";
  if (!reasons.cgroup.empty()) return reasons.cgroup;
  if (filters_object(spec) || !spec.process.empty() || spec.every > 1 || spec.count > 0 ||
      spec.after > 0)
    return "its cgroup hook knows neither path, fd, process, every, count nor after";
  return "";
}

Result<> check_filters(const api::SyscallFilter& spec, const api::Syscall& call) {
  if (!spec.path.empty() &&
      (call.object == SyscallObject::none || call.group == api::SyscallGroup::network))
    return fail(Errc::kInvalid, "path: " + name_of(call) + " has none; give it a fault of its own");
  if (spec.fd != api::FdKind::any && call.object == SyscallObject::none)
    return fail(Errc::kInvalid,
                "fd: " + name_of(call) + " has no descriptor; give it a fault of its own");
  return {};
}

Result<PlannedCall> plan_call(const api::SyscallFilter& spec, const api::Syscall& call,
                              const RungReasons& reasons, const KernelBtf* btf) {
  if (auto fits = check_filters(spec, call); !fits) return fail(fits.error());
  if (syscall_number(call) < 0)
    return fail(Errc::kUnsupported, "this architecture does not have it");
  PlannedCall plan{.call = &call, .rung = SyscallRung::kSystemCall};
  const std::string on_call = not_on_call(spec, call, reasons, btf, plan.function_id);
  if (on_call.empty()) return plan;
  const std::string by_security = not_on_security(spec, call, reasons, btf);
  if (by_security.empty()) {
    plan.rung = SyscallRung::kSecurity;
    plan.hook = security_hook(call);
    return plan;
  }
  const std::string by_cgroup = not_in_cgroup(spec, call, reasons);
  if (by_cgroup.empty()) {
    plan.rung = SyscallRung::kCgroup;
    return plan;
  }
  return fail(Errc::kUnsupported, "on the call: " + on_call + "; by security hook: " + by_security +
                                      "; by cgroup hook: " + by_cgroup);
}

}  // namespace

Result<SyscallPlan> plan_calls(const api::SyscallFilter& spec, const RungReasons& reasons,
                               const KernelBtf* btf) {
  const auto calls = api::expand_syscalls(spec.syscalls);
  if (!calls) return fail(calls.error().with_context("syscalls"));
  SyscallPlan plan;
  for (const api::Syscall* call : *calls) {
    auto planned = plan_call(spec, *call, reasons, btf);
    if (planned) {
      plan.calls.push_back(*planned);
      continue;
    }
    if (std::ranges::find(spec.syscalls, call->name) != spec.syscalls.end())
      return fail(planned.error().with_context(name_of(*call)));
    plan.left_out.push_back(name_of(*call) + ": " + planned.error().message);
  }
  if (plan.calls.empty()) return fail(Errc::kUnsupported, plan.left_out.front());
  if (plan.calls.size() > FL_CALLS)
    return fail(Errc::kInvalid, "syscalls: at most " + std::to_string(FL_CALLS) +
                                    " calls in one fault, these are " +
                                    std::to_string(plan.calls.size()));
  return plan;
}

Result<> fill_call_fault(fl_call_fault& fault, const api::SyscallFilter& spec, int error,
                         const std::vector<PlannedCall>& calls, const Pod& pod) {
  fl_call_config config{};
  config.probability = fl_threshold(spec.probability.value);
  config.every = spec.every;
  config.count = spec.count;
  config.after = spec.after;
  config.retval = -error;
  switch (spec.fd) {  // no default: a new kind must be thought about here
    case api::FdKind::any:
      config.fd_kind = FL_FD_ANY;
      break;
    case api::FdKind::regular:
      config.fd_kind = FL_FD_REGULAR;
      break;
    case api::FdKind::socket:
      config.fd_kind = FL_FD_SOCKET;
      break;
    case api::FdKind::pipe:
      config.fd_kind = FL_FD_PIPE;
      break;
  }
  const auto node_mounts = node_mounts_for(pod);
  if (!node_mounts) return fail(node_mounts.error());
  config.node_mounts = *node_mounts;
  config.comm_length = static_cast<std::uint8_t>(spec.process.copy(config.comm, 15));
  if (!spec.path.empty()) {
    const auto path = find_in_pod(spec.path, pod);
    if (!path) return fail(path.error());
    config.path = *path;
  }
  std::memset(config.index_of, FL_CALL_NONE, sizeof config.index_of);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    config.index_of[syscall_number(*calls[i].call)] = static_cast<std::uint8_t>(i);
    config.fd_arg[i] = calls[i].call->fd_arg;
    if (calls[i].rung == SyscallRung::kSystemCall) config.on_call |= std::uint64_t{1} << i;
  }
  fault.config = config;
  fill_hooks(calls, fault.hooks);
  return {};
}

void fill_hooks(const std::vector<PlannedCall>& calls, fl_hook_calls (&hooks)[FL_HOOKS]) {
  for (fl_hook_calls& hook : hooks)
    hook = {
        .serves = 0, .stand_in = FL_CALL_NONE, .reading = FL_CALL_NONE, .writing = FL_CALL_NONE};
  for (std::size_t i = calls.size(); i-- > 0;) {  // so that the first stands in
    if (calls[i].rung != SyscallRung::kSecurity) continue;
    fl_hook_calls& hook = hooks[calls[i].hook->number];
    hook.serves |= std::uint64_t{1} << i;
    const auto index = static_cast<std::uint8_t>(i);
    switch (transfer(*calls[i].call)) {  // no default: a new kind must be thought about here
      case Transfer::kNone:
        hook.stand_in = index;
        break;
      case Transfer::kReads:
        hook.reading = index;
        break;
      case Transfer::kWrites:
        hook.writing = index;
        break;
    }
  }
}

std::string describe_plan(const SyscallPlan& plan, const std::string& system_call_word,
                          const std::string& security_word) {
  std::string text;
  const auto add = [&](const std::string& word, const std::string& names) {
    if (!names.empty()) text += (text.empty() ? "" : "; ") + word + names;
  };
  for (const auto& [rung, word] : {std::pair{SyscallRung::kSystemCall, system_call_word},
                                   {SyscallRung::kSecurity, security_word},
                                   {SyscallRung::kCgroup, std::string("cgroup")}}) {
    std::string names;
    for (const PlannedCall& call : plan.calls)
      if (call.rung == rung) names += (names.empty() ? "" : ", ") + name_of(*call.call);
    add(word + " on ", names);
  }
  std::string names;
  for (const std::string& call : plan.left_out)
    names += (names.empty() ? "" : ", ") + call.substr(0, call.find(':'));
  add("left out: ", names);
  return text;
}

}  // namespace faultline::agent
