// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/network_latency.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "agent/faults/delay_line/delay_line.h"
#include "agent/faults/delay_line/packet_budget.h"
#include "agent/faults/edt/edt_line.h"
#include "agent/faults/waiting.h"
#include "agent/faults/worst_case.h"
#include "agent/kernel/tc.h"

namespace faultline::agent {
namespace {

// What may be in flight at 25 Gbit/s (more than one thread copies in and out) within the longest
// usual delay.
std::size_t memory_for(const DelayModel& model) {
  constexpr double kBytesPerSecond = 25e9 / 8;
  constexpr double kLeast = 16 << 20;
  const double seconds = std::chrono::duration<double>(model.high()).count();
  return static_cast<std::size_t>(
      std::clamp(seconds * kBytesPerSecond, kLeast, static_cast<double>(DelayLine::kMostBytes)));
}

class ArmedLatency final : public ArmedFault {
 public:
  explicit ArmedLatency(std::unique_ptr<DelayLine> line) : line_(std::move(line)) {}

  void renew(KtimeNs deadline) override { line_->renew(deadline); }
  Result<> follow(const PeerSets& peers) override { return line_->follow(peers); }
  Result<FaultCounters> read() const override {
    DelayLineCounters counters;
    auto out = read_line(*line_, counters);
    if (!out) return out;
    out->injected = counters.injected;
    out->first_injected = counters.first;
    out->last_injected = counters.last;
    return out;
  }
  Result<> disarm() override { return line_->close(); }
  std::string mechanism() const override { return kDelayLineMechanism; }

 private:
  std::unique_ptr<DelayLine> line_;
};

api::FaultSupport support(const FeatureProbe& features) {
  return waiting_support("networkLatency", features);
}

Result<std::unique_ptr<ArmedFault>> arm_line(const api::NetworkLatency& spec,
                                             const std::vector<IfIndex>& devices,
                                             const ArmContext& context) {
  const auto means = tc_means(context.features);
  if (!means) return fail(means.error());
  const DelayModel model(spec, context.seed);
  auto line = DelayLine::open({.filter = spec,
                               .share = spec.probability,
                               .rule = std::make_unique<LatencyRule>(model),
                               .most_bytes = memory_for(model),
                               .usual = model.high(),
                               .longest = DelayModel::kMax,
                               .packets = FL_PACKETS_AS_TAKEN,
                               .devices = devices,
                               .peers = context.peers,
                               .seed = context.seed,
                               .deadline = context.deadline,
                               .means = *means});
  if (!line) return fail(line.error());
  return std::make_unique<ArmedLatency>(std::move(*line));
}

}  // namespace

Result<std::unique_ptr<ArmedFault>> arm_network_latency(const api::Fault& fault, const Pod& pod,
                                                        const ArmContext& context) {
  const auto* spec = std::get_if<api::NetworkLatency>(&fault.spec);
  if (!spec) return fail(Errc::kInternal, "networkLatency was given another fault's settings");
  const auto devices = host_devices(pod);
  if (!devices) return fail(devices.error());
  if (auto done = fits(*spec, context.before, PacketBudget::of_process().limit()); !done)
    return fail(done.error().with_context("networkLatency on " + pod.ref.id()));
  auto armed = context.features.has(KernelFeature::kFq) ? arm_edt(*spec, *devices, context)
                                                        : arm_line(*spec, *devices, context);
  if (!armed) return fail(armed.error().with_context("networkLatency on " + pod.ref.id()));
  return armed;
}

const FaultType kNetworkLatency{"networkLatency", support, arm_network_latency};

}  // namespace faultline::agent
