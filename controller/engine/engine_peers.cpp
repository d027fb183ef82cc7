// SPDX-License-Identifier: Apache-2.0
// The engine's side that follows whom the faults' peers stand for.
#include <algorithm>
#include <utility>

#include "controller/engine/node.h"

namespace faultline::controller {
namespace {

// Pods that come and go are seen when their agent says so. This is for nodes that fell silent.
constexpr std::chrono::seconds kLookAtPeersEvery{1};
// The pods of a node whose agent is away for a moment are still there. Later their addresses may be
// those of other pods.
constexpr std::chrono::minutes kPodsOfSilentNode{1};
// One that has just begun to lead does not know all nodes. Agents keep the peers that they have.
constexpr std::chrono::seconds kUntilNodesCame{10};

}  // namespace

void Engine::services(std::vector<KnownService> services, Instant now) {
  if (std::exchange(services_known_, true) && services == services_) return;
  services_ = std::move(services);
  resolve_all_peers(now);
  settle_all();
}

void Engine::resolve_all_peers(Instant now) {
  for (auto& [id, entry] : runs_)
    if (entry.run && !entry.run->over()) resolve_peers_of(entry, now);
}

void Engine::resolve_peers_of(Entry& entry, Instant now) {
  const api::ExperimentSpec& spec = entry.run->head().experiment.spec;
  entry.peers_check = now.steady + kLookAtPeersEvery;
  if (!names_peers(spec)) return;
  if (entry.peers_from == SteadyTime::max()) entry.peers_from = now.steady + kUntilNodesCame;
  if (now.steady < entry.peers_from) return;
  PodLists pods;
  for (const auto& [name, node] : nodes_)
    if (node->held > 0 || now.steady - node->last_seen <= kPodsOfSilentNode)
      pods.push_back(&node->pods);
  ResolvedPeers resolved = resolve_peers(spec, pods, services_);
  for (std::string& words : resolved.left_out)
    entry.run->remark({.from = {now.utc}, .to = {now.utc}, .reason = std::move(words)});
  if (rules_.in_cluster && !services_known_)
    entry.run->remark({.from = {now.utc},
                       .to = {now.utc},
                       .reason = "Services are not known: the API server has not listed them, so "
                                 "that packets to the address of one are taken for nobody's"});
  if (auto known = peers_are_known(spec, pods, resolved);
      !known && known.error().code == Errc::kInvalid) {
    // More than an agent takes: it goes on with those that it has.
    entry.run->remark({.from = {now.utc}, .to = {now.utc}, .reason = known.error().message});
    return;
  }
  entry.run->peers(std::move(resolved.sets));
}

}  // namespace faultline::controller
