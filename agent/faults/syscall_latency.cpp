// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/syscall_latency.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "agent/faults/syscalls/attach.h"
#include "agent/faults/syscalls/latency_node.h"
#include "agent/faults/syscalls/latency_plan.h"
#include "agent/kernel/lease.h"

namespace faultline::agent {
namespace {

using LatencySeat = Seat<SyscallLatencyNode>;

DelayModel model_of(const api::SyscallLatency& spec, std::uint64_t seed) {
  api::NetworkLatency same;
  same.latency = spec.latency;
  same.jitter = spec.jitter;
  same.distribution = spec.distribution;
  return {same, seed};
}

class ArmedSyscallLatency final : public ArmedFault {
 public:
  explicit ArmedSyscallLatency(LatencyPlan plan)
      : plan_(std::move(plan)),
        mechanism_(describe_plan(plan_.calls, call_words(plan_.way), security_words(plan_.way))) {}
  ~ArmedSyscallLatency() override { end(); }

  Result<> hang_up(const api::SyscallLatency& spec, const Pod& pod, const ArmContext& context) {
    auto seat = LatencySeat::take([this](SyscallLatencyNode& node) { return node.join(plan_); });
    if (!seat) return fail(seat.error());
    seat_ = std::move(*seat);
    fl_call_fault& fault = seat_->slot();
    if (auto filled = fill_call_fault(fault, spec, 0, plan_.calls.calls, pod); !filled)
      return filled;
    fault.seed = context.seed;
    const DelayModel model = model_of(spec, context.seed);
    node().fill(seat_->slot_number(), plan_.way, model);
    arm_lease(fault.lease, context.deadline);
    if (plan_.way != LatencyWay::kSpin)
      if (auto served = node().serve(seat_->slot_number(), model); !served) return served;
    return seat_->show(pod.cgroup, pod.cgroup_path);
  }

  void renew(KtimeNs deadline) override {
    renew_lease(seat_->slot().lease, deadline);
    note_health();
  }

  Result<FaultCounters> read() const override {
    FaultCounters counters = read_call_counters(seat_->slot(), plan_.calls.calls);
    counters.errors += seat_->missed();
    counters.added_latency = node().waits(seat_->slot_number());
    return counters;
  }

  Result<> disarm() override {
    note_health();
    const Result<> left = seat_->leave();
    end();
    return left ? health_ : left;
  }
  std::string mechanism() const override { return mechanism_; }

 private:
  [[nodiscard]] SyscallLatencyNode& node() const { return seat_->node(); }

  // Whether calls were delayed all the time; the programs' node may begin to serve again.
  void note_health() {
    if (!health_) return;
    health_ = node().check();
    if (!health_)
      spdlog::warn("syscallLatency: {}; calls are not delayed any more", health_.error().message);
  }
  // Before somebody else may get the slot.
  void end() {
    if (!seat_) return;
    if (auto left = seat_->leave(); !left) spdlog::warn("{}", left.error().message);
    node().end(seat_->slot_number());
  }

  const LatencyPlan plan_;
  const std::string mechanism_;
  std::unique_ptr<LatencySeat> seat_;
  Result<> health_;
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
