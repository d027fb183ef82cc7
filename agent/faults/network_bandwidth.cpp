// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/network_bandwidth.h"

#include <algorithm>
#include <utility>

#include "agent/faults/delay_line/packet_budget.h"
#include "agent/faults/edt/edt_line.h"
#include "agent/faults/narrow_link/narrow_link.h"
#include "agent/faults/waiting.h"
#include "agent/faults/worst_case.h"
#include "agent/kernel/tc.h"

namespace faultline::agent {
namespace {

class ArmedBandwidth final : public ArmedFault {
 public:
  explicit ArmedBandwidth(std::unique_ptr<DelayLine> line) : line_(std::move(line)) {}

  void renew(KtimeNs deadline) override { line_->renew(deadline); }
  Result<> follow(const PeerSets& peers) override { return line_->follow(peers); }
  Result<FaultCounters> read() const override {
    DelayLineCounters counters;
    auto out = read_line(*line_, counters);
    if (!out) return out;
    const DelayLineStats& link = counters.worker;
    out->injected = link.waited + link.dropped;
    out->first_injected = link.first_hit;
    out->last_injected = link.last_hit;
    out->link = api::LinkUse{.dropped = link.dropped,
                             .bytes = link.behind_bytes,
                             .seconds = static_cast<double>(link.behind_ns) / 1e9};
    return out;
  }
  Result<> disarm() override { return line_->close(); }
  std::string mechanism() const override { return kDelayLineMechanism; }

 private:
  std::unique_ptr<DelayLine> line_;
};

// What waits, one more packet as long as can be for each direction, and what came with it.
std::size_t memory_for(const fl_link_config& link) {
  constexpr std::size_t kLeast = 16 << 20;
  return std::clamp(4 * link_queue_bytes(link), kLeast, DelayLine::kMostBytes);
}

Result<std::unique_ptr<ArmedFault>> arm_line(const api::NetworkBandwidth& spec,
                                             const std::vector<IfIndex>& devices,
                                             const ArmContext& context) {
  const auto means = tc_means(context.features);
  if (!means) return fail(means.error());
  const fl_link_config link = link_config(spec);
  const std::chrono::nanoseconds queue(link.queue_ns);
  auto line = DelayLine::open({.filter = spec,
                               .rule = std::make_unique<LinkRule>(link),
                               .most_bytes = memory_for(link),
                               .usual = queue,
                               .longest = queue,
                               .packets = link_packets(spec),
                               .devices = devices,
                               .peers = context.peers,
                               .seed = context.seed,
                               .deadline = context.deadline,
                               .means = *means});
  if (!line) return fail(line.error());
  return std::make_unique<ArmedBandwidth>(std::move(*line));
}

Result<std::unique_ptr<ArmedFault>> arm(const api::Fault& fault, const Pod& pod,
                                        const ArmContext& context) {
  const auto* spec = std::get_if<api::NetworkBandwidth>(&fault.spec);
  if (!spec) return fail(Errc::kInternal, "networkBandwidth was given another fault's settings");
  const auto devices = host_devices(pod);
  if (!devices) return fail(devices.error());
  if (auto done = fits(*spec, PacketBudget::of_process().limit()); !done)
    return fail(done.error().with_context("networkBandwidth on " + pod.ref.id()));
  // By EDT a flood ends in the backlog of the one CPU that keeps the order of the link, and takes
  // packets of others with it (docs/decisions/0013-bandwidth.md): only where there is nothing else.
  auto armed = context.features.has(KernelFeature::kTun) ? arm_line(*spec, *devices, context)
                                                         : arm_edt(*spec, *devices, context);
  if (!armed) return fail(armed.error().with_context("networkBandwidth on " + pod.ref.id()));
  return armed;
}

api::FaultSupport support(const FeatureProbe& features) {
  auto answer = waiting_support("networkBandwidth", features);
  if (answer.supported && features.has(KernelFeature::kTun)) answer.mechanism = kDelayLineMechanism;
  return answer;
}

}  // namespace

const FaultType kNetworkBandwidth{"networkBandwidth", support, arm};

}  // namespace faultline::agent
