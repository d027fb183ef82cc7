// SPDX-License-Identifier: Apache-2.0
#include "report/alert_episodes.h"

#include <algorithm>
#include <tuple>

namespace faultline::report {
namespace {

// Of several that with most labels; it may be a rule again for alerts that lead elsewhere.
const api::AlertRule* rule_of(const api::MonitoringRecord& record, const Instance& instance) {
  const api::AlertRule* out = nullptr;
  for (const api::AlertRule& rule : record.rules)
    if (rule.source == instance.source && rule.alert == instance.alert &&
        is_of(rule, instance.labels) && (out == nullptr || out->labels.size() < rule.labels.size()))
      out = &rule;
  return out;
}

void add(std::vector<Episode>& episodes, const api::AlertChange& change) {
  const bool open = !episodes.empty() && !episodes.back().end.set();
  switch (change.state) {
    case api::AlertState::inactive:
      if (open) episodes.back().end = change.at;
      return;
    case api::AlertState::pending:
      if (open && !episodes.back().firing.set()) return;  // told twice
      if (open) episodes.back().end = change.at;          // it fired and is pending anew
      episodes.push_back({.pending = change.at, .firing = {}, .end = {}});
      return;
    case api::AlertState::firing:
      if (!open) episodes.push_back({.pending = {}, .firing = change.at, .end = {}});
      if (!episodes.back().firing.set()) episodes.back().firing = change.at;
      return;
  }
}

void merge(std::vector<Episode>& episodes, double shortest) {
  std::vector<Episode> out;
  for (const Episode& episode : episodes) {
    if (!out.empty() && out.back().firing.set() && out.back().end.set() && episode.firing.set() &&
        seconds_between(out.back().end, episode.firing) < shortest)
      out.back().end = episode.end;
    else
      out.push_back(episode);
  }
  episodes = std::move(out);
}

}  // namespace

bool is_of(const api::AlertRule& rule, const AlertLabels& labels) {
  return std::ranges::all_of(rule.labels, [&](const auto& label) {
    if (label.second.find("{{") != std::string::npos) return true;
    const auto found = labels.find(label.first);
    return found != labels.end() && found->second == label.second;
  });
}

bool has_labels(const AlertLabels& labels, const AlertLabels& wanted) {
  return std::ranges::all_of(wanted, [&](const auto& label) {
    if (label.first == "alertname") return true;
    const auto found = labels.find(label.first);
    return found != labels.end() && found->second == label.second;
  });
}

std::string evaluated_as(const api::MonitoringRecord& record, const api::AlertRule& rule) {
  const api::AlertRule* mine = nullptr;
  std::size_t before = 0, all = 0;
  for (const api::AlertRule& one : record.rules) {
    // Without an expression it is one of the others again, for alerts that lead elsewhere.
    if (one.expr.empty() || one.source != rule.source || one.group != rule.group ||
        one.alert != rule.alert)
      continue;
    const bool same = rule.expr.empty() ? is_of(one, rule.labels)
                                        : one.labels == rule.labels && one.expr == rule.expr;
    if (same && (mine == nullptr || mine->labels.size() < one.labels.size())) {
      mine = &one;
      before = all;
    }
    ++all;
  }
  return before == 0 ? rule.group : rule.group + "#" + std::to_string(before + 1);
}

std::vector<Instance> instances_of(const api::MonitoringRecord& record) {
  std::vector<const api::AlertChange*> changes;
  for (const api::AlertChange& change : record.changes)
    if (change.at.set()) changes.push_back(&change);
  std::ranges::stable_sort(changes, {}, [](const api::AlertChange* change) { return change->at; });
  std::map<std::tuple<std::string, std::string, AlertLabels>, Instance> found;
  for (const api::AlertChange* change : changes) {
    AlertLabels labels = change->labels;
    labels.erase("alertname");
    Instance& instance = found[{change->source, change->alert, labels}];
    instance.source = change->source;
    instance.alert = change->alert;
    instance.labels = std::move(labels);
    add(instance.episodes, *change);
  }
  std::vector<Instance> out;
  for (auto& [key, instance] : found) {
    instance.rule = rule_of(record, instance);
    const double interval = instance.rule != nullptr ? instance.rule->evaluationInterval : 0;
    merge(instance.episodes, std::max(1.0, 0.5 * interval));
    out.push_back(std::move(instance));
  }
  return out;
}

std::string time_words(api::Timestamp at) {
  const std::string text = at.format();  // 2026-11-23T10:15:02.123456Z
  return text.size() > 23 ? text.substr(11, 12) : text;
}

}  // namespace faultline::report
