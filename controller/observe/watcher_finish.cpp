// SPDX-License-Identifier: Apache-2.0
// What a Watcher asks when the run is over.
#include <algorithm>
#include <cmath>

#include "controller/observe/others.h"
#include "controller/observe/watcher_impl.h"
#include "report/promql.h"

namespace faultline::controller::observe {
namespace {

using boost::asio::awaitable;

constexpr std::size_t kMostChanges = 20'000;
constexpr std::size_t kMostEvaluationsOfRun = 50'000;
constexpr std::size_t kMostScrapes = 50'000;
constexpr double kBefore = 60;  // seconds of ALERTS before the baseline
constexpr double kLongestRange = 86'400;
constexpr double kOldestSample = 300;  // seconds; Prometheus takes none that is older for a value
constexpr double kFinest = 0.1, kCoarsest = 1;  // seconds between the evaluations that look closer

double seconds_since(UtcTime from, UtcTime to) {
  return std::chrono::duration<double>(to - from).count();
}

// "[90s]": reaches back from the time of the question, at which `to` is asked.
std::string range_words(UtcTime from, UtcTime to) {
  const double length = std::clamp(std::ceil(seconds_since(from, to)), 1.0, kLongestRange);
  return "[" + std::to_string(static_cast<std::int64_t>(length)) + "s]";
}

template <class T>
void append(std::vector<T>& to, std::vector<T> from, std::size_t most) {
  for (T& one : from)
    if (to.size() < most) to.push_back(std::move(one));
}

}  // namespace

awaitable<void> Watcher::Impl::finish(PrometheusSide& side, WatchTimes times,
                                      std::vector<api::PodRef> pods) {
  // Of a source that was away at the begin there are no rules: they are asked for now.
  if (side.rules.alerts.empty() && side.away_since) co_await begin(side);
  const Result<BuildInfo> build = co_await side.client.build_info();
  if (!build && build.error().code != Errc::kNotFound) {
    missed(side, build.error());
    co_return;
  }
  if (build && build->started.set())
    source_of(side).startedAt =
        to_ours(std::chrono::duration<double>(build->started.value.time_since_epoch()).count(),
                side.offset);
  const UtcTime from = times.begin - std::chrono::seconds(static_cast<int>(kBefore));
  const double end = to_theirs(times.end, side.offset);
  Result<std::vector<Series>> alerts =
      co_await side.client.query("ALERTS" + range_words(from, times.end), end);
  if (!alerts) {
    // Perhaps there are too many of them for one answer.
    std::vector<std::string> names;
    for (const api::ExpectAlert& one : experiment.spec.expect.alerts) names.push_back(one.name);
    tell({alerts.error().message + "; only the expected alerts were asked for"});
    alerts = co_await side.client.query(
        "ALERTS{alertname=~" + any_of(names) + "}" + range_words(from, times.end), end);
  }
  if (!alerts) {
    missed(side, alerts.error());
    co_return;
  }
  keep_changes(side,
               changes_of(*alerts, side.rules.alerts, side.client.options().name, side.offset, end),
               times);
  // Rules of alerts that fired and were not expected: their settings explain how long it took.
  for (const api::AlertChange& change : record.changes) {
    if (change.source != side.client.options().name || expected(change.alert)) continue;
    const auto known = [&](const api::AlertRule& rule) {
      return rule.source == change.source && rule.alert == change.alert;
    };
    if (std::ranges::any_of(record.rules, known)) continue;
    for (const api::AlertRule& rule : side.rules.alerts)
      if (rule.alert == change.alert) record.rules.push_back(rule);
  }
  if (times.first_injected.set()) {
    const std::vector<api::AlertRule> rules = record.rules;
    for (const api::AlertRule& rule : rules)
      if (rule.source == side.client.options().name && expected(rule.alert))
        co_await finish_rule(side, rule, grid_of(*alerts, side.rules.alerts, rule), times);
    co_await finish_scrapes(side, times, std::move(pods));
    co_await finish_signals(side, times);
  }
  reached(side);
}

awaitable<void> Watcher::Impl::finish_rule(PrometheusSide& side, api::AlertRule rule,
                                           std::optional<double> grid, WatchTimes times) {
  if (!(rule.evaluationInterval > 0)) co_return;
  const double step = rule.evaluationInterval;
  const double begin = to_theirs(times.first_injected.value, side.offset);
  const double end = to_theirs(times.end, side.offset);
  if (!grid && rule.lastEvaluation.set()) grid = to_theirs(rule.lastEvaluation.value, side.offset);
  // One evaluation before the fault tells that the expression was not true already.
  const double from = grid ? *grid - std::ceil((*grid - begin) / step + 1e-6) * step : begin;
  if (end < from) co_return;
  const auto& expect = experiment.spec.expect.alerts;
  const Result<std::vector<Series>> found =
      co_await side.client.query_range(rule.expr, from, end, step);
  std::optional<double> first;
  for (std::size_t i = 0; i < expect.size(); ++i) {
    if (expect[i].name != rule.alert) continue;
    const auto index = static_cast<std::int64_t>(i);
    if (!found) {
      api::AlertEvaluation none{.source = rule.source, .group = rule.group, .alert = rule.alert};
      none.expected = index;
      none.at = times.first_injected;
      record.evaluations.push_back(std::move(none));
      continue;
    }
    auto some =
        evaluations_of(*found, rule, expect[i].labels, index, from, end, step, true, side.offset);
    for (const api::AlertEvaluation& one : some)
      if (one.series.value_or(0) > 0 && times.first_injected <= one.at) {
        const double at = to_theirs(one.at.value, side.offset);
        first = std::max(first.value_or(at), at);
        break;
      }
    append(record.evaluations, std::move(some), kMostEvaluationsOfRun);
  }
  if (!found) {
    tell({found.error().message});
    co_return;
  }
  // Between its own evaluations, up to the first that found it true: when it was true first.
  if (!first) co_return;
  const double fine = std::max({std::clamp(step / 5, kFinest, kCoarsest), (*first - begin) / 1000});
  const Result<std::vector<Series>> closer =
      co_await side.client.query_range(rule.expr, begin, *first, fine);
  if (!closer) co_return;
  for (std::size_t i = 0; i < expect.size(); ++i) {
    if (expect[i].name != rule.alert) continue;
    auto some = evaluations_of(*closer, rule, expect[i].labels, static_cast<std::int64_t>(i), begin,
                               *first, fine, false, side.offset);
    only_changes(some);
    append(record.evaluations, std::move(some), kMostEvaluationsOfRun);
  }
}

awaitable<void> Watcher::Impl::finish_scrapes(PrometheusSide& side, const WatchTimes& times,
                                              std::vector<api::PodRef> pods) {
  std::vector<std::string> names, addresses;
  for (const api::PodRef& pod : pods) {
    names.push_back(pod.name);
    addresses.insert(addresses.end(), pod.addresses.begin(), pod.addresses.end());
  }
  const UtcTime from = times.first_injected.value - std::chrono::seconds(1);
  const double end = to_theirs(times.end, side.offset);
  const std::string range = range_words(from, times.end);
  std::vector<std::string> questions;
  if (!names.empty()) questions.push_back("up{pod=~" + any_of(names) + "}");
  if (!addresses.empty()) {
    std::string hosts = any_of(addresses);  // "10\\.0\\.0\\.5|fd00::5"
    hosts = "\"\\\\[?(" + hosts.substr(1, hosts.size() - 2) + ")\\\\]?(:[0-9]+)?\"";
    questions.push_back("up{instance=~" + hosts + "}");
  }
  std::set<Labels> seen;
  std::vector<Series> all;
  const auto ask = [&](std::string question) -> awaitable<void> {
    Result<std::vector<Series>> up = co_await side.client.query(question + range, end);
    if (!up) {
      tell({up.error().message});
      co_return;
    }
    for (Series& one : *up) {
      const auto ns = one.labels.find("namespace");
      const auto pod = one.labels.find("pod");
      const bool other = ns != one.labels.end() && pod != one.labels.end() &&
                         std::ranges::none_of(pods, [&](const api::PodRef& ref) {
                           return ref.namespace_ == ns->second && ref.name == pod->second;
                         });
      if (!other && seen.insert(one.labels).second) all.push_back(std::move(one));
    }
  };
  for (const std::string& question : questions) co_await ask(question);
  // The pods are not scraped themselves, or not known by these names: what the rules read is.
  if (all.empty() && !side.jobs.empty()) {
    const std::vector<std::string> jobs(side.jobs.begin(), side.jobs.end());
    Result<std::vector<Series>> up =
        co_await side.client.query("up{job=~" + any_of(jobs) + "}" + range, end);
    if (up) all = std::move(*up);
    std::erase_if(all, [&](const Series& one) { return of_others(one.labels, namespaces); });
  }
  append(record.scrapes, scrapes_of(all, side.client.options().name, side.offset), kMostScrapes);
}

awaitable<void> Watcher::Impl::finish_signals(PrometheusSide& side, const WatchTimes& times) {
  if (&side != prometheus.front().get() || !times.last_injected.set()) co_return;
  const auto& signals = experiment.spec.expect.signals;
  for (std::size_t i = 0; i < signals.size(); ++i) {
    api::SignalSample* last = nullptr;  // with a number, in the fault
    for (api::SignalSample& sample : record.signals)
      if (!sample.abortWhen && sample.index == static_cast<std::int64_t>(i) && sample.value &&
          times.first_injected <= sample.at && sample.at <= times.last_injected)
        last = &sample;
    if (last == nullptr) continue;
    const double at = to_theirs(last->at.value, side.offset);
    const std::vector<std::string> metrics = metrics_behind(signals[i].promql, side.rules);
    if (!metrics.empty()) {
      const std::string newest = "timestamp({__name__=~" + any_of(metrics) + "})";
      auto age = co_await side.client.query("time() - max(" + newest + ")", at);
      // Series that ended have no value any more, while a range still reaches what they had.
      if (age && age->empty()) {
        const double window =
            std::max(kOldestSample, report::scan_promql(signals[i].promql).longest_window);
        const std::string range = "[" + std::to_string(std::llround(window)) +
                                  "s:" + std::to_string(std::max(1LL, std::llround(window / 300))) +
                                  "s]";
        age = co_await side.client.query("time() - max(max_over_time(" + newest + range + "))", at);
      }
      if (age) last->newest = one_number(*age);
    }
    const auto quantile = quantile_query(signals[i].promql);
    if (!quantile) continue;
    const auto buckets = co_await side.client.query(quantile->buckets, at);
    if (!buckets) continue;
    if (const auto bucket = bucket_of(*buckets, quantile->quantile)) {
      last->low = bucket->low;
      last->high = bucket->high;
    }
  }
}

// An alert's own labels decide where it is routed, not only those of its rule: now they are known.
void Watcher::Impl::route_instances(const WatchTimes& times) {
  if (alertmanager.empty()) return;
  for (api::AlertRule& rule : record.rules) {
    const api::AlertChange* fired = nullptr;
    for (const api::AlertChange& change : record.changes)
      if (change.source == rule.source && change.alert == rule.alert &&
          change.state != api::AlertState::inactive && times.first_injected <= change.at &&
          std::ranges::all_of(rule.labels, [&](const auto& label) {
            const auto found = change.labels.find(label.first);
            return found != change.labels.end() &&
                   (found->second == label.second || label.second.find("{{") != std::string::npos);
          }))
        if (fired == nullptr ||
            (fired->state == api::AlertState::pending && change.state == api::AlertState::firing))
          fired = &change;
    if (fired == nullptr) continue;
    Labels labels = fired->labels;
    labels["alertname"] = rule.alert;
    const std::vector<api::AlertRoute> before = std::move(rule.routes);
    rule.routes.clear();
    for (const auto& side : alertmanager) find_routes(*side, rule, labels, fired->at.value);
    // What Alertmanager holds now says nothing of then: record.held tells what muted it.
    for (api::AlertRoute& route : rule.routes) {
      route.muted.clear();
      for (const api::AlertRoute& one : before)
        if (one.receiver == route.receiver) route.muted = one.muted;
    }
    if (rule.routes.empty()) rule.routes = before;
  }
}

// Those that were expected come first, so that a flood of others hides none of them.
void Watcher::Impl::keep_changes(const PrometheusSide& side, std::vector<api::AlertChange> changes,
                                 const WatchTimes& times) {
  std::erase_if(changes, [&](const api::AlertChange& one) {
    return !expected(one.alert) && of_others(one.labels, namespaces);
  });
  const auto others = std::ranges::stable_partition(
      changes, [&](const api::AlertChange& one) { return expected(one.alert); });
  const std::size_t room = kMostChanges - std::min(kMostChanges, record.changes.size());
  if (changes.size() - others.size() > room)
    record.gaps.push_back({side.client.options().name,
                           {times.begin},
                           {times.end},
                           "the expected alerts changed more often than a run can keep"});
  else if (changes.size() > room)
    tell({"other alerts changed more often than a run can keep: not all are told"});
  append(record.changes, std::move(changes), kMostChanges);
}

void Watcher::Impl::leave_out_others() {
  const std::size_t n = observe::leave_out_others(record, experiment.spec.expect, namespaces);
  if (n > 0) tell({std::to_string(n) + " alerts of other namespaces are left out"});
}

void Watcher::Impl::close_gaps(UtcTime end) {
  const auto close = [&](Reached& side) {
    if (!side.away_since) return;
    const api::MonitoringSource& source = source_of(side);
    record.gaps.push_back({source.name, {*side.away_since}, {end}, source.problem});
    side.away_since.reset();
  };
  for (const auto& side : prometheus) close(*side);
  for (const auto& side : alertmanager) close(*side);
}

awaitable<void> Watcher::finish(WatchTimes times, std::vector<api::PodRef> pods) {
  if (!impl_->namespaces.empty())
    for (const api::PodRef& pod : pods) impl_->namespaces.insert(pod.namespace_);
  for (const auto& side : impl_->prometheus) co_await impl_->finish(*side, times, pods);
  for (const auto& side : impl_->alertmanager) co_await impl_->poll(*side);
  impl_->leave_out_others();
  impl_->route_instances(times);
  impl_->close_gaps(times.end);
  co_await impl_->conclude(times, std::move(pods));
}

}  // namespace faultline::controller::observe
