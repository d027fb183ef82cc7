// SPDX-License-Identifier: Apache-2.0
// Alertmanager's configuration as data: who would be told of an alert, and what keeps it from that.
// Pure and thread-safe.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/monitoring_record.h"
#include "controller/observe/alertmanager.h"

namespace faultline::controller::observe {

// A node of the routing tree; what a child does not say is its parent's already.
struct RouteNode {
  std::string receiver;
  std::vector<Matcher> matchers;                                           // all must hold
  bool goes_on = false;                                                    // `continue`
  std::vector<std::string> group_by;                                       // "...": by all labels
  double group_wait = 30, group_interval = 300, repeat_interval = 14'400;  // seconds
  std::vector<std::string> mute_intervals, active_intervals;
  std::vector<RouteNode> routes;
};

struct InhibitRule {
  std::vector<Matcher> source, target;
  std::vector<std::string> equal;
};

// Minutes of the day, days and months, all in UTC; an empty list is any.
struct IntervalPart {
  struct Span {
    int from = 0, to = 0;  // both ends belong to it, but of `times` the end does not
  };
  std::vector<Span> times;     // minutes since midnight
  std::vector<Span> weekdays;  // 0: Sunday
  std::vector<Span> days;      // of the month, 1..31; negative: from its end
  std::vector<Span> months;    // 1..12
  std::vector<Span> years;
  std::string location;  // a time zone other than UTC: then it cannot be worked out
};

struct Routing {
  RouteNode root;
  std::map<std::string, std::vector<std::string>> receivers;  // name -> webhook, email, ...
  std::vector<InhibitRule> inhibit_rules;
  std::map<std::string, std::vector<IntervalPart>> intervals;  // time_intervals by name
  std::vector<std::string> told;  // what was not understood, in words, each once
};

// The YAML of /api/v2/status. kInvalid: it is no YAML, or has no route; a part that is not
// understood is told and left out.
[[nodiscard]] Result<Routing> parse_routing(std::string_view yaml);

// severity="page", severity=~"a|b", !=, !~, with or without quotes, several with commas, in braces
// or not: the syntax of `matchers`. kInvalid with the text.
[[nodiscard]] Result<std::vector<Matcher>> parse_matchers(std::string_view text);

// Whether a label's value (empty: there is no such label) is what the matcher asks. Empty: its
// regular expression is not understood. Whole values are matched.
[[nodiscard]] std::optional<bool> matches(const Matcher& matcher, const Labels& labels);
// All of them; one that is not understood holds for none.
[[nodiscard]] bool all_match(const std::vector<Matcher>& matchers, const Labels& labels);

// The receivers that an alert with these labels (with alertname) leads to, in the order of the
// tree, each route with the time intervals that mute it at `now`. What must be known of groups,
// silences and other alerts is added by the functions below.
[[nodiscard]] std::vector<api::AlertRoute> routes_of(const Routing& routing, const Labels& labels,
                                                     UtcTime now);

// Whether a time lies in a named interval; empty: it cannot be worked out.
[[nodiscard]] std::optional<bool> in_interval(const Routing& routing, const std::string& name,
                                              UtcTime at);

// "silenced by anna until 07:17 UTC: maintenance of shop (0065b613)"; empty: no active silence
// holds.
[[nodiscard]] std::string silenced_words(const std::vector<Silence>& silences,
                                         const Labels& labels);
[[nodiscard]] std::string silence_words(const Silence& silence);
// "inhibited by PaymentsSlow{pod="payments-0"}"; empty: no alert that is held inhibits it.
// `namespaces`: of what is of_others() only that there is one is said.
[[nodiscard]] std::string inhibited_words(const Routing& routing,
                                          const std::vector<HeldAlert>& held, const Labels& labels,
                                          const std::set<std::string>& namespaces = {});
[[nodiscard]] std::string alert_words(const std::string& alert, const Labels& labels,
                                      const std::set<std::string>& namespaces = {});

// Whether a group that exists is the one that an alert with these labels would join by this route.
[[nodiscard]] bool joins(const AlertGroup& group, const api::AlertRoute& route,
                         const Labels& labels);

}  // namespace faultline::controller::observe
