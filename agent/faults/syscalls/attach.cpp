// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/syscalls/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <atomic>
#include <string_view>

#include "agent/kernel/counters.h"

namespace faultline::agent {
namespace {

bool serves(const bpf_program* program, const std::vector<PlannedCall>& calls) {
  const std::string_view hook = hook_of(program);
  return std::ranges::any_of(calls, [&](const PlannedCall& call) {
    return call.rung == SyscallRung::kSecurity && call.hook->name == hook;
  });
}

__u64 load(__u64& shared) { return std::atomic_ref(shared).load(std::memory_order_relaxed); }

auto first_on_call(const std::vector<PlannedCall>& calls) {
  return std::ranges::find(calls, SyscallRung::kSystemCall, &PlannedCall::rung);
}

}  // namespace

std::string_view hook_of(const bpf_program* program) {
  const std::string_view section = bpf_program__section_name(program);
  constexpr std::string_view kBegins = "lsm/";
  return section.starts_with(kBegins) ? section.substr(kBegins.size()) : std::string_view{};
}

const char* security_word(const FeatureProbe& features) {
  return features.has(KernelFeature::kLsm) ? "lsm" : "fmod_ret of security_*";
}

std::string security_reason(const FeatureProbe& features) {
  if (!features.has(KernelFeature::kReadKernel)) return features.reason(KernelFeature::kReadKernel);
  if (features.has(KernelFeature::kLsm) || features.has(KernelFeature::kTrampoline)) return {};
  return features.reason(KernelFeature::kLsm);
}

std::string place_of_hook(std::string_view hook, bool lsm) {
  return (lsm ? "" : "security_") + std::string(hook);
}

void choose_kind(bpf_program* program, bool lsm) {
  if (lsm) return;
  bpf_program__set_type(program, BPF_PROG_TYPE_TRACING);
  bpf_program__set_expected_attach_type(program, BPF_MODIFY_RETURN);
  bpf_program__set_attach_target(program, 0, place_of_hook(hook_of(program), false).c_str());
}

void choose_programs(bpf_object* object, bpf_program* on_call,
                     const std::vector<PlannedCall>& calls, bool lsm) {
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    if (hook_of(program).empty()) continue;
    const bool wanted = serves(program, calls);
    bpf_program__set_autoload(program, wanted);
    if (wanted) choose_kind(program, lsm);
  }
  const auto first = first_on_call(calls);
  bpf_program__set_autoload(on_call, first != calls.end());
  if (first != calls.end())
    bpf_program__set_attach_target(on_call, 0, syscall_function(*first->call).c_str());
}

FaultCounters counted_in_slot(fl_counters& counters) {
  return counted_by({.matched = load(counters.matched),
                     .injected = load(counters.injected),
                     .errors = load(counters.errors),
                     .lost_events = load(counters.lost_events),
                     .first_ns = load(counters.first_ns),
                     .last_ns = load(counters.last_ns)});
}

FaultCounters read_call_counters(fl_call_fault& fault, const std::vector<PlannedCall>& calls) {
  FaultCounters out = counted_in_slot(fault.counters);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (calls[i].rung == SyscallRung::kCgroup) continue;
    api::EventCount& sum = out.by_call[std::string(calls[i].call->name)];
    fl_call_counters& call = fault.calls[i];
    sum.matched += load(call.matched);
    sum.injected += load(call.injected);
  }
  return out;
}

}  // namespace faultline::agent
