// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/edt/edt_line.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "agent/faults/delay_line/delay_line.h"
#include "agent/faults/delay_line/pass_mark.h"
#include "agent/faults/edt/edt_pair.h"
#include "agent/kernel/counters.h"
#include "agent/kernel/dice.h"
#include "agent/kernel/histogram_reader.h"
#include "agent/kernel/lease.h"
#include "agent/kernel/net_filter.h"
#include "agent/kernel/skeleton.h"
#include "agent/kernel/tc.h"
#include "edt_abi.h"
#include "network_latency_edt.skel.h"

namespace faultline::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// fq counts packets, we count bytes (fl_edt_config::most_bytes): it must never be the one to drop.
constexpr std::uint32_t kFqPackets = 1U << 22;

class ArmedEdt final : public ArmedFault {
 public:
  ArmedEdt(EdtPair pair, Skeleton<network_latency_edt_bpf> skeleton)
      : pair_(std::move(pair)), skeleton_(std::move(skeleton)) {}
  ~ArmedEdt() override { links_.clear(); }  // before the device

  Result<> attach(TcMeans means, const api::NetworkLatency& spec,
                  const std::vector<IfIndex>& devices);
  void renew(KtimeNs deadline) override { renew_lease(skeleton_->bss->fl_lease, deadline); }
  Result<FaultCounters> read() const override;
  Result<> disarm() override;
  std::string mechanism() const override { return kEdtMechanism; }

 private:
  [[nodiscard]] Result<FaultCounters> read_counters_and_returned(std::uint64_t& returned) const;

  EdtPair pair_;
  Skeleton<network_latency_edt_bpf> skeleton_;
  std::vector<Link> links_;
  std::uint64_t lost_ = 0;  // known when it is closed
};

Result<> ArmedEdt::attach(TcMeans means, const api::NetworkLatency& spec,
                          const std::vector<IfIndex>& devices) {
  const auto keep = [this](Result<Link> link) -> Result<> {
    if (!link) return fail(link.error());
    link->move_up();
    links_.push_back(std::move(*link));
    return {};
  };
  const auto& programs = skeleton_->progs;
  // The way back before the way in.
  if (auto done = keep(attach_tc(means, bpf_program__fd(programs.fl_edt_turn), pair_.far_end(),
                                 TcHook::kIngress, pair_.far_netns()));
      !done)
    return done;
  if (auto done = keep(attach_tc(means, bpf_program__fd(programs.fl_edt_return), pair_.near_end(),
                                 TcHook::kIngress));
      !done)
    return done;
  for (const IfIndex device : devices) {
    if (spec.direction != api::Direction::from)
      if (auto done =
              keep(attach_tc(means, bpf_program__fd(programs.fl_edt_to), device, TcHook::kIngress));
          !done)
        return done;
    if (spec.direction != api::Direction::to)
      if (auto done = keep(
              attach_tc(means, bpf_program__fd(programs.fl_edt_from), device, TcHook::kEgress));
          !done)
        return done;
  }
  return {};
}

Result<FaultCounters> ArmedEdt::read_counters_and_returned(std::uint64_t& returned) const {
  const auto& maps = skeleton_->maps;
  // What came back before what was taken, so that the difference is never negative.
  const auto back = read_per_cpu<fl_delay_counters>(bpf_map__fd(maps.fl_delay_counters));
  if (!back) return fail(back.error());
  const auto taken = read_counters(bpf_map__fd(maps.fl_counters));
  if (!taken) return fail(taken.error());
  FaultCounters out;
  out.matched = taken->matched;
  out.injected = taken->injected;
  out.errors = taken->errors;
  out.first_injected = {taken->first_ns};
  returned = 0;
  for (const fl_delay_counters& cpu : *back) {
    returned += cpu.returned;
    out.last_injected.ns = std::max<std::uint64_t>(out.last_injected.ns, cpu.last_ns);
  }
  return out;
}

Result<FaultCounters> ArmedEdt::read() const {
  std::uint64_t returned = 0;
  auto out = read_counters_and_returned(returned);
  if (!out) return out;
  const auto added = HistogramGrowth().take(bpf_map__fd(skeleton_->maps.fl_edt_added));
  if (!added) return fail(added.error());
  out->added_latency = *added;
  out->lost = lost_;
  return out;
}

Result<> ArmedEdt::disarm() {
  constexpr auto kPatience = milliseconds(200);  // without one that comes back; above kEdtHop
  disarm_lease(skeleton_->bss->fl_lease);
  std::uint64_t returned = 0, before = 0;
  auto counters = read_counters_and_returned(returned);
  auto patient_until = steady_clock::now() + kPatience;
  const auto end = steady_clock::now() + milliseconds(1500);
  while (counters && returned < counters->injected) {
    const auto now = steady_clock::now();
    if (returned > before) patient_until = now + kPatience;
    if (now > std::min(end, patient_until)) break;
    before = returned;
    std::this_thread::sleep_for(std::chrono::microseconds(500));
    counters = read_counters_and_returned(returned);
  }
  // The way in before the way back.
  while (!links_.empty()) links_.pop_back();
  counters = read_counters_and_returned(returned);
  if (!counters) return fail(counters.error());
  lost_ = counters->injected - std::min(counters->injected, returned);
  if (lost_ > 0)
    return fail(Errc::kInternal, std::to_string(lost_) + " of " +
                                     std::to_string(counters->injected) +
                                     " packets did not come back from fq");
  return {};
}

// Drawn beforehand, in the order in which packets use them: jitter, its distribution and its
// correlation are DelayModel's, as they are for the delay line.
void draw_delays(const api::NetworkLatency& spec, std::uint64_t seed, network_latency_edt_bpf& o) {
  DelayModel model(spec, seed);
  const bool jitter = spec.jitter.value.count() > 0;
  o.rodata->fl_edt.delays = jitter ? FL_EDT_DELAYS : 1;
  std::uint64_t longest = 0;
  for (std::uint32_t i = 0; i < o.rodata->fl_edt.delays; ++i) {
    const auto delay = static_cast<std::uint64_t>(model.next().count());
    o.rodata->fl_edt_delays[i] = delay;
    longest = std::max(longest, delay);
  }
  if (jitter)
    o.rodata->fl_edt.order =
        longest > o.rodata->fl_edt.hop_ns ? FL_EDT_ORDER_GRID : FL_EDT_ORDER_EXACT;
}

}  // namespace

Result<std::unique_ptr<ArmedFault>> arm_edt(const api::NetworkLatency& spec,
                                            const std::vector<IfIndex>& devices,
                                            const ArmContext& context) {
  const auto filter = make_filter(spec, context.peer_addresses);
  if (!filter) return fail(filter.error());
  const auto means = tc_means(context.features);
  if (!means) return fail(means.error());
  auto pair = EdtPair::create(kFqPackets);
  if (!pair) return fail(pair.error());
  auto skeleton = Skeleton<network_latency_edt_bpf>::open("network_latency_edt");
  if (!skeleton) return fail(skeleton.error());
  network_latency_edt_bpf& object = **skeleton;
  object.rodata->fl_seed = context.seed;
  auto& edt = object.rodata->fl_edt;
  edt.hop_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(kEdtHop).count());
  edt.most_bytes = static_cast<std::int64_t>(DelayLine::kMostBytes);
  draw_delays(spec, context.seed, object);
  auto& config = object.rodata->fl_config;
  config.threshold = fl_threshold(spec.probability.value);
  config.tap_ifindex = number(pair->near_end());
  config.mark = next_pass_mark();
  std::transform(devices.begin(), devices.end(), config.ifindex,
                 [](IfIndex device) { return number(device); });
  config.filter = *filter;
  if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());
  auto armed = std::make_unique<ArmedEdt>(std::move(*pair), std::move(*skeleton));
  arm_lease(object.bss->fl_lease, context.deadline);
  if (auto attached = armed->attach(*means, spec, devices); !attached)
    return fail(attached.error());
  return armed;
}

}  // namespace faultline::agent
