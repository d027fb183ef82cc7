// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/routes.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/printable.h"
#include "controller/observe/others.h"
#include "report/format.h"

namespace faultline::controller::observe {
namespace {

constexpr std::size_t kMostRoutes = 64;

bool in_span(const std::vector<IntervalPart::Span>& spans, int value) {
  return spans.empty() || std::ranges::any_of(spans, [&](const IntervalPart::Span& span) {
           return span.from <= value && value <= span.to;
         });
}

bool in_days(const std::vector<IntervalPart::Span>& spans, std::chrono::year_month_day date) {
  if (spans.empty()) return true;
  const int last = static_cast<int>(
      static_cast<unsigned>((date.year() / date.month() / std::chrono::last).day()));
  const int day = static_cast<int>(static_cast<unsigned>(date.day()));
  const auto from_begin = [&](int value) { return value < 0 ? last + 1 + value : value; };
  return std::ranges::any_of(spans, [&](const IntervalPart::Span& span) {
    return from_begin(span.from) <= day && day <= from_begin(span.to);
  });
}

bool holds(const IntervalPart& part, UtcTime at) {
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const auto minutes =
      static_cast<int>(std::chrono::duration_cast<std::chrono::minutes>(at - day).count());
  const bool time =
      part.times.empty() || std::ranges::any_of(part.times, [&](const IntervalPart::Span& span) {
        return span.from <= minutes && minutes < span.to;
      });
  return time && in_span(part.weekdays, static_cast<int>(std::chrono::weekday(day).c_encoding())) &&
         in_days(part.days, date) &&
         in_span(part.months, static_cast<int>(static_cast<unsigned>(date.month()))) &&
         in_span(part.years, static_cast<int>(date.year()));
}

std::string muted_words(const Routing& routing, const RouteNode& node, UtcTime now) {
  for (const std::string& name : node.mute_intervals)
    if (in_interval(routing, name, now).value_or(false))
      return "muted by the time interval " + printable(name, 100);
  bool active = node.active_intervals.empty();
  for (const std::string& name : node.active_intervals)
    // One that cannot be worked out is told elsewhere; it mutes nothing here.
    active = active || in_interval(routing, name, now).value_or(true);
  if (!active)
    return "muted outside of the time interval " +
           printable(report::join(node.active_intervals, ", "), 100);
  return {};
}

void walk(const Routing& routing, const RouteNode& node, const Labels& labels, UtcTime now,
          std::vector<api::AlertRoute>& out) {
  bool child = false;
  for (const RouteNode& route : node.routes) {
    if (!all_match(route.matchers, labels)) continue;
    child = true;
    walk(routing, route, labels, now, out);
    if (!route.goes_on) break;
  }
  if (child || out.size() >= kMostRoutes) return;
  api::AlertRoute route;
  route.receiver = node.receiver;
  if (const auto found = routing.receivers.find(node.receiver); found != routing.receivers.end())
    route.integrations = found->second;
  route.groupBy = node.group_by;
  route.groupWait = node.group_wait;
  route.groupInterval = node.group_interval;
  route.repeatInterval = node.repeat_interval;
  route.muted = muted_words(routing, node, now);
  out.push_back(std::move(route));
}

std::string label_of(const Labels& labels, const std::string& name) {
  const auto found = labels.find(name);
  return found != labels.end() ? found->second : std::string();
}

}  // namespace

std::vector<api::AlertRoute> routes_of(const Routing& routing, const Labels& labels, UtcTime now) {
  std::vector<api::AlertRoute> out;
  walk(routing, routing.root, labels, now, out);
  return out;
}

std::optional<bool> in_interval(const Routing& routing, const std::string& name, UtcTime at) {
  const auto found = routing.intervals.find(name);
  if (found == routing.intervals.end()) return std::nullopt;
  bool unknown = false;
  for (const IntervalPart& part : found->second) {
    if (!part.location.empty())
      unknown = true;
    else if (holds(part, at))
      return true;
  }
  return unknown ? std::nullopt : std::optional(false);
}

std::string silence_words(const Silence& silence) {
  const api::Timestamp until = to_ours(silence.ends_at, {});
  std::string out = "silenced by " + printable(silence.created_by, 60);
  if (until.set()) out += " until " + until.format().substr(11, 5) + " UTC";
  if (!silence.comment.empty()) out += ": " + printable_prose(silence.comment.substr(0, 100));
  return out + " (" + printable(silence.id.substr(0, 8)) + ")";
}

std::string silenced_words(const std::vector<Silence>& silences, const Labels& labels) {
  for (const Silence& silence : silences)
    if (silence.active && !silence.matchers.empty() && all_match(silence.matchers, labels))
      return silence_words(silence);
  return {};
}

std::string alert_words(const std::string& alert, const Labels& labels,
                        const std::set<std::string>& namespaces) {
  if (of_others(labels, namespaces)) return "an alert of another namespace";
  std::vector<std::string> words;
  for (const auto& [name, value] : labels)
    if (name != "alertname") words.push_back(name + "=\"" + value + "\"");
  return printable(alert + (words.empty() ? "" : "{" + report::join(words, ", ") + "}"), 200);
}

std::string inhibited_words(const Routing& routing, const std::vector<HeldAlert>& held,
                            const Labels& labels, const std::set<std::string>& namespaces) {
  for (const InhibitRule& rule : routing.inhibit_rules) {
    if (!all_match(rule.target, labels)) continue;
    const bool also_source = all_match(rule.source, labels);
    for (const HeldAlert& alert : held) {
      Labels theirs = alert.labels;
      theirs["alertname"] = alert.alert;
      if (theirs == labels || !all_match(rule.source, theirs)) continue;
      // Of two alerts that are both source and target neither inhibits the other.
      if (also_source && all_match(rule.target, theirs)) continue;
      if (std::ranges::all_of(rule.equal, [&](const std::string& name) {
            return label_of(theirs, name) == label_of(labels, name);
          }))
        return "inhibited by " + alert_words(alert.alert, alert.labels, namespaces);
    }
  }
  return {};
}

bool joins(const AlertGroup& group, const api::AlertRoute& route, const Labels& labels) {
  if (group.receiver != route.receiver) return false;
  const bool by_all = std::ranges::find(route.groupBy, "...") != route.groupBy.end();
  if (by_all) return group.labels == labels;
  Labels mine;
  for (const std::string& name : route.groupBy)
    if (const auto found = labels.find(name); found != labels.end()) mine.insert(*found);
  return group.labels == mine;
}

}  // namespace faultline::controller::observe
