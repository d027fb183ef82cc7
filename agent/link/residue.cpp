// SPDX-License-Identifier: Apache-2.0
#include "agent/link/residue.h"

#include <algorithm>
#include <utility>

namespace faultline::agent {

void ResidueLedger::begin(const std::string& owner) {
  if (!owners_.contains(owner)) owners_[owner].before = kernel_.named_ours();
}

void ResidueLedger::claim(const std::string& owner, bool has_faults) {
  ObjectSet fresh = kernel_.held_here();
  const ObjectSet shared = kernel_.shared_here();
  for (const auto& [name, other] : owners_)
    if (name != owner)
      for (const ObjectKey& key : other.owned)
        if (!shared.contains(key)) fresh.erase(key);
  if (!has_faults)
    for (const ObjectKey& key : shared) fresh.erase(key);
  // begin() first: what was there before the owner is not its own.
  const auto it = owners_.find(owner);
  if (it == owners_.end()) return;
  it->second.owned.merge(fresh);
  it->second.measures = true;
  it->second.shares |= has_faults;
}

std::vector<std::string> ResidueLedger::left_of(const std::string& owner) const {
  const auto it = owners_.find(owner);
  if (it == owners_.end()) return {};
  ObjectSet left = it->second.owned;
  // A link that all share may have been attached anew for one of them: who claimed it says nothing.
  const auto any_other = [&](bool Owner::*does) {
    return std::ranges::any_of(
        owners_, [&](const auto& other) { return other.first != owner && other.second.*does; });
  };
  const bool others_share = any_other(&Owner::shares);
  const ObjectSet of_others =
      any_other(&Owner::measures) ? kernel_.shared_by_measured() : ObjectSet();
  for (const ObjectKey& key : kernel_.shared_here())
    if (others_share || of_others.contains(key))
      left.erase(key);
    else if (it->second.shares)
      left.insert(key);

  ObjectSet orphans;
  for (const ObjectKey& key : kernel_.named_ours())
    if (!it->second.before.contains(key) && !left.contains(key)) orphans.insert(key);
  if (!orphans.empty()) {
    for (const ObjectKey& key : kernel_.held_here()) orphans.erase(key);
    if (!orphans.empty())
      for (const ObjectKey& key : kernel_.held_elsewhere(orphans)) orphans.erase(key);
  }
  left.merge(orphans);

  std::vector<std::string> words;
  for (const ObjectKey& key : left)
    if (auto text = kernel_.describe(key)) words.push_back(std::move(*text));
  return words;
}

void ResidueLedger::forget(const std::string& owner) { owners_.erase(owner); }

}  // namespace faultline::agent
