// SPDX-License-Identifier: Apache-2.0
// networkLatency by EDT (bpf/faults/network_latency_edt.bpf.c).
#include <algorithm>
#include <utility>

#include "agent/faults/delay_line/delay_line.h"
#include "agent/faults/delay_line/delay_slots.h"
#include "agent/faults/delay_line/packet_budget.h"
#include "agent/faults/edt/edt_line.h"
#include "agent/faults/edt/edt_memory.h"
#include "agent/kernel/dice.h"
#include "agent/kernel/passing.h"
#include "agent/kernel/skeleton.h"
#include "edt_abi.h"
#include "network_latency_edt.skel.h"

namespace faultline::agent {
namespace {

// fq counts packets, we count bytes (fl_edt_config::most_bytes): it must never be the one to drop.
constexpr std::uint32_t kFqPackets = 1U << 22;

class ArmedEdt final : public ArmedFault {
 public:
  ArmedEdt(std::shared_ptr<const PassingTable> passing, std::shared_ptr<const EdtMemory> memory,
           EdtPair pair, Skeleton<network_latency_edt_bpf> skeleton)
      : passing_(std::move(passing)),
        skeleton_(std::move(skeleton)),
        rest_(std::move(memory), &skeleton_->bss->fl_edt_bytes),
        line_(std::move(pair), edt_object(*skeleton_), [](const fl_counters& counters) {
          return Result<EdtLine::Taken>({.packets = counters.injected});
        }) {}

  EdtLine& line() { return line_; }
  void renew(KtimeNs deadline) override { line_.renew(deadline); }
  Result<> follow(const PeerSets& peers) override { return line_.follow(peers); }
  Result<FaultCounters> read() const override { return line_.read(); }
  Result<> disarm() override { return line_.disarm(); }
  std::string mechanism() const override { return kEdtMechanism; }

 private:
  std::shared_ptr<const PassingTable> passing_;
  Skeleton<network_latency_edt_bpf> skeleton_;
  EdtRest rest_;  // after the line
  EdtLine line_;
};

// With a probability packets of one flow have different delays, too.
bool differs_within_flows(const api::NetworkLatency& spec) {
  return spec.jitter.value.count() > 0 || spec.probability.value < 1;
}

// Drawn beforehand, in the order in which packets use them: jitter, its distribution and its
// correlation are DelayModel's, as they are for the delay line.
void draw_delays(const api::NetworkLatency& spec, std::uint64_t seed, network_latency_edt_bpf& o) {
  DelayModel model(spec, seed);
  const bool jitter = spec.jitter.value.count() > 0;
  o.rodata->fl_edt.delays = jitter ? FL_EDT_DELAYS : 1;
  std::uint64_t longest = 0;
  for (std::uint32_t i = 0; i < o.rodata->fl_edt.delays; ++i) {
    o.rodata->fl_edt_delays[i] = static_cast<std::uint64_t>(model.next().count());
    longest = std::max<std::uint64_t>(longest, o.rodata->fl_edt_delays[i]);
  }
  o.rodata->fl_edt.longest_us = longest / 1000 + 1;
  if (differs_within_flows(spec)) o.rodata->fl_edt.order = FL_EDT_ORDER_KEPT;
}

}  // namespace

Result<std::unique_ptr<ArmedFault>> arm_edt(const api::NetworkLatency& spec,
                                            const std::vector<IfIndex>& devices,
                                            const ArmContext& context) {
  const auto means = tc_means(context.features);
  if (!means) return fail(means.error());
  auto pair = EdtPair::create({.packets = kFqPackets,
                               .queue_bits = FL_EDT_QUEUE_BITS,
                               .keep_order = differs_within_flows(spec)});
  if (!pair) return fail(pair.error());
  const auto filter = make_filter(spec, context.peers);
  if (!filter) return fail(filter.error());
  fl_line_config config = edt_config(*pair, devices);
  config.threshold = fl_threshold(spec.probability.value);
  auto skeleton = Skeleton<network_latency_edt_bpf>::open("network_latency_edt");
  if (!skeleton) return fail(skeleton.error());
  network_latency_edt_bpf& object = **skeleton;
  load_only(spec.direction, object.progs.fl_edt_to, object.progs.fl_edt_from);
  object.rodata->fl_seed = context.seed;
  object.rodata->fl_config = config;
  object.rodata->fl_filter = filter->rules;
  auto& edt = object.rodata->fl_edt;
  edt.hop_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(kEdtHop).count());
  edt.most_bytes = static_cast<std::int64_t>(PacketBudget::of_process().limit());
  draw_delays(spec, context.seed, object);
  const auto slots = delay_slots(DelayModel(spec, context.seed).high());
  if (auto done = set_delay_slots(object, slots, DelayModel::kMax); !done)
    return fail(done.error());
  auto passing = PassingTable::of_process();
  if (!passing) return fail(passing.error());
  if (auto done = (*passing)->enter(object); !done) return fail(done.error());
  auto memory = EdtMemory::of_process();
  if (!memory) return fail(memory.error());
  if (auto done = (*memory)->enter(object); !done) return fail(done.error());
  if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());
  auto armed = std::make_unique<ArmedEdt>(std::move(*passing), std::move(*memory), std::move(*pair),
                                          std::move(*skeleton));
  if (auto done = armed->line().fill(spec, *filter); !done) return fail(done.error());
  if (auto done = armed->line().attach(*means, spec.direction, devices, context.deadline); !done)
    return fail(done.error());
  return armed;
}

}  // namespace faultline::agent
