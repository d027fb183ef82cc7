// SPDX-License-Identifier: Apache-2.0
// What a Watcher asks when the run is over.
#include <algorithm>
#include <cmath>

#include "controller/observe/others.h"
#include "controller/observe/watcher_impl.h"
#include "report/format.h"
#include "report/promql.h"

namespace faultline::controller::observe {
namespace {

using boost::asio::awaitable;

constexpr std::size_t kMostChanges = 20'000;
constexpr std::size_t kMostScrapes = 50'000;
constexpr double kBefore = 60;  // seconds of ALERTS before the baseline
constexpr double kLongestRange = 86'400;
constexpr double kOldestSample = 300;  // seconds; Prometheus takes none that is older for a value

double seconds_since(UtcTime from, UtcTime to) {
  return std::chrono::duration<double>(to - from).count();
}

// "[90s]": reaches back from the time of the question, at which `to` is asked.
std::string range_words(UtcTime from, UtcTime to) {
  const double length = std::clamp(std::ceil(seconds_since(from, to)), 1.0, kLongestRange);
  return "[" + std::to_string(static_cast<std::int64_t>(length)) + "s]";
}

}  // namespace

awaitable<void> Watcher::Impl::finish(PrometheusSide& side, WatchTimes times,
                                      std::vector<api::PodRef> pods) {
  // Of a source that was away at the begin there are no rules: they are asked for now.
  if (!side.began) co_await begin(side);
  if (!side.began) co_return;
  take_rules(side);
  const Result<BuildInfo> build = co_await side.client.build_info();
  if (!build && build.error().code != Errc::kNotFound) {
    missed(side, build.error());
    co_return;
  }
  if (build && build->started.set())
    source_of(side).startedAt =
        to_ours(std::chrono::duration<double>(build->started.value.time_since_epoch()).count(),
                side.offset);
  if (!co_await finish_alerts(side, times)) co_return;
  if (times.first_injected.set()) {
    co_await finish_rules(side, times);
    co_await finish_scrapes(side, times, std::move(pods));
    co_await finish_signals(side, times);
  }
  reached(side);
}

awaitable<bool> Watcher::Impl::finish_alerts(PrometheusSide& side, const WatchTimes& times) {
  const std::string& name = side.client.options().name;
  const UtcTime from = times.begin - std::chrono::seconds(static_cast<int>(kBefore));
  const double end = to_theirs(times.end, side.offset);
  Result<InPart<AlertSeries>> asked =
      co_await side.client.query_alerts("ALERTS" + range_words(from, times.end), end);
  if (!asked) {
    // Perhaps there are too many of them for one answer.
    std::vector<std::string> names;
    for (const api::ExpectAlert& one : experiment.spec.expect.alerts) names.push_back(one.name);
    tell({asked.error().message + "; only the expected alerts were asked for"});
    asked = co_await side.client.query_alerts(
        "ALERTS{alertname=~" + any_of(names) + "}" + range_words(from, times.end), end);
  }
  if (!asked) {
    missed(side, asked.error());
    co_return false;
  }
  // What fired is true; what is not there may have fired, too.
  if (!asked->missing.empty()) {
    grow_gap(name, "partial", times.begin, times.end, asked->missing);
    tell({name + ": " + asked->missing});
  }
  const AlertSeries alerts = std::move(asked->value);
  note_not_taken(name, alerts.left_out, times.begin, times.end);
  std::set<std::string> fired;
  for (const Series& one : alerts.series)
    if (const auto alert = one.labels.find("alertname"); alert != one.labels.end())
      fired.insert(alert->second);
  WantedRules wanted = [of_expected = expected_rules(experiment.spec.expect.alerts),
                        fired = std::move(fired), alerts = experiment.spec.expect.alerts](
                           const std::string& alert, const Labels& labels) {
    const bool named =
        std::ranges::any_of(alerts, [&](const api::ExpectAlert& one) { return one.name == alert; });
    return named ? of_expected(alert, labels) : fired.contains(alert);
  };
  Result<Rules> now = co_await ask_rules(side.client, side.offset, std::move(wanted));
  if (now) {
    tell(now->left_out);
    compare_rules(side, *now, times);
  } else {
    tell({now.error().message + "; whether rules were changed during the run is not known"});
    for (const api::ExpectAlert& one : experiment.spec.expect.alerts)
      doubt_rules(side, one.name, now.error().message, times);
  }
  std::vector<api::AlertRule> rules = now ? std::move(now->alerts) : side.rules;
  // Of a rule that was changed the longer interval counts: no time between two of its evaluations
  // is then taken for the end of an alert.
  for (api::AlertRule& rule : rules)
    for (const api::AlertRule& before : record.rules)
      if (before.source == name && !before.changed.empty() && is_rule(before, rule))
        rule.evaluationInterval = std::max(rule.evaluationInterval, before.evaluationInterval);
  keep_changes(side, alerts.series, rules, times);
  for (const api::AlertRule& rule : record.rules)
    if (rule.source == name && expected(rule.alert) && !grids.contains(group_key(rule)))
      if (const auto grid = grid_of(alerts.series, rules, rule)) grids[group_key(rule)] = *grid;
  // Rules of alerts that fired and were not expected: their settings explain how long it took.
  std::set<std::string> kept;
  for (const api::AlertChange& change : record.changes)
    if (change.source == name && !expected(change.alert)) kept.insert(change.alert);
  std::erase_if(rules, [&](const api::AlertRule& rule) { return !kept.contains(rule.alert); });
  if (append(record.rules, std::move(rules), kMostRules, rooms.rules) > 0)
    tell({name + ": not all rules of alerts that fired are kept: there are too many"});
  co_return true;
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
  const std::string& name = side.client.options().name;
  if (!scrapes_of(all, name, side.offset, into(record.scrapes, kMostScrapes, rooms.scrapes)))
    tell({name +
          ": the pods were scraped more often than a run can keep: not all scrapes are told"});
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
    if (i < side.behind_signals.size() && !side.behind_signals[i].empty()) {
      const std::string newest = "timestamp({__name__=~" + any_of(side.behind_signals[i]) + "})";
      auto age = co_await side.client.number("time() - max(" + newest + ")", at);
      // Series that ended have no value any more, while a range still reaches what they had.
      if (age && !*age) {
        const double window =
            std::max(kOldestSample, report::scan_promql(signals[i].promql).longest_window);
        const std::string range = "[" + std::to_string(std::llround(window)) +
                                  "s:" + std::to_string(std::max(1LL, std::llround(window / 300))) +
                                  "s]";
        age =
            co_await side.client.number("time() - max(max_over_time(" + newest + range + "))", at);
      }
      if (age) last->newest = *age;
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

// Those that were expected come first, so that a flood of others hides none of them.
void Watcher::Impl::keep_changes(const PrometheusSide& side, const std::vector<Series>& alerts,
                                 const std::vector<api::AlertRule>& rules,
                                 const WatchTimes& times) {
  const std::string& name = side.client.options().name;
  const double end = to_theirs(times.end, side.offset);
  const Take<api::AlertChange> keep = into(record.changes, kMostChanges, rooms.changes);
  const auto wanted = [&](const Labels& labels) { return expected(labels.at("alertname")); };
  const auto others = [&](const Labels& labels) {
    return !wanted(labels) && !of_others(labels, namespaces);
  };
  if (!changes_of(alerts, rules, name, side.offset, end, wanted, keep))
    grow_gap(name, "changes", times.begin, times.end,
             "the expected alerts changed more often than a run can keep");
  if (!changes_of(alerts, rules, name, side.offset, end, others, keep))
    tell({"other alerts changed more often than a run can keep: not all are told"});
}

void Watcher::Impl::leave_out_others() {
  const std::size_t n = observe::leave_out_others(record, experiment.spec.expect, namespaces);
  if (n == 0) return;
  tell({std::to_string(n) + " alerts of other namespaces are left out"});
  index_notifications();
}

void Watcher::Impl::close_gaps(UtcTime end) {
  const auto close = [&](Reached& side) {
    end_part(side, end);
    if (!side.away_since) return;
    const api::MonitoringSource& source = source_of(side);
    add_gap({source.name, {std::min(*side.away_since, end)}, {end}, source.problem});
    side.away_since.reset();
  };
  for (const auto& side : prometheus) close(*side);
  for (const auto& side : alertmanager) close(*side);
}

// Sources were asked at the same time; what each told is together, in their order.
void Watcher::Impl::sort_by_source() {
  std::map<std::string_view, std::size_t> order;
  for (const api::MonitoringSource& one : record.sources) order.emplace(one.name, order.size());
  const auto place = [&](const auto& one) { return order[one.source]; };
  std::ranges::stable_sort(record.rules, {}, place);
  std::ranges::stable_sort(record.changes, {}, place);
  std::ranges::stable_sort(record.evaluations, {}, place);
  std::ranges::stable_sort(record.scrapes, {}, place);
}

void Watcher::own_pods(std::vector<api::PodRef> pods) { impl_->own_pods = std::move(pods); }

awaitable<void> Watcher::finish(WatchTimes times, std::vector<api::PodRef> pods) {
  Impl& impl = *impl_;
  if (!impl.namespaces.empty())
    for (const api::PodRef& pod : pods) impl.namespaces.insert(pod.namespace_);
  impl.closing = true;
  impl.forget_ways();
  const SteadyTime until = impl.clock.steady() + times.patience;
  for (const auto& side : impl.prometheus) impl.note_waiting(*side);
  for (const auto& side : impl.alertmanager) impl.note_waiting(*side);
  std::vector<Impl::Beat> all;
  for (const auto& side : impl.prometheus)
    all.emplace_back([&impl, &times, &pods, of = side.get()]() -> awaitable<void> {
      co_await impl.finish(*of, times, pods);
      of->finished = true;
    });
  for (const auto& side : impl.alertmanager)
    all.emplace_back([&impl, of = side.get()]() -> awaitable<void> {
      co_await impl.poll(*of);
      co_await impl.compare_routing(*of);
      of->finished = true;
    });
  co_await together_until(std::move(all), until);
  const double patience = std::chrono::duration<double>(times.patience).count();
  const Error late{Errc::kUnavailable,
                   "it had not answered all that is asked at the end of a run within " +
                       report::exact_seconds_words(patience)};
  for (const auto& side : impl.prometheus)
    if (!side->finished) impl.missed(*side, late);
  for (const auto& side : impl.alertmanager)
    if (!side->finished) impl.missed(*side, late);
  impl.sort_by_source();
  impl.leave_out_others();
  impl.note_unrouted(times.end);
  impl.route_instances(times);
  impl.tell_left_off();
  impl.close_gaps(times.end);
  co_await impl.conclude(times, std::move(pods), until);
}

}  // namespace faultline::controller::observe
