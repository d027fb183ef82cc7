// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/network_loss.h"

#include <utility>
#include <vector>

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

class ArmedLoss final : public ArmedFault {
 public:
  ArmedLoss(std::shared_ptr<const PassingTable> passing, Skeleton<network_loss_bpf> skeleton,
            FilterMaps addresses, std::vector<Link> links, TcMeans means)
      : passing_(std::move(passing)),
        skeleton_(std::move(skeleton)),
        addresses_(std::move(addresses)),
        links_(std::move(links)),
        means_(means) {}

  void renew(KtimeNs deadline) override { renew_lease(skeleton_->bss->fl_lease, deadline); }
  Result<> follow(const PeerSets& peers) override { return addresses_.follow(peers); }

  Result<FaultCounters> read() const override {
    const auto counters = read_counters(bpf_map__fd(skeleton_->maps.fl_counters));
    if (!counters) return fail(counters.error());
    return counted_by(*counters);
  }

  Result<> disarm() override {
    disarm_lease(skeleton_->bss->fl_lease);
    links_.clear();
    return {};
  }
  std::string mechanism() const override { return name(means_); }

 private:
  std::shared_ptr<const PassingTable> passing_;
  Skeleton<network_loss_bpf> skeleton_;
  FilterMaps addresses_;
  std::vector<Link> links_;
  TcMeans means_;
};

Result<> attach_to(TcMeans means, const network_loss_bpf& object, const Pod& pod,
                   std::vector<Link>& links) {
  for (const PodInterface& interface : pod.interfaces) {
    if (interface.host_index == IfIndex{})
      return fail(Errc::kUnsupported,
                  "interface " + interface.name +
                      " has no device on the host's side (macvlan, ipvlan or SR-IOV), and inside "
                      "the pod tc cannot drop what is sent without send() failing");
    auto link = attach_tc(means, bpf_program__fd(object.progs.fl_loss_to), interface.host_index,
                          TcHook::kIngress);
    if (!link) return fail(link.error().with_context(interface.host_name));
    link->move_up();
    links.push_back(std::move(*link));
  }
  return {};
}

Result<> attach_from(TcMeans means, const network_loss_bpf& object, const Pod& pod,
                     std::vector<Link>& links) {
  for (const PodInterface& interface : pod.interfaces) {
    auto link = attach_tc(means, bpf_program__fd(object.progs.fl_loss_from), interface.pod_index,
                          TcHook::kIngress, pod.netns_path);
    if (!link) return fail(link.error().with_context(interface.name + " in the pod"));
    link->move_up();
    links.push_back(std::move(*link));
  }
  return {};
}

Result<std::unique_ptr<ArmedFault>> arm_loss(const api::NetworkLoss& spec, const Pod& pod,
                                             const ArmContext& context) {
  if (pod.interfaces.empty())
    return fail(Errc::kUnsupported, "the pod has no network interface of its own");
  const auto config = make_loss_config(spec);
  if (!config) return fail(config.error());
  const auto filter = make_filter(spec, context.peers);
  if (!filter) return fail(filter.error());
  const auto means = tc_means(context.features);
  if (!means) return fail(means.error());
  const bool to = spec.direction != api::Direction::from;
  const bool from = spec.direction != api::Direction::to;

  auto skeleton = Skeleton<network_loss_bpf>::open("network_loss");
  if (!skeleton) return fail(skeleton.error());
  auto passing = PassingTable::of_process();
  if (!passing) return fail(passing.error());
  if (auto done = (*passing)->enter(**skeleton); !done) return fail(done.error());
  network_loss_bpf& object = **skeleton;
  object.rodata->fl_config = *config;
  object.rodata->fl_filter = filter->rules;
  object.rodata->fl_seed = context.seed;
  load_only(spec.direction, object.progs.fl_loss_to, object.progs.fl_loss_from);
  if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());
  auto addresses = FilterMaps::fill(spec, *filter, bpf_map__fd(object.maps.fl_peers),
                                    bpf_map__fd(object.maps.fl_exceptions));
  if (!addresses) return fail(addresses.error());

  std::vector<Link> links;
  if (to)
    if (auto attached = attach_to(*means, object, pod, links); !attached)
      return fail(attached.error());
  if (from)
    if (auto attached = attach_from(*means, object, pod, links); !attached)
      return fail(attached.error());
  arm_lease(object.bss->fl_lease, context.deadline);
  return std::make_unique<ArmedLoss>(std::move(*passing), std::move(*skeleton),
                                     std::move(*addresses), std::move(links), *means);
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
