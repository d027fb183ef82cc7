// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/syscalls/error_node.h"

#include <bpf/libbpf.h>

#include <utility>

#include "agent/faults/syscalls/attach.h"
#include "agent/kernel/program_copy.h"

namespace faultline::agent {
namespace {

std::string place_of(const PlannedCall& call, bool lsm) {
  if (call.rung == SyscallRung::kSystemCall) return syscall_function(*call.call);
  return place_of_hook(call.hook->name, lsm);
}

}  // namespace

Result<SyscallErrorNode::Places> SyscallErrorNode::join(const std::vector<PlannedCall>& calls,
                                                        bool lsm) {
  const std::scoped_lock lock(mutex_);
  Wanted wanted, missing;
  for (const PlannedCall& call : calls)
    if (call.rung != SyscallRung::kCgroup) wanted.emplace(place_of(call, lsm), call);
  Places names;
  for (const auto& [name, call] : wanted) {
    names.push_back(name);
    if (!places_.has(name)) missing.emplace(name, call);
  }
  if (auto loaded = load(missing, lsm); !loaded) return fail(loaded.error());
  if (auto joined = places_.join(names); !joined) return fail(joined.error());
  return names;
}

// Adds the missing places: those on hooks, and the first ever on a call, by one object; further
// ones on calls are copies.
Result<> SyscallErrorNode::load(const Wanted& missing, bool lsm) {
  std::vector<PlannedCall> by_object;
  bool first_on_call = on_call_ == nullptr;
  for (const auto& [name, call] : missing)
    if (call.rung != SyscallRung::kSystemCall || std::exchange(first_on_call, false))
      by_object.push_back(call);
  if (!by_object.empty())
    if (auto loaded = load_calls(by_object, lsm); !loaded) return loaded;
  for (const auto& [name, call] : missing) {
    if (places_.has(name)) continue;
    auto copy = load_copy(on_call_, call.function_id);
    if (!copy) return fail(copy.error().with_context(std::string(call.call->name)));
    places_.enter(name, std::move(*copy));
  }
  return {};
}

Result<> SyscallErrorNode::load_calls(const std::vector<PlannedCall>& calls, bool lsm) {
  const auto loaded = load_object("syscall_error", [&](syscall_error_bpf& object) -> Result<> {
    choose_programs(object.obj, object.progs.fl_call, calls, lsm);
    return {};
  });
  if (!loaded) return fail(loaded.error());
  const syscall_error_bpf& object = **loaded;
  for (const PlannedCall& call : calls) {
    if (call.rung != SyscallRung::kSystemCall) continue;
    on_call_ = object.progs.fl_call;
    places_.enter(place_of(call, lsm), bpf_program__fd(on_call_));
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(
      program, object.obj) if (bpf_program__autoload(program) && !hook_of(program).empty())
      places_.enter(place_of_hook(hook_of(program), lsm), bpf_program__fd(program));
  return {};
}

}  // namespace faultline::agent
