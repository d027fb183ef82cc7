// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/group_times.h"

#include <algorithm>

namespace faultline::controller::observe {

bool GroupTimes::look(const std::vector<AlertGroup>& there, UtcTime at,
                      const std::function<bool(const AlertGroup&)>& wanted) {
  ++looks_;
  bool whole = true;
  for (const AlertGroup& group : there) {
    auto known = groups_.find(group);
    if (known == groups_.end()) {
      if (!wanted(group)) continue;
      if (!room_.take(sizeof(AlertGroup) + sizeof(Times) + group.receiver.size() +
                      bytes_of_labels(group.labels))) {
        whole = false;
        continue;
      }
      known = groups_.emplace(group, Times{}).first;
    }
    Times& times = known->second;
    if (!times.there()) {
      if (!room_.take(sizeof(Spell))) {
        whole = false;
        continue;
      }
      times.spells.push_back({at, {}});
    }
    times.seen = looks_;
  }
  for (auto& [group, times] : groups_)
    if (times.there() && times.seen != looks_) times.spells.back().gone = at;
  return whole;
}

bool GroupTimes::any(UtcTime at, const std::function<bool(const AlertGroup&)>& is) const {
  return std::ranges::any_of(groups_, [&](const auto& one) {
    return std::ranges::any_of(one.second.spells,
                               [&](const Spell& spell) {
                                 return spell.since <= at && (!spell.gone || at < *spell.gone);
                               }) &&
           is(one.first);
  });
}

}  // namespace faultline::controller::observe
