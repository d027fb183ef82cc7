// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/syscall_latency.h"

#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "agent/faults/page_delay/page_delay.h"
#include "agent/faults/syscalls/attach.h"
#include "agent/faults/syscalls/latency_plan.h"
#include "agent/kernel/lease.h"
#include "agent/kernel/mapped_array.h"
#include "agent/kernel/program_copy.h"
#include "agent/kernel/skeleton.h"
#include "syscall_latency_abi.h"
// After the types of its globals.
#include "syscall_latency.skel.h"

namespace faultline::agent {
namespace {

using std::chrono::nanoseconds;

// Programs at the end of one call, each of which lets one task a CPU wait. Each costs every process
// some ten nanoseconds a call, and the kernel takes 38 on one function.
constexpr int kExits = 8;

std::uint32_t at_hook(LatencyWay way) {
  switch (way) {  // no default: a new way must be thought about here
    case LatencyWay::kTaskWork:
      return FL_AT_HOOK_WORK;
    case LatencyWay::kExit:
      return FL_AT_HOOK_SLEEP;
    case LatencyWay::kSpin:
      return FL_AT_HOOK_SPIN;
  }
  return FL_AT_HOOK_SLEEP;
}

api::NetworkLatency as_latency(const api::SyscallLatency& spec) {
  api::NetworkLatency same;
  same.latency = spec.latency;
  same.jitter = spec.jitter;
  same.distribution = spec.distribution;
  return same;
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

class ArmedSyscallLatency final : public ArmedFault {
 public:
  explicit ArmedSyscallLatency(LatencyPlan plan)
      : plan_(std::move(plan)),
        mechanism_(describe_plan(plan_.calls, call_words(plan_.way), security_words(plan_.way))) {}

  Result<> hang_up(const api::SyscallLatency& spec, const Pod& pod, const ArmContext& context) {
    auto skeleton = Skeleton<syscall_latency_bpf>::open("syscall_latency");
    if (!skeleton) return fail(skeleton.error());
    skeleton_.emplace(std::move(*skeleton));
    if (auto done = configure(spec, pod, context); !done) return done;
    if (auto done = load(); !done) return done;
    syscall_latency_bpf& object = **skeleton_;
    auto faults = MappedArray<fl_call_fault>::map(bpf_map__fd(object.maps.fl_faults), 1);
    if (!faults) return fail(faults.error());
    fault_.emplace(std::move(*faults));
    if (auto filled = fill_call_fault(fault(), spec, 0, plan_.calls.calls, pod); !filled)
      return filled;
    fault().seed = context.seed;
    if (auto put = put_cgroup(bpf_map__fd(object.maps.fl_pod), pod.cgroup_path); !put) return put;
    arm_lease(fault().lease, context.deadline);
    if (plan_.way != LatencyWay::kSpin) {
      auto delay = PageDelay::start(object.bss->fl_waits, fault().lease,
                                    DelayModel(as_latency(spec), context.seed));
      if (!delay) return fail(delay.error());
      delay_ = std::move(*delay);
    }
    return attach();
  }

  void renew(KtimeNs deadline) override {
    renew_lease(fault().lease, deadline);
    if (warned_ || !delay_) return;
    if (const auto serving = delay_->check(); !serving) {
      warned_ = true;
      spdlog::warn("syscallLatency: {}; calls are not delayed any more", serving.error().message);
    }
  }

  Result<FaultCounters> read() const override {
    FaultCounters counters = read_call_counters(fault(), plan_.calls.calls);
    fl_waits& waits = (*skeleton_)->bss->fl_waits;
    counters.errors += std::atomic_ref(waits.errors).load(std::memory_order_relaxed);
    counters.errors += missed_ + missed_calls(links_);
    counters.added_latency = served(waits);
    return counters;
  }

  Result<> disarm() override {
    disarm_lease(fault().lease);
    missed_ += missed_calls(links_);
    links_.clear();
    const Result<> served_to_the_end = delay_ ? delay_->check() : Result<>{};
    delay_.reset();
    return served_to_the_end;
  }
  std::string mechanism() const override { return mechanism_; }

 private:
  [[nodiscard]] fl_call_fault& fault() const { return (*fault_)[0]; }

  [[nodiscard]] bpf_program* on_call() const {
    const auto& programs = (*skeleton_)->progs;
    switch (plan_.way) {  // no default: a new way must be thought about here
      case LatencyWay::kTaskWork:
        return programs.fl_call_work;
      case LatencyWay::kExit:
        return programs.fl_call_mark;
      case LatencyWay::kSpin:
        return programs.fl_call_spin;
    }
    return nullptr;
  }

  Result<> configure(const api::SyscallLatency& spec, const Pod& pod, const ArmContext& context) {
    const auto level = cgroup_level(pod.cgroup_path);
    if (!level) return fail(level.error());
    auto& rodata = *(*skeleton_)->rodata;
    rodata.fl_latency.pod = number(pod.cgroup);
    rodata.fl_latency.level = *level;
    rodata.fl_latency.at_hook = at_hook(plan_.way);
    if (plan_.way != LatencyWay::kSpin) return {};
    DelayModel model(as_latency(spec), context.seed);
    for (auto& ns : rodata.fl_latency.spin_ns)
      ns = static_cast<std::uint32_t>(std::min(model.next(), kLongestSpin).count());
    return {};
  }

  // Programs at the end of a call, in the order they are attached: before those at its beginning,
  // so that no mark waits for one that is not there yet. Of several the kernel runs the last first.
  [[nodiscard]] std::vector<std::pair<bpf_program*, int>> at_end() const {
    const auto& programs = (*skeleton_)->progs;
    switch (plan_.way) {  // no default: a new way must be thought about here
      case LatencyWay::kTaskWork:
        return {{programs.fl_late_work, 1}};
      case LatencyWay::kExit:
        return {{programs.fl_call_exit, kExits}, {programs.fl_late_mark, 1}};
      case LatencyWay::kSpin:
        return {};
    }
    return {};
  }

  Result<> load() {
    const auto& programs = (*skeleton_)->progs;
    for (bpf_program* program :
         {programs.fl_call_work, programs.fl_late_work, programs.fl_call_mark,
          programs.fl_late_mark, programs.fl_call_exit, programs.fl_call_spin})
      bpf_program__set_autoload(program, false);
    choose_programs((*skeleton_)->obj, on_call(), plan_.calls.calls, true);
    if (auto done = choose_hooks(); !done) return done;
    const auto first =
        std::ranges::find(plan_.calls.calls, SyscallRung::kSystemCall, &PlannedCall::rung);
    if (first == plan_.calls.calls.end()) return skeleton_->load();
    for (const auto& [program, copies] : at_end()) {
      bpf_program__set_autoload(program, true);
      bpf_program__set_attach_target(program, 0, syscall_function(*first->call).c_str());
    }
    if (plan_.way == LatencyWay::kTaskWork) {
      const auto btf = KernelBtf::load();
      if (!btf) return fail(btf.error());
      for (bpf_program* program : {programs.fl_call_work, programs.fl_late_work})
        if (auto done = call_schedule(program, *btf); !done) return done;
    }
    return skeleton_->load();
  }

  // Before load: what the programs on security hooks need for how they delay a call.
  Result<> choose_hooks() {
    const auto btf = KernelBtf::load();
    if (!btf) return fail(btf.error());
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, (*skeleton_)->obj) {
      if (!bpf_program__autoload(program) || hook_of(program).empty()) continue;
      if (plan_.way == LatencyWay::kExit)
        bpf_program__set_flags(program, bpf_program__flags(program) | BPF_F_SLEEPABLE);
      if (plan_.way != LatencyWay::kTaskWork) continue;
      if (auto done = call_schedule(program, *btf); !done) return done;
    }
    return {};
  }

  Result<> attach() {
    for (const PlannedCall& call : plan_.calls.calls)
      for (const auto& [program, copies] : at_end())
        for (int i = 0; i < copies && call.rung == SyscallRung::kSystemCall; ++i)
          if (auto done = attach_copy(program, call); !done)
            return fail(done.error().with_context(std::string(call.call->name)));
    auto links = attach_programs((*skeleton_)->obj, on_call(), plan_.calls.calls);
    if (!links) return fail(links.error());
    for (Link& link : *links) links_.push_back(std::move(link));
    return {};
  }

  Result<> attach_copy(const bpf_program* program, const PlannedCall& call) {
    const auto copy = load_copy(program, call.function_id);
    if (!copy) return fail(copy.error());
    auto link = attach_tracing(copy->get());
    if (!link) return fail(link.error());
    link->move_up();
    links_.push_back(std::move(*link));
    return {};
  }

  const LatencyPlan plan_;
  const std::string mechanism_;
  // In this order: links go first, then those who wait are freed, then the programs.
  std::optional<Skeleton<syscall_latency_bpf>> skeleton_;
  std::optional<MappedArray<fl_call_fault>> fault_;
  std::unique_ptr<PageDelay> delay_;
  std::vector<Link> links_;
  std::uint64_t missed_ = 0;  // by links that are gone
  bool warned_ = false;
};

Result<std::unique_ptr<ArmedFault>> arm_latency(const api::SyscallLatency& spec, const Pod& pod,
                                                const ArmContext& context) {
  auto planned = plan_latency(spec, context.features);
  if (!planned) return fail(planned.error());
  for (const std::string& call : planned->calls.left_out)
    spdlog::info("syscallLatency on {}: left out {}", pod.ref.id(), call);
  auto armed = std::make_unique<ArmedSyscallLatency>(std::move(*planned));
  if (auto hung = armed->hang_up(spec, pod, context); !hung) return fail(hung.error());
  return armed;
}

Result<std::unique_ptr<ArmedFault>> arm(const api::Fault& fault, const Pod& pod,
                                        const ArmContext& context) {
  const auto* spec = std::get_if<api::SyscallLatency>(&fault.spec);
  if (spec == nullptr) return fail(Errc::kInternal, "syscallLatency was given another fault");
  auto armed = arm_latency(*spec, pod, context);
  if (!armed) return fail(armed.error().with_context("syscallLatency on " + pod.ref.id()));
  return armed;
}

// Supported when a rung is there; arm() tells about each call that is asked for.
api::FaultSupport support(const FeatureProbe& features) {
  api::FaultSupport answer{.fault = "syscallLatency"};
  std::string missing;
  const auto rung = [&](const std::string& name, const std::string& reason) {
    if (reason.empty())
      answer.mechanism += (answer.mechanism.empty() ? "" : ", ") + name;
    else
      missing += (missing.empty() ? "" : "; ") + name + ": " + reason;
  };
  const LatencyLadder wait = waiting_ladder(features), spin = spinning_ladder(features);
  rung(call_words(wait.way), wait.reasons.system_call);
  rung(security_words(wait.way), wait.reasons.security);
  rung("spin (only when asked for)", spin.reasons.system_call);
  answer.supported = !answer.mechanism.empty();
  if (!answer.supported) answer.reason = missing;
  return answer;
}

}  // namespace

const FaultType kSyscallLatency{"syscallLatency", support, arm, true};

}  // namespace faultline::agent
