// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/past_hook.h"

#include <algorithm>

#include "agent/kernel/link.h"
#include "api/gap.h"

namespace faultline::agent {
namespace {

// Both counts are read while packets are between the two hooks, and the hooks are not attached in
// the same moment: so many, and so large a share, are not told.
constexpr std::uint64_t kFew = 20;
constexpr std::uint64_t kShare = 100;  // a hundredth

api::Gap gap_of(std::string reason) {
  api::Gap gap;
  gap.metric = api::kBypass;
  gap.reason = std::move(reason);
  return gap;
}

}  // namespace

void PastHook::tell(std::uint64_t outside, std::uint64_t inside, std::vector<api::Gap>& gaps) {
  tell_counts(outside, inside, gaps);
  tell_chains(gaps);
}

// By totals, not by window: what waited in a delay line comes in much later than it passed outside.
void PastHook::tell_counts(std::uint64_t outside, std::uint64_t inside,
                           std::vector<api::Gap>& gaps) {
  const std::uint64_t came = inside - inside_;
  const std::uint64_t past = inside > outside ? inside - outside : 0;
  const std::uint64_t fresh = past > told_ ? past - told_ : 0;
  inside_ = inside;
  if (fresh <= kFew || fresh * kShare <= came) return;
  told_ = past;
  gaps.push_back(gap_of("packets came into the pod past the hook on its host-side device"));
  gaps.back().missed = fresh;
  gaps.back().of = std::max(came, fresh);
}

void PastHook::tell_chains(std::vector<api::Gap>& gaps) const {
  for (const PodInterface& interface : interfaces_) {
    if (interface.host_index == IfIndex{}) continue;
    for (const TcHook hook : {TcHook::kIngress, TcHook::kEgress}) {
      const std::string name = foreign_before_ours(interface.host_index, hook);
      if (name.empty()) continue;
      gaps.push_back(gap_of(
          "the program " + name + " of others came before ours on " + interface.host_name +
          (hook == TcHook::kIngress ? " ingress" : " egress") + ": what it takes away is not hit"));
      return;
    }
  }
}

}  // namespace faultline::agent
