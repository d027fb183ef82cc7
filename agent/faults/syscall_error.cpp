// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/syscall_error.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "agent/faults/socket_error.h"
#include "agent/faults/syscalls/attach.h"
#include "agent/faults/syscalls/plan.h"
#include "agent/kernel/lease.h"
#include "agent/kernel/skeleton.h"
#include "syscall_error.skel.h"

namespace faultline::agent {
namespace {

constexpr const char* kOnCall = "fmod_ret";

RungReasons reasons_of(const FeatureProbe& features) {
  RungReasons reasons;
  reasons.system_call = features.reason(KernelFeature::kReadKernel);
  if (reasons.system_call.empty())
    reasons.system_call = features.reason(KernelFeature::kFmodRetSyscall);
  reasons.security = security_reason(features);
  reasons.cgroup = features.reason(KernelFeature::kCgroupConnect);
  return reasons;
}

class ArmedSyscallError final : public ArmedFault {
 public:
  ArmedSyscallError(SyscallPlan plan, std::string mechanism, std::string errno_name)
      : plan_(std::move(plan)),
        mechanism_(std::move(mechanism)),
        errno_name_(std::move(errno_name)) {}

  Result<> hang_up(const api::SyscallError& spec, const Pod& pod, const ArmContext& context) {
    auto skeleton = Skeleton<syscall_error_bpf>::open("syscall_error");
    if (!skeleton) return fail(skeleton.error());
    auto config = make_call_config(spec, spec.errno_.value, plan_.calls, pod);
    if (!config) return fail(config.error());
    syscall_error_bpf& object = **skeleton;
    object.rodata->fl_config = *config;
    object.rodata->fl_seed = context.seed;
    fill_hooks(plan_.calls, object.rodata->fl_hooks);
    choose_programs(object.obj, object.progs.fl_call, plan_.calls,
                    context.features.has(KernelFeature::kLsm));
    if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());
    if (auto put = put_cgroup(bpf_map__fd(object.maps.fl_pod), pod.cgroup_path); !put) return put;
    auto links = attach_programs(object.obj, object.progs.fl_call, plan_.calls);
    if (!links) return fail(links.error());
    links_ = std::move(*links);
    arm_lease(object.bss->fl_lease, context.deadline);
    skeleton_.emplace(std::move(*skeleton));
    return {};
  }
  void add(std::unique_ptr<ArmedFault> cgroup) { cgroup_ = std::move(cgroup); }

  void renew(KtimeNs deadline) override {
    if (skeleton_) renew_lease((*skeleton_)->bss->fl_lease, deadline);
    if (cgroup_) cgroup_->renew(deadline);
  }

  Result<FaultCounters> read() const override {
    FaultCounters sum;
    if (skeleton_) {
      auto own = read_call_counters(bpf_map__fd((*skeleton_)->maps.fl_counters),
                                    bpf_map__fd((*skeleton_)->maps.fl_calls), plan_.calls);
      if (!own) return own;
      sum = std::move(*own);
      sum.errors += missed_ + missed_calls(links_);
    }
    if (cgroup_) {
      const auto other = cgroup_->read();
      if (!other) return other;
      sum = agent::sum(sum, *other);
    }
    if (sum.injected > 0) sum.by_errno = {{errno_name_, sum.injected}};
    return sum;
  }

  Result<> disarm() override {
    if (skeleton_) disarm_lease((*skeleton_)->bss->fl_lease);
    missed_ += missed_calls(links_);
    links_.clear();
    return cgroup_ ? cgroup_->disarm() : Result<>{};
  }
  std::string mechanism() const override { return mechanism_; }

 private:
  SyscallPlan plan_;
  std::string mechanism_, errno_name_;
  std::optional<Skeleton<syscall_error_bpf>> skeleton_;  // before the links of its programs
  std::vector<Link> links_;
  std::uint64_t missed_ = 0;  // by links that are gone
  std::unique_ptr<ArmedFault> cgroup_;
};

// The calls that only cgroup hooks can hit are socketError's.
api::SocketError socket_part(const api::SyscallError& spec, const std::vector<PlannedCall>& calls) {
  using api::SocketOperation;
  static constexpr std::pair<std::string_view, SocketOperation> kSame[] = {
      {"socket", SocketOperation::socket},        {"bind", SocketOperation::bind},
      {"connect", SocketOperation::connect},      {"sendto", SocketOperation::sendmsg},
      {"sendmsg", SocketOperation::sendmsg},      {"setsockopt", SocketOperation::setsockopt},
      {"getsockopt", SocketOperation::getsockopt}};
  api::SocketError part;
  part.errno_ = spec.errno_;
  part.probability = spec.probability;
  for (const PlannedCall& plan : calls)
    for (const auto& [name, operation] : kSame)
      if (plan.rung == SyscallRung::kCgroup && plan.call->name == name &&
          std::ranges::find(part.operations, operation) == part.operations.end())
        part.operations.push_back(operation);
  return part;
}

Result<std::unique_ptr<ArmedFault>> arm_syscall_error(const api::SyscallError& spec, const Pod& pod,
                                                      const ArmContext& context) {
  const KernelBtf* btf = nullptr;
  const auto loaded = KernelBtf::load();
  if (loaded) btf = &*loaded;
  auto plan = plan_calls(spec, reasons_of(context.features), btf);
  if (!plan) return fail(plan.error());
  for (const std::string& call : plan->left_out)
    spdlog::info("syscallError on {}: left out {}", pod.ref.id(), call);
  const api::SocketError sockets = socket_part(spec, plan->calls);
  const bool programs = std::ranges::any_of(
      plan->calls, [](const PlannedCall& call) { return call.rung != SyscallRung::kCgroup; });
  const std::string mechanism = describe_plan(*plan, kOnCall, security_word(context.features));
  auto armed =
      std::make_unique<ArmedSyscallError>(std::move(*plan), mechanism, spec.errno_.format());
  if (programs)
    if (auto hung = armed->hang_up(spec, pod, context); !hung) return fail(hung.error());
  if (!sockets.operations.empty()) {
    auto cgroup = kSocketError.arm(api::Fault{sockets}, pod, context);
    if (!cgroup) return fail(cgroup.error());
    armed->add(std::move(*cgroup));
  }
  return armed;
}

Result<std::unique_ptr<ArmedFault>> arm(const api::Fault& fault, const Pod& pod,
                                        const ArmContext& context) {
  const auto* spec = std::get_if<api::SyscallError>(&fault.spec);
  if (spec == nullptr) return fail(Errc::kInternal, "syscallError was given another fault");
  auto armed = arm_syscall_error(*spec, pod, context);
  if (!armed) return fail(armed.error().with_context("syscallError on " + pod.ref.id()));
  return armed;
}

// Supported when a rung is there; arm() tells about each call that is asked for.
api::FaultSupport support(const FeatureProbe& features) {
  api::FaultSupport answer{.fault = "syscallError"};
  const RungReasons reasons = reasons_of(features);
  std::string missing;
  const auto rung = [&](const std::string& name, const std::string& reason) {
    if (reason.empty())
      answer.mechanism += (answer.mechanism.empty() ? "" : ", ") + name;
    else
      missing += (missing.empty() ? "" : "; ") + name + ": " + reason;
  };
  rung(kOnCall, reasons.system_call);
  rung(security_word(features), reasons.security);
  rung("cgroup (socket calls only)", reasons.cgroup);
  answer.supported = !answer.mechanism.empty();
  if (!answer.supported) answer.reason = missing;
  return answer;
}

}  // namespace

const FaultType kSyscallError{"syscallError", support, arm, true};

}  // namespace faultline::agent
