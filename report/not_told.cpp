// SPDX-License-Identifier: Apache-2.0
#include "report/not_told.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "api/gap_words.h"
#include "report/format.h"
#include "report/promql.h"

namespace faultline::report {
namespace {

using Match = AlertOwners::Match;

// Longest that Alertmanager waits before it tells of an alert that arrived.
double wait_of(const api::AlertRoute& route) {
  return route.groupExists ? route.groupInterval : route.groupWait;
}
std::string wait_words(const api::AlertRoute& route) {
  return (route.groupExists ? "group_interval " : "group_wait ") +
         promql_duration_words(wait_of(route));
}

// The silences, inhibitions and intervals that held while the alert fired; empty: at one look none
// did.
std::vector<std::string> muted_by(const api::MonitoringRecord& record, const AlertOwners& owners,
                                  const Instance& instance, const Episode& episode) {
  std::set<std::string> words;
  for (const api::AlertHeld& held : record.held) {
    if (held.gone || held.at < episode.since() ||
        owners.match(held, instance, episode) != Match::yes)
      continue;
    if (episode.end.set() && episode.end < held.at) continue;
    if (held.mutedBy.empty()) return {};
    words.insert(held.mutedBy.begin(), held.mutedBy.end());
  }
  return {words.begin(), words.end()};
}

// Returns a notification that may be of this alert or of another one, and null if there is none.
const api::AlertNotification* take_notifications(Delivery& out, const api::MonitoringRecord& record,
                                                 const AlertOwners& owners,
                                                 const Instance& instance, const Episode& episode,
                                                 const std::string& receiver) {
  const api::AlertNotification* unsure = nullptr;
  for (const api::AlertNotification& one : record.notifications) {
    if (!one.at.set()) continue;
    if (!receiver.empty() && one.receiver != receiver) continue;
    if (seconds_between(episode.firing, one.at) < -kSameStart) continue;
    const Match of = owners.match(one, instance, episode);
    if (of == Match::perhaps && !one.resolved) unsure = &one;
    if (of != Match::yes) continue;
    if (one.resolved) {
      if (!out.resolved_notified.set() || one.at < out.resolved_notified)
        out.resolved_notified = one.at;
      continue;
    }
    if (!out.notified.set() || one.at < out.notified) out.notified = one.at;
    if (std::ranges::find(out.receivers, one.receiver) == out.receivers.end())
      out.receivers.push_back(one.receiver);
  }
  return unsure;
}

// What was left out of the notifications of these receivers since the alert fired, in words.
std::string not_kept(const api::MonitoringRecord& record,
                     const std::vector<const api::AlertRoute*>& ways, const Episode& episode) {
  for (const api::MonitoringGap& gap : record.gaps) {
    const bool of_way = gap.source == api::kGapOfAnyReceiver ||
                        std::ranges::any_of(ways, [&](const api::AlertRoute* way) {
                          return gap.source == api::gap_of_receiver(way->receiver);
                        });
    if (of_way && episode.firing <= gap.to) return gap.reason;
  }
  return {};
}

// Alertmanagers of which it is not known whom they led an alert to when it fired.
struct Unrouted {
  std::string why;   // of the last; empty: there is none
  bool all = false;  // there is no other
};
Unrouted unrouted_of(const api::MonitoringRecord& record, const Episode& episode) {
  Unrouted out;
  std::size_t known = 0;
  for (const api::MonitoringSource& source : record.sources) {
    if (source.kind != "alertmanager") continue;
    const auto gap = std::ranges::find_if(record.gaps, [&](const api::MonitoringGap& one) {
      return api::is_of_routes(one) && one.source.substr(api::kGapOfRoutes.size()) == source.name &&
             one.from <= episode.firing && episode.firing <= one.to;
    });
    if (gap == record.gaps.end())
      ++known;
    else
      out.why = "whom " + source.name + " tells is not known from " + time_words(gap->from) +
                " to " + time_words(gap->to) + ": " + gap->reason;
  }
  out.all = !out.why.empty() && known == 0;
  return out;
}

// "pager, tickets": of two Alertmanagers that know the same each once.
std::string names_of(const std::vector<const api::AlertRoute*>& routes) {
  std::vector<std::string> names;
  for (const api::AlertRoute* route : routes)
    if (std::ranges::find(names, route->receiver) == names.end()) names.push_back(route->receiver);
  return join(names, ", ");
}

std::string routed_to_nobody(const std::vector<const api::AlertRoute*>& routes) {
  const bool one = std::ranges::all_of(
      routes, [&](const auto* route) { return route->receiver == routes.front()->receiver; });
  return "routed to nobody: " + std::string(one ? "receiver " : "none of the receivers ") +
         names_of(routes) + (one ? " has no integration" : " has an integration");
}

}  // namespace

Delivery delivery_of(const api::MonitoringRecord& record, const AlertOwners& owners,
                     const Instance& instance, const Episode& episode, const std::string& receiver,
                     const DetectionTimes& times) {
  Delivery out;
  const api::AlertNotification* unsure =
      take_notifications(out, record, owners, instance, episode, receiver);
  const std::vector<api::AlertRoute> none;
  const Unrouted unrouted = unrouted_of(record, episode);
  const std::vector<api::AlertRoute>& routes =
      instance.rule != nullptr && !unrouted.all ? instance.rule->routes : none;
  std::vector<const api::AlertRoute*> all, ways;  // ways: to somebody who can be told, and is meant
  bool leads_there = receiver.empty();
  for (const api::AlertRoute& route : routes) {
    all.push_back(&route);
    if (!receiver.empty() && route.receiver != receiver) continue;
    leads_there = true;
    if (!route.integrations.empty()) ways.push_back(&route);
  }
  if (out.notified.set()) {
    out.told = Told::told;
    for (const api::AlertRoute* way : ways)
      if (way->receiver == out.receivers.front()) out.route = way;
    return out;
  }
  // The shortest way, and whether it is watched.
  const auto observed = [&](const api::AlertRoute* way) {
    return way->observed ||
           std::ranges::any_of(record.notifications, [&](const api::AlertNotification& one) {
             return one.receiver == way->receiver;
           });
  };
  for (const api::AlertRoute* way : ways)
    if (out.route == nullptr || wait_of(*way) < wait_of(*out.route)) out.route = way;

  const auto not_told = [&](std::string reason) {
    out.told = Told::not_told;
    out.reason = std::move(reason);
    return out;
  };
  if (!routes.empty() && ways.empty() && !unrouted.why.empty()) {
    out.told = Told::ambiguous;  // that one may lead there
    out.reason = unrouted.why;
    return out;
  }
  if (!routes.empty() && !leads_there)
    return not_told("routed to " + names_of(all) + ", not to " + receiver);
  if (!routes.empty() && ways.empty()) return not_told(routed_to_nobody(all));
  if (unsure != nullptr) {
    out.told = Told::ambiguous;
    out.reason = "a notification of " + unsure->receiver +
                 " arrived whose labels are not those of the rule: of which instance is not known";
    return out;
  }
  if (const auto muted = muted_by(record, owners, instance, episode); !muted.empty())
    return not_told(join(muted, "; "));
  if (!ways.empty() &&
      std::ranges::all_of(ways, [](const auto* way) { return !way->muted.empty(); }))
    return not_told(ways.front()->muted);
  if (out.route == nullptr) {
    out.reason = "whether anybody was told is not known: " +
                 (unrouted.why.empty() ? "the routes of Alertmanager are not" : unrouted.why);
    return out;
  }
  const double wait = wait_of(*out.route);
  if (episode.end.set()) {
    const double fired = seconds_between(episode.firing, episode.end);
    const bool watched = std::ranges::any_of(ways, observed);
    // A group that exists may be told at any time of its interval.
    if (fired < wait && (watched || !out.route->groupExists))
      return not_told("resolved " + seconds_words(fired) + " after it fired, within " +
                      wait_words(*out.route) + ": nobody was told");
  } else if (seconds_between(episode.firing, times.end) < wait) {
    out.told = Told::too_early;
    out.reason = "the run ended " + seconds_words(seconds_between(episode.firing, times.end)) +
                 " after it fired, before " + wait_words(*out.route) +
                 " had passed: set phases.recovery";
    return out;
  }
  if (const std::string left_out = not_kept(record, ways, episode); !left_out.empty()) {
    out.told = Told::ambiguous;
    out.reason = left_out + ": whether this alert was among them is not known";
    return out;
  }
  std::vector<const api::AlertRoute*> silent;
  std::ranges::copy_if(ways, std::back_inserter(silent), observed);
  if (!silent.empty()) return not_told("no notification of " + names_of(silent) + " arrived");
  out.reason = "whether " + names_of(ways) +
               " was told is not measured: its notifications do not come to Faultline";
  return out;
}

}  // namespace faultline::report
