// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/peers.h"

#include <algorithm>
#include <set>

#include "report/format.h"

namespace faultline::controller {
namespace {

using Addresses = std::set<std::string>;

// "spec.faults[1].networkLoss.except.peer"
std::string field_of(const api::ExperimentSpec& spec, const api::PeerAddresses& set) {
  const auto index = static_cast<std::size_t>(set.index);
  return "spec.faults[" + std::to_string(index) + "]." + std::string(spec.faults[index].name()) +
         (set.except ? ".except.peer" : ".peer");
}

// Null: the fault has no such selector.
const api::Selector* selector_of(const api::Fault& fault, bool except) {
  const api::NetworkFilter* filter = api::network_filter(fault);
  if (filter == nullptr) return nullptr;
  if (!except) return filter->peer ? &*filter->peer : nullptr;
  return filter->except && filter->except->peer ? &*filter->except->peer : nullptr;
}

Addresses addresses_of(const api::Selector& selector, const PodLists& pods) {
  Addresses found;
  for (const std::vector<api::PodRef>* list : pods)
    for (const api::PodRef& pod : *list)
      if (api::matches(selector, pod)) found.insert(pod.addresses.begin(), pod.addresses.end());
  return found;
}

}  // namespace

bool names_peers(const api::ExperimentSpec& spec) {
  return std::ranges::any_of(spec.faults, [](const api::Fault& fault) {
    return selector_of(fault, false) != nullptr || selector_of(fault, true) != nullptr;
  });
}

ResolvedPeers resolve_peers(const api::ExperimentSpec& spec, const PodLists& pods,
                            const std::vector<KnownService>& services) {
  ResolvedPeers out;
  for (std::size_t i = 0; i < spec.faults.size(); ++i)
    for (const bool except : {false, true}) {
      const api::Selector* selector = selector_of(spec.faults[i], except);
      if (selector == nullptr) continue;
      api::PeerAddresses set{.index = static_cast<std::int64_t>(i), .except = except};
      const Addresses of_pods = addresses_of(*selector, pods);
      Addresses all = of_pods;
      for (const KnownService& service : services) {
        const auto leads_to_peer = [&](const std::string& a) { return of_pods.contains(a); };
        if (std::ranges::none_of(service.endpoints, leads_to_peer)) continue;
        if (except || std::ranges::all_of(service.endpoints, leads_to_peer))
          all.insert(service.addresses.begin(), service.addresses.end());
        else if (!service.addresses.empty())
          out.left_out.push_back(field_of(spec, set) + ", Service " + service.id +
                                 ": it leads to other pods, too, so that packets to its address " +
                                 report::join(service.addresses, ", ") + " are not hit");
      }
      set.addresses.assign(all.begin(), all.end());
      out.sets.push_back(std::move(set));
    }
  return out;
}

Result<> peers_are_known(const api::ExperimentSpec& spec, const PodLists& pods,
                         const ResolvedPeers& peers) {
  for (const api::PeerAddresses& set : peers.sets) {
    const auto& fault = spec.faults[static_cast<std::size_t>(set.index)];
    const api::Selector& selector = *selector_of(fault, set.except);
    const std::string field = field_of(spec, set);
    if (set.addresses.size() > kMostPeerAddresses)
      return fail(Errc::kInvalid, field + ": stands for " + std::to_string(set.addresses.size()) +
                                      " addresses, at most " + std::to_string(kMostPeerAddresses) +
                                      " are possible; name their networks in cidrs instead");
    if (!set.addresses.empty()) continue;
    std::size_t matching = 0;
    for (const std::vector<api::PodRef>* list : pods)
      matching += static_cast<std::size_t>(
          std::ranges::count_if(*list, [&](const auto& pod) { return matches(selector, pod); }));
    return fail(Errc::kNotFound,
                field + ": " +
                    (matching == 0 ? "no pod matches (" + report::selector_words(selector) + ")"
                                   : report::plural(matching, "pod matches", "pods match") + " (" +
                                         report::selector_words(selector) +
                                         "), and no agent has told an address of its own") +
                    (set.except ? ", so that nobody would be left alone"
                                : ", so that nothing would be hit"));
  }
  return {};
}

}  // namespace faultline::controller
