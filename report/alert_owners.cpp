// SPDX-License-Identifier: Apache-2.0
#include "report/alert_owners.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace faultline::report {
namespace {

std::set<std::string> names_of(const AlertLabels& labels) {
  std::set<std::string> out;
  for (const auto& [name, value] : labels) out.insert(name);
  return out;
}

// The labels of these names alone; empty when one is missing.
std::optional<AlertLabels> only(const AlertLabels& labels, const std::set<std::string>& names) {
  AlertLabels out;
  for (const std::string& name : names) {
    const auto found = labels.find(name);
    if (found == labels.end()) return std::nullopt;
    out.insert(*found);
  }
  return out;
}

bool contradict(const AlertLabels& told, const AlertLabels& labels) {
  return std::ranges::any_of(labels, [&](const auto& label) {
    const auto found = told.find(label.first);
    return found != told.end() && found->second != label.second;
  });
}

}  // namespace

AlertOwners::AlertOwners(const std::vector<Instance>& instances) {
  for (const Instance& instance : instances) {
    OfAlert& alert = alerts_[instance.alert];
    std::set<std::string> names = names_of(instance.labels);
    if (alert.by_names.contains(names) || alert.by_names.size() < kMostNameSets)
      alert.by_names[std::move(names)][instance.labels].push_back(&instance);
    else
      alert.all = false;
    for (const Episode& episode : instance.episodes)
      if (episode.firing.set()) alert.firing.emplace(episode.firing, &instance);
  }
}

AlertOwners::Match AlertOwners::match(const AlertLabels& told, const api::Timestamp& starts_at,
                                      const Instance& instance, const Episode& episode) const {
  const auto found = alerts_.find(instance.alert);
  if (found == alerts_.end()) return Match::no;
  const OfAlert& alert = found->second;
  // Of the instances that it has all labels of, those with most labels: the same alert of two
  // sources is two instances with the same labels.
  const std::vector<const Instance*>* whole = nullptr;
  std::size_t most = 0;
  for (const auto& [names, by_labels] : alert.by_names) {
    if (whole != nullptr && names.size() < most) continue;
    const std::optional<AlertLabels> labels = only(told, names);
    if (!labels) continue;
    const auto of = by_labels.find(*labels);
    if (of == by_labels.end()) continue;
    whole = &of->second;
    most = names.size();
  }
  if (whole != nullptr && alert.all)
    return std::ranges::find(*whole, &instance) != whole->end() ? Match::yes : Match::no;
  if (!starts_at.set() || !episode.firing.set() ||
      std::abs(seconds_between(episode.firing, starts_at)) >= kSameStart)
    return Match::no;
  const auto tolerance =
      std::chrono::duration_cast<UtcTime::duration>(std::chrono::duration<double>(kSameStart));
  std::set<const Instance*> together;
  for (auto at = alert.firing.lower_bound({starts_at.value - tolerance});
       at != alert.firing.end() && at->first.value <= starts_at.value + tolerance &&
       together.size() < 2;
       ++at)
    together.insert(at->second);
  return alert.all && together.size() == 1 && !contradict(told, instance.labels) ? Match::yes
                                                                                 : Match::perhaps;
}

}  // namespace faultline::report
