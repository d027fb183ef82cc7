// SPDX-License-Identifier: Apache-2.0
// Does everything that the pod sends and receives come by our hooks on its host-side devices? A CNI
// that delivers with bpf_redirect_peer() leads past them, and a program that was put before ours
// later may take packets away. Used by packet_flow, which counts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/targets/pod.h"
#include "api/sync.h"

namespace faultline::agent {

// Used from one thread, in the network namespace of the pod's host-side devices.
class PastHook {
 public:
  explicit PastHook(std::vector<PodInterface> interfaces) : interfaces_(std::move(interfaces)) {}

  // Totals of packets of the wire to the pod: those that passed the hook outside, before all
  // faults, and those that came into the pod. Appends a gap (api::kBypass), for which the report
  // makes a fault `partial`, for what grew since the call before.
  void tell(std::uint64_t outside, std::uint64_t inside, std::vector<api::Gap>& gaps);

 private:
  void tell_counts(std::uint64_t outside, std::uint64_t inside, std::vector<api::Gap>& gaps);
  void tell_chains(std::vector<api::Gap>& gaps) const;

  std::vector<PodInterface> interfaces_;
  std::uint64_t told_ = 0, inside_ = 0;  // past the hook and told; came into the pod
};

}  // namespace faultline::agent
