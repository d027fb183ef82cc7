// SPDX-License-Identifier: Apache-2.0
// Whom `peer` and `except.peer` of the network faults stand for: addresses of pods of all nodes,
// and of the Services that lead to them. Pure: the same pods, Services and experiment give the same
// addresses. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "api/experiment.h"
#include "api/selector.h"
#include "api/sync.h"
#include "base/result.h"

namespace faultline::controller {

// A Service of the cluster, without its selector: where it leads is what its EndpointSlices say.
struct KnownService {
  std::string id;                      // namespace/name
  std::vector<std::string> addresses;  // by which it is reached: cluster, external, load balancer
  std::vector<std::string> endpoints;  // addresses, ready or not
  friend bool operator==(const KnownService&, const KnownService&) = default;
};

// Of each node, whose pods carry PodRef::addresses. Not null; must outlive the call.
using PodLists = std::vector<const std::vector<api::PodRef>*>;

struct ResolvedPeers {
  // One for each selector, by the fault's index, `peer` before `except.peer`. Addresses are sorted,
  // each once; none: nobody is known.
  std::vector<api::PeerAddresses> sets;
  // One line for each Service that leads to a peer and to a pod that is none: packets to its
  // addresses are not hit, since nobody can tell here to whom they will go.
  std::vector<std::string> left_out;
};

// Of a `peer` a Service counts when it leads to its pods alone, so that nobody else is hit; of an
// `except.peer` when it leads to one of them, so that nobody is hit who is to be left alone.
[[nodiscard]] ResolvedPeers resolve_peers(const api::ExperimentSpec& spec, const PodLists& pods,
                                          const std::vector<KnownService>& services);

// No fault has a selector of peers: there is nothing to resolve.
[[nodiscard]] bool names_peers(const api::ExperimentSpec& spec);

// Why the faults cannot begin with these sets. Errors: kNotFound when a selector stands for nobody,
// kInvalid when it stands for more addresses than a fault takes. The words begin with the field.
[[nodiscard]] Result<> peers_are_known(const api::ExperimentSpec& spec, const PodLists& pods,
                                       const ResolvedPeers& peers);

inline constexpr std::size_t kMostPeerAddresses = 20'000;  // FL_MAX_ADDRESSES of the kernel side

}  // namespace faultline::controller
