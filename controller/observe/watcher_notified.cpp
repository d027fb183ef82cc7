// SPDX-License-Identifier: Apache-2.0
// Notifications that arrived, and what of them is not in the record.
#include <algorithm>
#include <functional>

#include "api/gap_words.h"
#include "controller/observe/watcher_impl.h"

namespace faultline::controller::observe {
namespace {

constexpr std::size_t kMostLosing = 20;                // receivers with a gap of their own
constexpr std::size_t kMostLeavingOff = 200;           // receivers that are counted by name
constexpr std::uint64_t kMostLeftOff = 1'000'000'000;  // alerts of one notification

std::size_t hash_of(const api::AlertNotification& one) {
  std::size_t out = one.resolved ? 1 : 0;
  const auto mix = [&](std::size_t hash) { out = out * 1'099'511'628'211U + hash; };
  const std::hash<std::string> text{};
  mix(text(one.receiver));
  mix(text(one.alert));
  for (const auto& [name, value] : one.labels) {
    mix(text(name));
    mix(text(value));
  }
  mix(static_cast<std::size_t>(one.startsAt.value.time_since_epoch().count()));
  return out;
}

bool same(const api::AlertNotification& one, const api::AlertNotification& other) {
  return one.receiver == other.receiver && one.alert == other.alert &&
         one.resolved == other.resolved && one.startsAt.value == other.startsAt.value &&
         one.labels == other.labels;
}

std::string plural(std::uint64_t n, const char* one, const char* many) {
  return n == 1 ? one : std::to_string(n) + " " + many;
}

}  // namespace

void Watcher::Impl::index_notifications() {
  notifications.clear();
  for (std::size_t i = 0; i < record.notifications.size(); ++i)
    notifications.emplace(hash_of(record.notifications[i]), i);
}

void Watcher::notified(api::AlertNotification notification) {
  Impl& impl = *impl_;
  std::vector<api::AlertNotification>& kept = impl.record.notifications;
  const std::size_t hash = hash_of(notification);
  const auto [from, to] = impl.notifications.equal_range(hash);
  for (auto known = from; known != to; ++known)
    if (same(kept[known->second], notification)) return;
  if (kept.size() < kMostNotifications && impl.rooms.notifications.take(bytes_of(notification))) {
    impl.notifications.emplace(hash, kept.size());
    kept.push_back(std::move(notification));
    return;
  }
  const UtcTime at = notification.at.value;
  impl.lose(notification.receiver, at, "room", [&](Impl::Lost& lost) {
    return std::to_string(++lost.beyond) +
           " notifications more than a run keeps: " + std::to_string(kept.size()) + " are kept";
  });
}

void Watcher::left_off(const std::string& receiver, UtcTime at, std::uint64_t alerts) {
  if (alerts == 0) return;
  auto& all = impl_->left_off;
  const bool own = all.contains(receiver) || all.size() < kMostLeavingOff;
  // Their number may be any.
  all[own ? receiver : std::string()].add({at, at, std::min(alerts, kMostLeftOff), 1});
}

void Watcher::Impl::LeftOff::add(const LeftOff& other) {
  from = notifications == 0 ? other.from : std::min(from, other.from);
  to = std::max(to, other.to);
  alerts += other.alerts;
  notifications += other.notifications;
}

void Watcher::Impl::tell_left_off() {
  const auto tell_of = [&](const std::string& receiver, const LeftOff& of) {
    const auto words = [&](Lost&) {
      return "Alertmanager left off " + plural(of.alerts, "1 alert", "alerts") + " of " +
             plural(of.notifications, "this notification", "notifications") + ": max_alerts";
    };
    lose(receiver, of.from, "truncated", words);
    lose(receiver, of.to, "truncated", words);
  };
  LeftOff others;
  for (const auto& [receiver, of] : left_off) {
    if (receiver.empty())
      others.add(of);
    else if (!may_tell(receiver))
      continue;
    else if (lost.contains(receiver) || lost.size() < kMostLosing)
      tell_of(receiver, of);
    else
      others.add(of);
  }
  if (others.notifications > 0) tell_of("", others);
}

void Watcher::not_taken(const std::string& receiver, UtcTime at, const NotTaken& alerts) {
  const auto& expected = impl_->experiment.spec.expect.alerts;
  if (alerts.empty() || std::ranges::none_of(expected, [&](const api::ExpectAlert& one) {
        return alerts.may_be(one.name);
      }))
    return;
  impl_->lose(receiver, at, "labels", [&](Impl::Lost& lost) {
    lost.not_taken.add(alerts);
    return lost.not_taken.words();
  });
}

// By the routes of the expected alerts; one whose routes are not known may lead anywhere.
bool Watcher::Impl::may_tell(const std::string& receiver) const {
  if (std::ranges::any_of(record.gaps, api::is_of_routes)) return true;
  return std::ranges::any_of(experiment.spec.expect.alerts, [&](const api::ExpectAlert& alert) {
    bool known = false;
    for (const api::AlertRule& rule : record.rules) {
      if (rule.alert != alert.name || rule.routes.empty()) continue;
      known = true;
      if (std::ranges::find(rule.routes, receiver, &api::AlertRoute::receiver) != rule.routes.end())
        return true;
    }
    return !known;
  });
}

void Watcher::Impl::lose(const std::string& receiver, UtcTime at, const std::string& kind,
                         const std::function<std::string(Lost&)>& count) {
  const bool own = !receiver.empty() && (lost.contains(receiver) || lost.size() < kMostLosing);
  const std::string source = own ? api::gap_of_receiver(receiver) : api::kGapOfAnyReceiver;
  Lost& of = lost[own ? receiver : std::string()];
  grow_gap(source, kind, at, at, count(of));
}

}  // namespace faultline::controller::observe
