// SPDX-License-Identifier: Apache-2.0
// networkBandwidth by EDT (bpf/faults/network_bandwidth_edt.bpf.c).
#include <algorithm>
#include <utility>

#include "agent/faults/delay_line/delay_slots.h"
#include "agent/faults/edt/edt_line.h"
#include "agent/faults/narrow_link/narrow_link.h"
#include "agent/kernel/counters.h"
#include "agent/kernel/passing.h"
#include "agent/kernel/skeleton.h"
#include "network_bandwidth_edt.skel.h"

namespace faultline::agent {
namespace {

// The link's queue is bounded before (link_abi.h): fq must never be the one to drop.
constexpr std::uint32_t kFqPackets = 1U << 22;

Result<fl_link_counters> read_link(int map) {
  const auto cpus = read_per_cpu<fl_link_counters>(map);
  if (!cpus) return fail(cpus.error());
  fl_link_counters sum{};
  for (const fl_link_counters& cpu : *cpus) {
    sum.taken += cpu.taken;
    sum.dropped += cpu.dropped;
    sum.bytes += cpu.bytes;
    sum.busy_ns += cpu.busy_ns;
    sum.last_ns = std::max(sum.last_ns, cpu.last_ns);
  }
  return sum;
}

class ArmedEdtBandwidth final : public ArmedFault {
 public:
  ArmedEdtBandwidth(std::shared_ptr<const PassingTable> passing, EdtPair pair,
                    Skeleton<network_bandwidth_edt_bpf> skeleton)
      : passing_(std::move(passing)),
        skeleton_(std::move(skeleton)),
        link_map_(bpf_map__fd(skeleton_->maps.fl_link_counters)),
        line_(std::move(pair), edt_object(*skeleton_),
              [map = link_map_](const fl_counters&) -> Result<EdtLine::Taken> {
                const auto link = read_link(map);
                if (!link) return fail(link.error());
                return EdtLine::Taken{.packets = link->taken, .dropped = link->dropped};
              }) {}

  EdtLine& line() { return line_; }
  void renew(KtimeNs deadline) override { line_.renew(deadline); }
  Result<> follow(const PeerSets& peers) override { return line_.follow(peers); }
  Result<FaultCounters> read() const override;
  Result<> disarm() override { return line_.disarm(); }
  std::string mechanism() const override { return kEdtMechanism; }

 private:
  std::shared_ptr<const PassingTable> passing_;
  Skeleton<network_bandwidth_edt_bpf> skeleton_;
  int link_map_;
  EdtLine line_;
};

Result<FaultCounters> ArmedEdtBandwidth::read() const {
  auto out = line_.read();
  if (!out) return out;
  const auto counted = read_counters(bpf_map__fd(skeleton_->maps.fl_counters));
  if (!counted) return fail(counted.error());
  const auto link = read_link(link_map_);
  if (!link) return fail(link.error());
  // The last that was hit: not every packet that comes back had to wait.
  out->last_injected.ns = std::max<std::uint64_t>(counted->last_ns, link->last_ns);
  out->link = api::LinkUse{.dropped = link->dropped,
                           .bytes = link->bytes,
                           .seconds = static_cast<double>(link->busy_ns) / 1e9};
  return out;
}

// Nobody goes round who need not: the order of a queue is that of one wait.
std::uint64_t longest_wait(const fl_link_config& link) {
  constexpr std::uint64_t kSlack = 20'000'000;  // the last packet's own time, and being late
  const auto longest =
      static_cast<std::uint64_t>(std::chrono::nanoseconds(kEdtLongestLink).count());
  return std::min<std::uint64_t>(link.queue_ns + kSlack, longest);
}

}  // namespace

Result<std::unique_ptr<ArmedFault>> arm_edt(const api::NetworkBandwidth& spec,
                                            const std::vector<IfIndex>& devices,
                                            const ArmContext& context) {
  const auto means = tc_means(context.features);
  if (!means) return fail(means.error());
  const bool cut = link_packets(spec) == FL_PACKETS_CUT;
  auto pair = EdtPair::create({.packets = kFqPackets,
                               .queue_bits = FL_LINK_QUEUE_BITS,
                               .take_no_gso = cut,
                               .keep_order = true});
  if (!pair) return fail(pair.error());
  const auto filter = make_filter(spec, context.peers);
  if (!filter) return fail(filter.error());
  fl_line_config config = edt_config(*pair, devices);
  config.packets = link_packets(spec);
  auto skeleton = Skeleton<network_bandwidth_edt_bpf>::open("network_bandwidth_edt");
  if (!skeleton) return fail(skeleton.error());
  network_bandwidth_edt_bpf& object = **skeleton;
  load_only(spec.direction, object.progs.fl_edt_to, object.progs.fl_edt_from);
  object.rodata->fl_seed = context.seed;
  object.rodata->fl_config = config;
  object.rodata->fl_filter = filter->rules;
  object.rodata->fl_link = link_config(spec);
  object.rodata->fl_link_hop_ns = longest_wait(object.rodata->fl_link);
  const std::chrono::nanoseconds queue(object.rodata->fl_link.queue_ns);
  if (auto done = set_delay_slots(object, delay_slots(queue), queue); !done)
    return fail(done.error());
  auto passing = PassingTable::of_process();
  if (!passing) return fail(passing.error());
  if (auto done = (*passing)->enter(object); !done) return fail(done.error());
  if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());
  auto armed = std::make_unique<ArmedEdtBandwidth>(std::move(*passing), std::move(*pair),
                                                   std::move(*skeleton));
  if (auto done = armed->line().fill(spec, *filter); !done) return fail(done.error());
  if (auto done = armed->line().attach(*means, spec.direction, devices, context.deadline); !done)
    return fail(done.error());
  return armed;
}

}  // namespace faultline::agent
