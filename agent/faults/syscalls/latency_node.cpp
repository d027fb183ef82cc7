// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/syscalls/latency_node.h"

#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "agent/faults/syscalls/attach.h"
#include "agent/kernel/kernel_btf.h"
#include "agent/kernel/program_copy.h"

namespace faultline::agent {
namespace {

// Programs at the end of one call, each of which lets one task a CPU wait. Each costs every process
// some ten nanoseconds a call, and the kernel takes 38 on one function.
constexpr int kExits = 16;
constexpr std::string_view kExit = "exit ";

std::uint32_t fl_way_of(LatencyWay way) {
  switch (way) {  // no default: a new way must be thought about here
    case LatencyWay::kTaskWork:
      return FL_WAY_WORK;
    case LatencyWay::kExit:
      return FL_WAY_SLEEP;
    case LatencyWay::kSpin:
      return FL_WAY_SPIN;
  }
  return FL_WAY_SLEEP;
}

// One kernel waits in one way and spins in another: programs of both may be at one place.
std::string named(LatencyWay way, const std::string& place) {
  return (way == LatencyWay::kSpin ? "spin " : "") + place;
}

struct OnCall {
  std::string place;
  bpf_program* program;
};

bpf_program* at_beginning(const syscall_latency_bpf& object, LatencyWay way) {
  switch (way) {  // no default: a new way must be thought about here
    case LatencyWay::kTaskWork:
      return object.progs.fl_call_work;
    case LatencyWay::kExit:
      return object.progs.fl_call_mark;
    case LatencyWay::kSpin:
      return object.progs.fl_call_spin;
  }
  return nullptr;
}

// What a call has in this way, in the order it is attached: first what runs at the call's end, so
// that no mark waits for what is not there yet. Of programs at the end the kernel runs the last one
// first: fl_late_mark, then those that wait, then the one that counts who could not.
std::vector<OnCall> on_call_of(const syscall_latency_bpf& object, LatencyWay way,
                               const std::string& function) {
  const auto& programs = object.progs;
  std::vector<OnCall> all;
  if (way == LatencyWay::kExit) {
    all.push_back({"unserved " + function, programs.fl_unserved});
    for (int i = 0; i < kExits; ++i)
      all.push_back({std::string(kExit) + std::to_string(i) + " " + function, programs.fl_exit});
  }
  if (way != LatencyWay::kSpin)
    all.push_back({"late " + function,
                   way == LatencyWay::kExit ? programs.fl_late_mark : programs.fl_late_work});
  all.push_back({named(way, function), at_beginning(object, way)});
  return all;
}

// Puts the kernel's function where the program has FL_CALL_SCHEDULE.
Result<> call_schedule(bpf_program* program, const KernelBtf& btf) {
  int id = btf.function("bpf_task_work_schedule_resume");
  if (id < 0) id = btf.function("bpf_task_work_schedule_resume_impl");
  const bpf_insn* code = bpf_program__insns(program);
  std::vector<bpf_insn> changed(code, code + bpf_program__insn_cnt(program));
  for (bpf_insn& insn : changed)
    if (insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == 0 && insn.imm == FL_CALL_SCHEDULE) {
      insn.src_reg = BPF_PSEUDO_KFUNC_CALL;
      insn.imm = id;
    }
  if (const int rc = bpf_program__set_insns(program, changed.data(), changed.size()); rc != 0)
    return fail(from_libbpf(rc, "cannot prepare " + std::string(bpf_program__name(program))));
  return {};
}

// Before load: which programs are wanted for these calls, and what they need to delay in this way.
Result<> choose(syscall_latency_bpf& object, LatencyWay way,
                const std::vector<PlannedCall>& calls) {
  object.rodata->fl_way = fl_way_of(way);
  const auto& programs = object.progs;
  for (bpf_program* program :
       {programs.fl_call_work, programs.fl_late_work, programs.fl_call_mark, programs.fl_late_mark,
        programs.fl_exit, programs.fl_unserved, programs.fl_call_spin})
    bpf_program__set_autoload(program, false);
  choose_programs(object.obj, at_beginning(object, way), calls, true);
  const auto first = std::ranges::find(calls, SyscallRung::kSystemCall, &PlannedCall::rung);
  if (first != calls.end()) {
    const std::string function = syscall_function(*first->call);
    for (const OnCall& one : on_call_of(object, way, function)) {
      bpf_program__set_autoload(one.program, true);
      bpf_program__set_attach_target(one.program, 0, function.c_str());
    }
  }
  const auto btf = KernelBtf::load();
  if (!btf) return fail(btf.error());
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object.obj) {
    if (!bpf_program__autoload(program)) continue;
    if (way == LatencyWay::kExit && !hook_of(program).empty())
      bpf_program__set_flags(program, bpf_program__flags(program) | BPF_F_SLEEPABLE);
    if (way != LatencyWay::kTaskWork) continue;
    if (auto done = call_schedule(program, *btf); !done) return done;
  }
  return {};
}

}  // namespace

Result<SyscallLatencyNode::Places> SyscallLatencyNode::join(const LatencyPlan& plan) {
  const std::scoped_lock lock(mutex_);
  if (auto loaded = load_missing(plan); !loaded) return fail(loaded.error());
  Places names;
  const auto add = [&](const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  for (const PlannedCall& call : plan.calls.calls)
    if (call.rung == SyscallRung::kSecurity)
      add(named(plan.way, std::string(call.hook->name)));
    else
      for (const OnCall& one :
           on_call_of(*on_call_.at(plan.way), plan.way, syscall_function(*call.call)))
        add(one.place);
  if (auto joined = places_.join(names); !joined) return fail(joined.error());
  return names;
}

// Adds the missing places: those on hooks, and the first ever on a call in this way, by one object;
// further ones on calls are copies.
Result<> SyscallLatencyNode::load_missing(const LatencyPlan& plan) {
  std::vector<PlannedCall> by_object;
  bool first_on_call = !on_call_.contains(plan.way);
  for (const PlannedCall& call : plan.calls.calls)
    if (call.rung == SyscallRung::kSecurity
            ? !places_.has(named(plan.way, std::string(call.hook->name)))
            : std::exchange(first_on_call, false))
      by_object.push_back(call);
  if (!by_object.empty())
    if (auto loaded = load_calls(plan.way, by_object); !loaded) return loaded;
  for (const PlannedCall& call : plan.calls.calls) {
    if (call.rung != SyscallRung::kSystemCall) continue;
    for (const OnCall& one :
         on_call_of(*on_call_.at(plan.way), plan.way, syscall_function(*call.call))) {
      if (places_.has(one.place)) continue;
      auto copy = load_copy(one.program, call.function_id);
      if (!copy) return fail(copy.error().with_context(std::string(call.call->name)));
      places_.enter(one.place, std::move(*copy));
    }
  }
  return {};
}

Result<> SyscallLatencyNode::load_calls(LatencyWay way, const std::vector<PlannedCall>& calls) {
  const auto loaded = load_object(
      "syscall_latency", [&](syscall_latency_bpf& object) { return choose(object, way, calls); });
  if (!loaded) return fail(loaded.error());
  syscall_latency_bpf& object = **loaded;
  const auto first = std::ranges::find(calls, SyscallRung::kSystemCall, &PlannedCall::rung);
  if (first != calls.end()) {
    on_call_[way] = &object;
    std::set<const bpf_program*> entered;
    for (const OnCall& one : on_call_of(object, way, syscall_function(*first->call)))
      if (entered.insert(one.program).second)
        places_.enter(one.place, bpf_program__fd(one.program));
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(
      program, object.obj) if (bpf_program__autoload(program) && !hook_of(program).empty())
      places_.enter(named(way, std::string(hook_of(program))), bpf_program__fd(program));
  return {};
}

std::uint64_t SyscallLatencyNode::missed(const Places& places) const {
  Places telling;
  std::ranges::copy_if(places, std::back_inserter(telling),
                       [](const std::string& name) { return !name.starts_with(kExit); });
  return NodePrograms::missed(telling);
}

void SyscallLatencyNode::fill(std::uint32_t slot, LatencyWay way, DelayModel model) {
  const std::scoped_lock lock(mutex_);
  fl_latency_slot& latency = this->latency(slot);
  latency = {};
  latency.way = fl_way_of(way);
  latency.since_ns = SystemClock().ktime().ns;
  for (auto& ns : latency.spin_ns)
    ns = static_cast<std::uint32_t>(std::min(model.next(), kLongestSpin).count());
  std::atomic_ref newest(first()->bss->fl_newest_ticket);
  latency.ticket = newest.load() + 1;
  newest.store(latency.ticket);
}

Result<> SyscallLatencyNode::serve(std::uint32_t slot, DelayModel model) {
  const std::scoped_lock lock(mutex_);
  if (!delay_ || !delay_->check()) {
    auto started =
        PageDelay::start(first()->bss->fl_waits, delay_ ? delay_->stop() : PageDelay::Lines{});
    if (!started) return fail(started.error());
    delay_ = std::move(*started);
  }
  delay_->add(slot, this->slot(slot).lease, model);
  return {};
}

void SyscallLatencyNode::end(std::uint32_t slot) {
  const std::scoped_lock lock(mutex_);
  std::atomic_ref(latency(slot).ticket).store(0);
  if (delay_) delay_->remove(slot);
}

Result<> SyscallLatencyNode::check() const {
  const std::scoped_lock lock(mutex_);
  return delay_ ? delay_->check() : Result<>{};
}

}  // namespace faultline::agent
