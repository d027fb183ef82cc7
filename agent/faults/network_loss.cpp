// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/network_loss.h"

#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "agent/faults/delay_line/delay_slots.h"
#include "agent/faults/edt/edt_line.h"
#include "agent/kernel/counters.h"
#include "agent/kernel/dice.h"
#include "agent/kernel/lease.h"
#include "agent/kernel/net_filter.h"
#include "agent/kernel/passing.h"
#include "agent/kernel/skeleton.h"
#include "agent/kernel/tc.h"
#include "network_loss.skel.h"

namespace faultline::agent {
namespace {

// Of GSO packets that are in the pair at once; each is there for microseconds.
constexpr std::uint32_t kPiecesInPair = 4096;

Result<> check_interfaces(const Pod& pod, api::Direction direction) {
  if (pod.interfaces.empty())
    return fail(Errc::kUnsupported, "the pod has no network interface of its own");
  if (pod.interfaces.size() > FL_DELAY_MAX_DEVICES)
    return fail(Errc::kUnsupported, "the pod has " + std::to_string(pod.interfaces.size()) +
                                        " interfaces, at most " +
                                        std::to_string(FL_DELAY_MAX_DEVICES) + " are supported");
  if (direction == api::Direction::from) return {};
  for (const PodInterface& interface : pod.interfaces)
    if (interface.host_index == IfIndex{})
      return fail(Errc::kUnsupported,
                  "interface " + interface.name +
                      " has no device on the host's side (macvlan, ipvlan or SR-IOV), and inside "
                      "the pod tc cannot drop what is sent without send() failing");
  return {};
}

// Devices on the host's side, of those interfaces that have one.
std::vector<IfIndex> devices_outside(const Pod& pod) {
  std::vector<IfIndex> devices;
  for (const PodInterface& interface : pod.interfaces)
    if (interface.host_index != IfIndex{}) devices.push_back(interface.host_index);
  return devices;
}

// Which of a piece of several packets are lost is often decided by dice, so that it must be cut.
bool may_need_cutting(const fl_loss_config& loss) {
  return loss.model != FL_LOSS_INDEPENDENT || (loss.loss > 0 && loss.loss < FL_CERTAIN);
}

// What fl_loss_outside writes into packets for fl_loss_from.
std::uint32_t make_decided(const PassingTable& passing) {
  for (std::random_device random;;)
    if (const std::uint32_t tag = 1 + random() % 0xffff; tag != passing.tag()) return tag;
}

class ArmedLoss final : public ArmedFault {
 public:
  ArmedLoss(std::shared_ptr<const PassingTable> passing, Skeleton<network_loss_bpf> skeleton,
            TcMeans means)
      : passing_(std::move(passing)), skeleton_(std::move(skeleton)), means_(means) {}

  // Before attach(). Errors: as FilterMaps::fill().
  Result<> fill(const api::NetworkLoss& spec, const NetFilter& filter);
  // Arms until `deadline`. With a pair, packets of the devices on the host's side are cut in it.
  Result<> attach(api::Direction direction, const Pod& pod, std::optional<EdtPair> pair,
                  KtimeNs deadline);

  void renew(KtimeNs deadline) override { renew_lease(skeleton_->bss->fl_lease, deadline); }
  Result<> follow(const PeerSets& peers) override { return addresses_.follow(peers); }
  Result<FaultCounters> read() const override;
  Result<> disarm() override {
    disarm_lease(skeleton_->bss->fl_lease);
    Result<> out;
    if (cut_) out = cut_->disarm();
    links_.clear();
    return out;
  }
  std::string mechanism() const override { return name(means_); }

 private:
  Result<> keep(Result<Link> link, const std::string& where);

  std::shared_ptr<const PassingTable> passing_;
  Skeleton<network_loss_bpf> skeleton_;
  TcMeans means_;
  FilterMaps addresses_;
  std::vector<Link> links_;
  std::optional<EdtLine> cut_;
};

Result<> ArmedLoss::fill(const api::NetworkLoss& spec, const NetFilter& filter) {
  auto addresses = FilterMaps::fill(spec, filter, bpf_map__fd(skeleton_->maps.fl_peers),
                                    bpf_map__fd(skeleton_->maps.fl_exceptions));
  if (!addresses) return fail(addresses.error());
  addresses_ = std::move(*addresses);
  return {};
}

Result<> ArmedLoss::keep(Result<Link> link, const std::string& where) {
  if (!link) return fail(link.error().with_context(where));
  link->move_up();
  links_.push_back(std::move(*link));
  return {};
}

Result<> ArmedLoss::attach(api::Direction direction, const Pod& pod, std::optional<EdtPair> pair,
                           KtimeNs deadline) {
  const auto& progs = skeleton_->progs;
  if (direction != api::Direction::to)
    for (const PodInterface& interface : pod.interfaces)
      if (auto done = keep(attach_tc(means_, bpf_program__fd(progs.fl_loss_from),
                                     interface.pod_index, TcHook::kIngress, pod.netns_path),
                           interface.name + " in the pod");
          !done)
        return done;
  if (pair) {
    const auto& maps = skeleton_->maps;
    const EdtObject object{.to = bpf_program__fd(progs.fl_loss_to),
                           .from = bpf_program__fd(progs.fl_loss_outside),
                           .turn = bpf_program__fd(progs.fl_loss_turn),
                           .back = bpf_program__fd(progs.fl_loss_return),
                           .counters = bpf_map__fd(maps.fl_counters),
                           .given = bpf_map__fd(maps.fl_delay_counters),
                           .added = bpf_map__fd(maps.fl_edt_added),
                           .peers = bpf_map__fd(maps.fl_peers),
                           .exceptions = bpf_map__fd(maps.fl_exceptions),
                           .lease = &skeleton_->bss->fl_lease};
    // All that goes through the pair counts as packets that follow.
    cut_.emplace(std::move(*pair), object,
                 [](const fl_counters&) { return Result<EdtLine::Taken>(EdtLine::Taken{}); });
    return cut_->attach(means_, direction, devices_outside(pod), deadline);
  }
  if (direction != api::Direction::from)
    for (const PodInterface& interface : pod.interfaces)
      if (auto done = keep(attach_tc(means_, bpf_program__fd(progs.fl_loss_to),
                                     interface.host_index, TcHook::kIngress),
                           interface.host_name);
          !done)
        return done;
  arm_lease(skeleton_->bss->fl_lease, deadline);
  return {};
}

Result<FaultCounters> ArmedLoss::read() const {
  // What came back before what was counted, as in EdtLine::read().
  FaultCounters line;
  if (cut_) {
    auto read = cut_->read();
    if (!read) return read;
    line = std::move(*read);
  }
  const auto counters = read_counters(bpf_map__fd(skeleton_->maps.fl_counters));
  if (!counters) return fail(counters.error());
  FaultCounters out = counted_by(*counters);
  out.lost = line.lost;
  out.held = line.held;
  out.stalled = line.stalled;
  return out;
}

Result<std::unique_ptr<ArmedFault>> arm_loss(const api::NetworkLoss& spec, const Pod& pod,
                                             const ArmContext& context) {
  if (auto done = check_interfaces(pod, spec.direction); !done) return fail(done.error());
  const auto config = make_loss_config(spec);
  if (!config) return fail(config.error());
  const auto filter = make_filter(spec, context.peers);
  if (!filter) return fail(filter.error());
  const auto means = tc_means(context.features);
  if (!means) return fail(means.error());
  const std::vector<IfIndex> devices = devices_outside(pod);
  std::optional<EdtPair> pair;
  if (may_need_cutting(*config) && !devices.empty()) {
    auto made = EdtPair::create({.packets = 0, .queue_bits = 0, .take_no_gso = true});
    if (!made) return fail(made.error().with_context("the pair of devices that cuts packets"));
    pair.emplace(std::move(*made));
  }

  auto skeleton = Skeleton<network_loss_bpf>::open("network_loss");
  if (!skeleton) return fail(skeleton.error());
  auto passing = PassingTable::of_process();
  if (!passing) return fail(passing.error());
  if (auto done = (*passing)->enter(**skeleton); !done) return fail(done.error());
  network_loss_bpf& object = **skeleton;
  object.rodata->fl_loss = *config;
  object.rodata->fl_filter = filter->rules;
  object.rodata->fl_seed = context.seed;
  load_only(spec.direction, object.progs.fl_loss_to, object.progs.fl_loss_from);
  if (pair) {
    load_only(spec.direction, object.progs.fl_loss_to, object.progs.fl_loss_outside);
    object.rodata->fl_config = edt_config(*pair, devices);
    object.rodata->fl_loss_decided = make_decided(**passing);
  } else {
    for (bpf_program* program :
         {object.progs.fl_loss_outside, object.progs.fl_loss_turn, object.progs.fl_loss_return})
      bpf_program__set_autoload(program, false);
  }
  bpf_program__set_autoload(object.progs.fl_edt_turn, false);
  if (auto done = set_delay_slots(object, kPiecesInPair, std::chrono::seconds(0)); !done)
    return fail(done.error());
  if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());
  auto armed = std::make_unique<ArmedLoss>(std::move(*passing), std::move(*skeleton), *means);
  if (auto done = armed->fill(spec, *filter); !done) return fail(done.error());
  if (auto done = armed->attach(spec.direction, pod, std::move(pair), context.deadline); !done)
    return fail(done.error());
  return armed;
}

Result<std::unique_ptr<ArmedFault>> arm(const api::Fault& fault, const Pod& pod,
                                        const ArmContext& context) {
  const auto* spec = std::get_if<api::NetworkLoss>(&fault.spec);
  if (spec == nullptr) return fail(Errc::kInternal, "networkLoss was given another fault");
  auto armed = arm_loss(*spec, pod, context);
  if (!armed) return fail(armed.error().with_context("networkLoss on " + pod.ref.id()));
  return armed;
}

api::FaultSupport support(const FeatureProbe& features) {
  api::FaultSupport answer{.fault = "networkLoss"};
  const auto means = tc_means(features);
  answer.supported = means.has_value();
  if (means)
    answer.mechanism = name(*means);
  else
    answer.reason = means.error().message;
  return answer;
}

}  // namespace

Result<fl_loss_config> make_loss_config(const api::NetworkLoss& loss) {
  fl_loss_config config{};
  config.loss = fl_threshold(loss.loss.value);
  if (!loss.burst) {
    config.model = loss.correlation.value > 0 ? FL_LOSS_CORRELATED : FL_LOSS_INDEPENDENT;
    config.correlation = fl_threshold(loss.correlation.value);
    return config;
  }
  config.model = FL_LOSS_BURST;
  const double bad = loss.burst->badLoss.value, good = loss.burst->goodLoss.value;
  config.bad_loss = fl_threshold(bad);
  config.good_loss = fl_threshold(good);
  if (!(loss.burst->length >= 1)) return fail(Errc::kInvalid, "burst.length must be 1 or more");
  if (bad < loss.loss.value || good > loss.loss.value)
    return fail(Errc::kInvalid, "burst: loss must be between goodLoss and badLoss");
  const double pi = bad > good ? (loss.loss.value - good) / (bad - good) : 1;
  config.start_bad = fl_threshold(pi);
  if (pi >= 1) return config;  // never leaves the bad state
  const double r = 1 / loss.burst->length;
  const double p = r * pi / (1 - pi);
  if (p > 1)
    return fail(Errc::kInvalid, "burst.length must be at least " + std::to_string(pi / (1 - pi)) +
                                    " for a loss of " + loss.loss.format());
  config.leave_bad = fl_threshold(r);
  config.enter_bad = fl_threshold(p);
  return config;
}

const FaultType kNetworkLoss{"networkLoss", support, arm};

}  // namespace faultline::agent
