// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/syscall_error.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "agent/faults/socket_error.h"
#include "agent/faults/syscalls/attach.h"
#include "agent/faults/syscalls/error_node.h"
#include "agent/faults/syscalls/plan.h"
#include "agent/kernel/lease.h"

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

using ErrorSeat = Seat<SyscallErrorNode>;

Result<std::unique_ptr<ErrorSeat>> take_seat(const SyscallPlan& plan, const api::SyscallError& spec,
                                             const Pod& pod, const ArmContext& context) {
  auto seat = ErrorSeat::take([&](SyscallErrorNode& node) {
    return node.join(plan.calls, context.features.has(KernelFeature::kLsm));
  });
  if (!seat) return fail(seat.error());
  fl_call_fault& fault = (*seat)->slot();
  if (auto filled = fill_call_fault(fault, spec, spec.errno_.value, plan.calls, pod); !filled)
    return fail(filled.error());
  fault.seed = context.seed;
  if (auto shown = (*seat)->show(pod.cgroup, pod.cgroup_path); !shown) return fail(shown.error());
  arm_lease(fault.lease, context.deadline);
  return seat;
}

class ArmedSyscallError final : public ArmedFault {
 public:
  ArmedSyscallError(SyscallPlan plan, std::string mechanism, std::string errno_name)
      : plan_(std::move(plan)),
        mechanism_(std::move(mechanism)),
        errno_name_(std::move(errno_name)) {}

  void add(std::unique_ptr<ErrorSeat> seat) { seat_ = std::move(seat); }
  void add(std::unique_ptr<ArmedFault> cgroup) { cgroup_ = std::move(cgroup); }
  [[nodiscard]] const SyscallPlan& plan() const { return plan_; }

  void renew(KtimeNs deadline) override {
    if (seat_) renew_lease(seat_->slot().lease, deadline);
    if (cgroup_) cgroup_->renew(deadline);
  }

  Result<FaultCounters> read() const override {
    FaultCounters sum;
    if (seat_) {
      sum = read_call_counters(seat_->slot(), plan_.calls);
      sum.errors += seat_->missed();
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
    const Result<> left = seat_ ? seat_->leave() : Result<>{};
    const Result<> ended = cgroup_ ? cgroup_->disarm() : Result<>{};
    return left ? ended : left;
  }
  std::string mechanism() const override { return mechanism_; }

 private:
  SyscallPlan plan_;
  std::string mechanism_, errno_name_;
  std::unique_ptr<ErrorSeat> seat_;  // nullptr: cgroup hooks do it all
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
  if (programs) {
    auto seat = take_seat(armed->plan(), spec, pod, context);
    if (!seat) return fail(seat.error());
    armed->add(std::move(*seat));
  }
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
