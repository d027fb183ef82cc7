// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/network_latency.h"

#include <utility>
#include <vector>

#include "agent/faults/delay_line/delay_line.h"
#include "agent/faults/edt/edt_line.h"
#include "agent/kernel/tc.h"

namespace faultline::agent {
namespace {

constexpr const char* kMechanism = "delay-line";

class ArmedLatency final : public ArmedFault {
 public:
  explicit ArmedLatency(std::unique_ptr<DelayLine> line) : line_(std::move(line)) {}

  void renew(KtimeNs deadline) override { line_->renew(deadline); }
  Result<FaultCounters> read() const override {
    const auto counters = line_->counters();
    if (!counters) return fail(counters.error());
    FaultCounters out;
    out.matched = counters->matched;
    out.injected = counters->taken;
    out.errors = counters->errors;
    out.lost = counters->lost;
    out.first_injected = counters->first;
    out.last_injected = counters->last;
    out.added_latency = line_->added_latency();
    return out;
  }
  Result<> disarm() override { return line_->close(); }
  std::string mechanism() const override { return kMechanism; }

 private:
  std::unique_ptr<DelayLine> line_;
};

api::FaultSupport support(const FeatureProbe& features) {
  api::FaultSupport answer{.fault = "networkLatency"};
  if (const auto means = tc_means(features); !means) {
    answer.reason = means.error().message;
  } else if (features.has(KernelFeature::kFq)) {
    answer.mechanism = kEdtMechanism;
    if (features.has(KernelFeature::kTun))
      answer.mechanism += std::string(", ") + kMechanism + " (with jitter)";
  } else if (features.has(KernelFeature::kTun)) {
    answer.mechanism = kMechanism;
  } else {
    answer.reason = "edt needs the qdisc fq: " + features.reason(KernelFeature::kFq) +
                    "; delay-line needs TAP devices: " + features.reason(KernelFeature::kTun);
  }
  answer.supported = answer.reason.empty();
  return answer;
}

}  // namespace

Result<std::unique_ptr<ArmedFault>> arm_network_latency(const api::Fault& fault, const Pod& pod,
                                                        const ArmContext& context) {
  const auto* spec = std::get_if<api::NetworkLatency>(&fault.spec);
  if (!spec) return fail(Errc::kInternal, "networkLatency was given another fault's settings");
  std::vector<IfIndex> devices;
  for (const PodInterface& interface : pod.interfaces) {
    if (interface.host_index == IfIndex{})
      return fail(Errc::kUnsupported, "interface " + interface.name + " of " + pod.ref.id() +
                                          " has no host-side device (macvlan, ipvlan or SR-IOV)");
    devices.push_back(interface.host_index);
  }
  if (devices.empty())
    return fail(Errc::kUnsupported, pod.ref.id() + " has no network interface of its own");
  if (devices.size() > FL_DELAY_MAX_DEVICES)
    return fail(Errc::kUnsupported, pod.ref.id() + " has " + std::to_string(devices.size()) +
                                        " interfaces, at most " +
                                        std::to_string(FL_DELAY_MAX_DEVICES) + " are supported");
  const std::string where = "networkLatency on " + pod.ref.id();
  // With jitter the delay line: what fq lets go on two CPUs may meet in another order, and the
  // order within a flow is promised (docs/decisions/0011-edt.md).
  if (context.features.has(KernelFeature::kFq) && spec->jitter.value.count() == 0) {
    auto armed = arm_edt(*spec, devices, context);
    if (!armed) return fail(armed.error().with_context(where));
    return armed;
  }
  const auto means = tc_means(context.features);
  if (!means) return fail(means.error().with_context(where));
  auto line = DelayLine::open(*spec, devices, context.peer_addresses, context.seed,
                              context.deadline, *means);
  if (!line) return fail(line.error().with_context(where));
  return std::make_unique<ArmedLatency>(std::move(*line));
}

const FaultType kNetworkLatency{"networkLatency", support, arm_network_latency};

}  // namespace faultline::agent
