// SPDX-License-Identifier: Apache-2.0
// What an Alertmanager holds, at each look.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/printable.h"
#include "controller/observe/others.h"
#include "controller/observe/watcher_impl.h"

namespace faultline::controller::observe {
namespace {

constexpr std::size_t kMostHeld = 2'000;

// Whether an alert of this name and these labels could be one of the group, as far as they are
// known: the group has no label that says otherwise.
bool could_join(const AlertGroup& group, const api::ExpectAlert& alert) {
  return std::ranges::all_of(group.labels, [&](const auto& label) {
    if (label.first == "alertname") return label.second == alert.name;
    const auto known = alert.labels.find(label.first);
    return known == alert.labels.end() || known->second == label.second;
  });
}

}  // namespace

boost::asio::awaitable<void> Watcher::Impl::poll(AlertmanagerSide& side) {
  const UtcTime now = clock.utc();
  const std::string& name = side.client.options().name;
  Result<HeldAlerts> held = co_await side.client.alerts();
  if (!held) {
    missed(side, held.error());
    co_return;
  }
  std::unordered_set<std::string_view> known;
  for (const Silence& one : side.silences) known.insert(one.id);
  const bool unknown = std::ranges::any_of(held->alerts, [&](const HeldAlert& alert) {
    return std::ranges::any_of(alert.silenced_by,
                               [&](const std::string& id) { return !known.contains(id); });
  });
  if (unknown) {
    Result<std::vector<Silence>> silences = co_await side.client.silences();
    if (silences) side.silences = std::move(*silences);
  }
  Result<AlertGroups> groups = co_await side.client.groups();
  if (!groups) {
    missed(side, groups.error());
    co_return;
  }
  note_groups(side, groups->groups, now);
  if (!groups->left_out.empty()) tell({name + ", groups: " + groups->left_out.words()});
  note_held(side, held->alerts);
  note_not_taken(name, held->left_out, now, now);
  side.held = std::move(held->alerts);
  reached(side);
  co_await route_late(side);
}

void Watcher::Impl::note_groups(AlertmanagerSide& side, const std::vector<AlertGroup>& groups,
                                UtcTime at) {
  const auto& alerts = experiment.spec.expect.alerts;
  const auto of_expected = [&](const AlertGroup& group) {
    return std::ranges::any_of(alerts,
                               [&](const api::ExpectAlert& one) { return could_join(group, one); });
  };
  const auto of_another = [&](const AlertGroup& group) {
    return !of_expected(group) && !of_others(group.labels, namespaces);
  };
  const std::string& name = side.client.options().name;
  if (!side.groups.look(groups, at, of_expected))
    grow_gap(name, "groups", at, at,
             "more groups of alerts than a run keeps: whether the group of an alert existed before "
             "it is not known");
  if (!side.other_groups.look(groups, at, of_another))
    tell({name + ": not all groups of alerts that are not expected are kept: there are too many"});
}

void Watcher::Impl::note_held(AlertmanagerSide& side, const std::vector<HeldAlert>& held) {
  const std::string& name = side.client.options().name;
  const UtcTime at = clock.utc();
  std::unordered_map<std::string_view, const HeldAlert*> here;
  for (const HeldAlert& alert : held) here.emplace(alert.fingerprint, &alert);
  std::unordered_map<std::string_view, const Silence*> silences;
  for (const Silence& one : side.silences) silences.emplace(one.id, &one);
  // False: there is no room. Of what was not expected half is the most.
  const auto keep = [&](const std::string& fingerprint, api::AlertHeld now, bool wanted) {
    const std::size_t most = wanted ? kMostHeld : kMostHeld / 2;
    if (record.held.size() >= most || !rooms.held.take(bytes_of(now))) {
      if (wanted)
        grow_gap(name, "held", at, at,
                 "the alerts that Alertmanager holds changed more often than a run keeps");
      else
        tell({name + ": not all alerts that are not expected are kept: there are too many"});
      return;
    }
    now.at = {at};
    side.told[fingerprint] = record.held.size();
    record.held.push_back(std::move(now));
  };
  for (const HeldAlert& alert : held) {
    const bool wanted = expected(alert.alert);
    if (!wanted && of_others(alert.labels, namespaces)) continue;
    api::AlertHeld now{.source = name, .alert = alert.alert};
    now.labels = alert.labels;
    now.startsAt = to_ours(alert.starts_at, prometheus.empty() ? Offset{} : prometheus[0]->offset);
    now.receivers = alert.receivers;
    for (const std::string& id : alert.silenced_by) {
      const auto silence = silences.find(id);
      now.mutedBy.push_back(silence != silences.end() ? silence_words(*silence->second)
                                                      : "silenced by " + printable(id, 60));
    }
    for (const std::string& fingerprint : alert.inhibited_by) {
      const auto by = here.find(fingerprint);
      now.mutedBy.push_back("inhibited by " +
                            (by == here.end()
                                 ? "an alert " + printable(fingerprint, 60)
                                 : alert_words(by->second->alert, by->second->labels, namespaces)));
    }
    for (const std::string& interval : alert.muted_by)
      now.mutedBy.push_back("muted by the time interval " + printable(interval, 100));
    if (const auto before = side.told.find(alert.fingerprint); before != side.told.end()) {
      const api::AlertHeld& last = record.held[before->second];
      if (!last.gone && last.startsAt == now.startsAt && last.mutedBy == now.mutedBy &&
          last.receivers == now.receivers)
        continue;
    }
    keep(alert.fingerprint, std::move(now), wanted);
  }
  for (const auto& [fingerprint, last] : side.told) {
    if (record.held[last].gone || here.contains(fingerprint)) continue;
    api::AlertHeld gone = record.held[last];
    gone.gone = true;
    const bool wanted = expected(gone.alert);
    keep(fingerprint, std::move(gone), wanted);
  }
}

}  // namespace faultline::controller::observe
