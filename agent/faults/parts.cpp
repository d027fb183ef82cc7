// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/parts.h"

#include <algorithm>

namespace faultline::agent {

void ArmedParts::add(std::string name, std::unique_ptr<ArmedFault> part) {
  parts_.push_back({std::move(name), std::move(part)});
}

void ArmedParts::renew(KtimeNs deadline) {
  for (const Part& part : parts_) part.fault->renew(deadline);
}

Result<> ArmedParts::follow(const PeerSets& peers) {
  for (const Part& part : parts_)
    if (auto followed = part.fault->follow(peers); !followed)
      return fail(followed.error().with_context(part.name));
  return {};
}

Result<FaultCounters> ArmedParts::read() const {
  FaultCounters total;
  for (const Part& part : parts_) {
    const auto counters = part.fault->read();
    if (!counters) return fail(counters.error().with_context(part.name));
    total = sum(total, *counters);
  }
  return total;
}

Result<> ArmedParts::disarm() {
  Result<> first;
  for (const Part& part : parts_)
    if (auto ended = part.fault->disarm(); !ended && first)
      first = fail(ended.error().with_context(part.name));
  return first;
}

std::string ArmedParts::mechanism() const {
  std::vector<std::string> words;
  std::string text;
  for (const Part& part : parts_) {
    const std::string own = part.fault->mechanism();
    if (std::ranges::find(words, own) != words.end()) continue;
    words.push_back(own);
    text += (text.empty() ? "" : "; ") + own;
  }
  return text;
}

}  // namespace faultline::agent
