// SPDX-License-Identifier: Apache-2.0
// Whom Alertmanager leads the alerts of a run to, as far as that is known.
#include <algorithm>
#include <functional>

#include "api/gap_words.h"
#include "controller/observe/others.h"
#include "controller/observe/watcher_impl.h"
#include "report/alert_scope.h"

namespace faultline::controller::observe {
namespace {

using boost::asio::awaitable;

constexpr const char* kNotAsked = "when the run began it was not asked";

Labels with_name(const std::string& alert, Labels labels) {
  labels["alertname"] = alert;
  return labels;
}

// Leads to the same receiver, by the same settings.
bool same_way(const api::AlertRoute& one, const api::AlertRoute& other) {
  return one.receiver == other.receiver && one.groupBy == other.groupBy &&
         one.groupWait == other.groupWait && one.groupInterval == other.groupInterval &&
         one.groupExists == other.groupExists && one.muted == other.muted;
}

std::set<std::string> receivers_of(const std::vector<api::AlertRoute>& routes) {
  std::set<std::string> out;
  for (const api::AlertRoute& route : routes) out.insert(route.receiver);
  return out;
}

}  // namespace

awaitable<void> Watcher::Impl::begin(AlertmanagerSide& side) {
  const Result<AlertmanagerStatus> status = co_await side.client.status();
  if (!status) {
    missed(side, status.error());
    if (side.unrouted.empty())
      side.unrouted = "when the run began it could not be asked: " + source_of(side).problem;
    co_return;
  }
  if (const auto offset = side.client.clock_offset()) side.offset = *offset;
  api::MonitoringSource& source = source_of(side);
  source.version = "Alertmanager " + status->version;
  source.clockOffset = side.offset.offset;
  source.clockUncertainty = side.offset.uncertainty;
  source.startedAt = status->started;
  side.asked = true;
  side.config = std::hash<std::string>{}(status->config);
  if (Result<Routing> routing = parse_routing(status->config)) {
    side.routing = std::move(*routing);
    side.routed_since = clock.utc();
    // They name receivers and matchers of everybody.
    if (namespaces.empty()) tell(side.routing->told);
  } else {
    side.unrouted = routing.error().message;
    tell({side.client.options().name + ": " + routing.error().message});
  }
  if (Result<std::vector<Silence>> silences = co_await side.client.silences())
    side.silences = std::move(*silences);
  else
    tell({silences.error().message});
  reached(side);
}

awaitable<void> Watcher::Impl::route_late(AlertmanagerSide& side) {
  if (side.asked) co_return;
  if (side.unrouted.empty()) side.unrouted = kNotAsked;
  co_await begin(side);
  if (!side.routing) co_return;
  gap_of_routes(side, side.routed_since, side.unrouted);
  if (!closing) route_expected();
}

void Watcher::Impl::gap_of_routes(const AlertmanagerSide& side, UtcTime to,
                                  const std::string& why) {
  const std::string name(api::kGapOfRoutes);
  grow_gap(name + side.client.options().name, "", made, to, why);
}

awaitable<void> Watcher::Impl::compare_routing(AlertmanagerSide& side) {
  if (!side.routing || side.away_since) co_return;
  const Result<AlertmanagerStatus> status = co_await side.client.status();
  if (!status) {
    missed(side, status.error());
    co_return;
  }
  if (std::hash<std::string>{}(status->config) != side.config)
    gap_of_routes(side, clock.utc(), "its configuration was changed during the run");
}

void Watcher::Impl::note_unrouted(UtcTime end) {
  for (const auto& side : alertmanager)
    if (!side->routing)
      gap_of_routes(*side, end, side->unrouted.empty() ? kNotAsked : side->unrouted);
  for (api::MonitoringGap& gap : record.gaps)
    if (api::is_of_routes(gap)) gap.to = std::min(gap.to, {end});
}

Watcher::Impl::Routes Watcher::Impl::routes(const AlertmanagerSide& side, const Labels& labels,
                                            UtcTime at, bool before) const {
  if (!side.routing) return {};
  // Whoever asks of labels of another namespace is not told what mutes there.
  const bool told = before && !of_others(labels, namespaces);
  const std::string silenced = told ? silenced_words(side.silences, labels) : "";
  const std::string inhibited =
      told ? inhibited_words(*side.routing, side.held, labels, namespaces) : "";
  Routes out = routes_of(*side.routing, labels, at);
  for (api::AlertRoute& route : out) {
    if (!silenced.empty()) route.muted = silenced;
    if (route.muted.empty()) route.muted = inhibited;
    route.observed = observed.contains(route.receiver);
    const auto is = [&](const AlertGroup& group) { return joins(group, route, labels); };
    route.groupExists = side.groups.any(at, is) || side.other_groups.any(at, is);
  }
  return out;
}

// Two expectations of one rule, which labels keep apart, may lead to different receivers.
void Watcher::Impl::route_expected() {
  forget_ways();
  const std::size_t rules = record.rules.size();
  const UtcTime now = clock.utc();  // after the look at the groups that are there
  for (std::size_t i = 0; i < rules; ++i) {
    const api::AlertRule& rule = record.rules[i];
    std::vector<Ways> ways;
    for (const api::ExpectAlert& one : experiment.spec.expect.alerts) {
      if (!expected_rules({one})(rule.alert, rule.labels)) continue;
      Ways asked{report::asked_labels(rule, one), {}};
      for (const auto& side : alertmanager)
        for (api::AlertRoute& route : routes(*side, with_name(rule.alert, asked.labels), now, true))
          asked.routes.push_back(std::move(route));
      ways.push_back(std::move(asked));
    }
    set_ways(i, std::move(ways));
  }
}

Watcher::Impl::Routes Watcher::Impl::routes_of_instance(const report::AlertJudge& judge,
                                                        const report::Instance& instance,
                                                        const report::Episode& episode,
                                                        UtcTime end) {
  Routes out;
  for (const auto& side : alertmanager) {
    const std::string& name = side->client.options().name;
    // Prometheus adds its external labels on the way: what Alertmanager held it routed by.
    Labels labels = instance.labels;
    std::set<std::string> receivers;
    for (const api::AlertHeld& held : record.held) {
      if (held.source != name || held.gone ||
          judge.owners.match(held, instance, episode) != report::AlertOwners::Match::yes)
        continue;
      labels = held.labels;
      receivers.insert(held.receivers.begin(), held.receivers.end());
    }
    labels = with_name(instance.alert, std::move(labels));
    Routes mine = routes(*side, labels, episode.firing.value, false);
    if (!receivers.empty() && !mine.empty() && receivers != receivers_of(mine)) {
      if (namespaces.empty())
        tell({name + " leads " + instance.alert + " to other receivers than its configuration " +
              "says, as far as that is understood: its routes are not known"});
      mine.clear();
    }
    // What a time interval mutes no longer, while the alert still fires, is told then.
    const UtcTime last = episode.end.set() ? std::min(episode.end.value, end) : end;
    for (const api::AlertRoute& later : routes(*side, labels, last, false))
      for (api::AlertRoute& route : mine)
        if (route.receiver == later.receiver && later.muted.empty()) route.muted.clear();
    std::ranges::move(mine, std::back_inserter(out));
  }
  return out;
}

// An alert's own labels decide where it is routed, not only those of its rule: now they are known.
// What Alertmanager holds now says nothing of then: record.held tells what muted it.
void Watcher::Impl::route_instances(const WatchTimes& times) {
  if (alertmanager.empty() || !times.first_injected.set()) return;
  const report::DetectionTimes when{.first_injected = times.first_injected,
                                    .last_injected = times.last_injected,
                                    .end = {times.end},
                                    .begin = {times.begin}};
  std::map<std::size_t, std::vector<Ways>> ways;  // by rule
  {
    const report::AlertJudge judge(record, when, own_pods);
    std::vector<std::pair<const report::Instance*, const report::Episode*>> judged;
    for (const api::ExpectAlert& one : experiment.spec.expect.alerts)
      if (const auto choice = judge.choose(one); choice.fired != nullptr)
        judged.emplace_back(choice.fired, choice.how);
    auto others = judge.unexpected(experiment.spec.expect);
    others.resize(std::min(others.size(), report::kMostFalseAlarms));
    judged.insert(judged.end(), others.begin(), others.end());
    for (const auto& [instance, episode] : judged)
      if (instance->rule != nullptr)
        ways[static_cast<std::size_t>(instance->rule - record.rules.data())].push_back(
            {instance->labels, routes_of_instance(judge, *instance, *episode, times.end)});
  }
  for (auto& [rule, of] : ways) set_ways(rule, std::move(of));
}

void Watcher::Impl::set_ways(std::size_t rule, std::vector<Ways> ways) {
  if (ways.empty()) return;
  const auto forget = [&] {
    for (const api::AlertRoute& route : record.rules[rule].routes)
      rooms.rules.give_back(bytes_of(route));
    record.rules[rule].routes.clear();
  };
  const auto no_room = [&] {
    tell({"not all routes of the rules are kept: there are too many"});
    forget();
  };
  forget();
  for (const api::AlertRoute& route : ways.front().routes) {
    if (!rooms.rules.take(bytes_of(route))) return no_room();
    record.rules[rule].routes.push_back(route);
  }
  for (std::size_t i = 1; i < ways.size(); ++i) {
    if (std::ranges::equal(ways[i].routes, ways.front().routes, same_way)) continue;
    api::AlertRule again = record.rules[rule];
    again.labels = std::move(ways[i].labels);
    again.routes = std::move(ways[i].routes);
    again.expr.clear();
    again.annotations.clear();
    if (record.rules.size() >= kMostRules || !rooms.rules.take(bytes_of(again))) return no_room();
    record.rules.push_back(std::move(again));
  }
}

void Watcher::Impl::forget_ways() {
  std::erase_if(record.rules, [&](const api::AlertRule& rule) {
    if (!rule.expr.empty()) return false;
    rooms.rules.give_back(bytes_of(rule));
    return true;
  });
}

}  // namespace faultline::controller::observe
