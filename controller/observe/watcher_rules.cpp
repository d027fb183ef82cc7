// SPDX-License-Identifier: Apache-2.0
// The rules of the expected alerts when the run is over: whether they are still the same, and what
// their expressions were at each evaluation.
#include <algorithm>
#include <cmath>

#include "api/gap_words.h"
#include "base/printable.h"
#include "base/quoted.h"
#include "controller/observe/watcher_impl.h"

namespace faultline::controller::observe {
namespace {

using boost::asio::awaitable;

constexpr std::size_t kMostEvaluationsOfRun = 50'000;
// Of the questions for the expected alerts' expressions: the run waits for them.
constexpr std::size_t kMostRulesAsked = 200;
constexpr std::chrono::seconds kLongestRules{5};
constexpr std::size_t kLongestChange = 1'000;  // bytes of the words for it
constexpr double kFarthest = 1e8;  // seconds; a time that is farther away is no grid of a run
constexpr double kFinest = 0.1, kCoarsest = 1;  // seconds between the evaluations that look closer

}  // namespace

std::string group_key(const api::AlertRule& rule) {
  return rule.source + "\n" + rule.group + "\n" + std::to_string(rule.evaluationInterval);
}

bool is_rule(const api::AlertRule& one, const api::AlertRule& other) {
  return one.alert == other.alert && one.group == other.group;
}

// A rule has no name but that of its alert and group: those of the same labels are the same.
void Watcher::Impl::compare_rules(PrometheusSide& side, const Rules& now, const WatchTimes& times) {
  const std::string& name = side.client.options().name;
  const auto changed = [&](api::AlertRule& rule, std::string words) {
    rule.changed = printable(words, kLongestChange);
    grow_gap("rule " + rule.alert + " of " + name, rule.group, times.begin, times.end,
             "rule " + rule.alert + " was changed during the run: " + rule.changed);
  };
  std::vector<bool> known(now.alerts.size());
  for (api::AlertRule& rule : record.rules) {
    if (rule.source != name || !expected(rule.alert)) continue;
    std::string words = now.left_out.empty() ? "it was removed" : "";
    bool same = false, labelled = false;
    for (std::size_t i = 0; i < now.alerts.size() && !same; ++i) {
      const api::AlertRule& other = now.alerts[i];
      if (known[i] || !is_rule(other, rule)) continue;
      if (other.labels != rule.labels) {
        if (!labelled) words = "it was removed, or its labels were changed";
        continue;
      }
      const std::string differs = changed_words(rule, other);
      same = differs.empty();
      if (same) known[i] = true;
      if (!labelled) words = differs;
      labelled = true;
    }
    if (same) continue;
    if (words.empty())
      doubt_rules(side, rule.alert, now.left_out.front(), times);
    else
      changed(rule, std::move(words));
  }
  // An alert that has no rule may have one of those.
  if (!now.left_out.empty())
    for (const api::ExpectAlert& one : experiment.spec.expect.alerts)
      if (std::ranges::find(record.rules, one.name, &api::AlertRule::alert) == record.rules.end())
        doubt_rules(side, one.name, now.left_out.front(), times);
  std::vector<api::AlertRule> added;
  for (std::size_t i = 0; i < now.alerts.size(); ++i) {
    const api::AlertRule& rule = now.alerts[i];
    const bool there = known[i] || std::ranges::any_of(record.rules, [&](const auto& one) {
                         return one.source == name && is_rule(one, rule);
                       });
    if (expected(rule.alert) && !there) added.push_back(rule);
  }
  for (api::AlertRule& rule : added) {
    // It may be that of before, in another group.
    changed(rule, "it was added to group " + in_quotes(rule.group));
    if (!rooms.rules.take(bytes_of(rule)) || record.rules.size() >= kMostRules) break;
    record.rules.push_back(std::move(rule));
  }
}

void Watcher::Impl::doubt_rules(PrometheusSide& side, const std::string& alert,
                                const std::string& why, const WatchTimes& times) {
  side.doubtful.insert(alert);
  grow_gap("rule " + alert + " of " + side.client.options().name, "", times.begin, times.end,
           std::string(api::kRuleInDoubt) + alert +
               " was changed during the run is not known: " + printable(why, kLongestChange));
}

awaitable<void> Watcher::Impl::finish_rules(PrometheusSide& side, const WatchTimes& times) {
  const std::string& name = side.client.options().name;
  const SteadyTime until = clock.steady() + kLongestRules;
  const std::vector<api::AlertRule> rules = record.rules;
  std::size_t asked = 0, left = 0;
  for (const api::AlertRule& rule : rules) {
    if (rule.source != name || !expected(rule.alert)) continue;
    if (!rule.changed.empty() || side.doubtful.contains(rule.alert)) {
      not_asked(side, rule, times);
    } else if (++asked > kMostRulesAsked || clock.steady() >= until) {
      ++left;
      not_asked(side, rule, times);
    } else {
      co_await finish_rule(side, rule, times);
    }
  }
  if (left > 0)
    tell({name + ": the expressions of " + std::to_string(left) +
          " rules were not asked for: there are too many rules of the expected alerts"});
}

// Nobody knows what its expression was.
void Watcher::Impl::not_asked(const PrometheusSide& side, const api::AlertRule& rule,
                              const WatchTimes& times) {
  const auto& expect = experiment.spec.expect.alerts;
  std::vector<api::AlertEvaluation> out;
  for (std::size_t i = 0; i < expect.size(); ++i) {
    if (!expected_rules({expect[i]})(rule.alert, rule.labels)) continue;
    api::AlertEvaluation none{.source = rule.source, .alert = rule.alert};
    none.group = report::evaluated_as(record, rule);
    none.expected = static_cast<std::int64_t>(i);
    none.at = times.first_injected;
    out.push_back(std::move(none));
  }
  keep_evaluations(side, std::move(out), times);
}

void Watcher::Impl::keep_evaluations(const PrometheusSide& side,
                                     std::vector<api::AlertEvaluation> some,
                                     const WatchTimes& times) {
  if (append(record.evaluations, std::move(some), kMostEvaluationsOfRun, rooms.evaluations) == 0)
    return;
  grow_gap(side.client.options().name, "evaluations", times.begin, times.end,
           "the expected alerts' rules were evaluated more often than a run can keep");
}

awaitable<void> Watcher::Impl::finish_rule(PrometheusSide& side, api::AlertRule rule,
                                           WatchTimes times) {
  if (!(rule.evaluationInterval > 0)) co_return;
  const double step = rule.evaluationInterval;
  const double begin = to_theirs(times.first_injected.value, side.offset);
  const double end = to_theirs(times.end, side.offset);
  std::optional<double> grid;
  if (const auto known = grids.find(group_key(rule)); known != grids.end()) grid = known->second;
  if (grid && !(std::abs(*grid - begin) < kFarthest)) grid.reset();
  if (!grid && rule.lastEvaluation.set()) grid = to_theirs(rule.lastEvaluation.value, side.offset);
  rule.group = report::evaluated_as(record, rule);
  // One evaluation before the fault tells that the expression was not true already.
  const double from = grid ? *grid - std::ceil((*grid - begin) / step + 1e-6) * step : begin;
  if (end < from) co_return;
  const auto& expect = experiment.spec.expect.alerts;
  const Result<std::vector<Series>> found =
      co_await side.client.query_range(rule.expr, from, end, step);
  if (!found) {
    not_asked(side, rule, times);
    tell({found.error().message});
    co_return;
  }
  std::optional<double> first;
  for (std::size_t i = 0; i < expect.size(); ++i) {
    if (!expected_rules({expect[i]})(rule.alert, rule.labels)) continue;
    auto some = evaluations_of(*found, rule, expect[i].labels, static_cast<std::int64_t>(i), from,
                               end, step, true, side.offset);
    for (const api::AlertEvaluation& one : some)
      if (one.series.value_or(0) > 0 && times.first_injected <= one.at) {
        const double at = to_theirs(one.at.value, side.offset);
        first = std::max(first.value_or(at), at);
        break;
      }
    keep_evaluations(side, std::move(some), times);
  }
  // Between its own evaluations, up to the first that found it true: when it was true first.
  if (!first) co_return;
  const double fine = std::max({std::clamp(step / 5, kFinest, kCoarsest), (*first - begin) / 1000});
  const Result<std::vector<Series>> closer =
      co_await side.client.query_range(rule.expr, begin, *first, fine);
  if (!closer) co_return;
  for (std::size_t i = 0; i < expect.size(); ++i) {
    if (!expected_rules({expect[i]})(rule.alert, rule.labels)) continue;
    auto some = evaluations_of(*closer, rule, expect[i].labels, static_cast<std::int64_t>(i), begin,
                               *first, fine, false, side.offset);
    only_changes(some);
    keep_evaluations(side, std::move(some), times);
  }
}

}  // namespace faultline::controller::observe
