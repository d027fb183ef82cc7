// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/watcher.h"

#include <algorithm>
#include <cmath>

#include "base/printable.h"
#include "controller/observe/others.h"
#include "controller/observe/watcher_impl.h"

namespace faultline::controller::observe {
namespace {

constexpr std::size_t kMostGaps = 500;
constexpr std::size_t kMostHeld = 2'000;
constexpr std::size_t kMostNames = 10'000;
constexpr std::size_t kMostSignals = 50'000;
constexpr std::size_t kMostTold = 50;
constexpr std::size_t kMostGroupLists = 600;

Labels with_name(const std::string& alert, Labels labels) {
  labels["alertname"] = alert;
  return labels;
}

}  // namespace

Watcher::Impl::Impl(boost::asio::any_io_executor executor, MonitoringSources from,
                    api::Experiment of, const Clock& its_clock)
    : clock(its_clock),
      experiment(std::move(of)),
      observed(from.observed_receivers.begin(), from.observed_receivers.end()) {
  // An Experiment of a namespace is read by whoever may in that namespace.
  namespaces = own_namespaces(experiment);
  const auto add = [&](Reached& side, const SourceOptions& options, const char* kind) {
    side.index = record.sources.size();
    record.sources.push_back({.name = options.name, .kind = kind, .url = options.url});
    record.sources.back().problem = "it was not asked yet";
  };
  for (SourceOptions& options : from.prometheus) {
    prometheus.push_back(std::make_unique<PrometheusSide>(executor, options, clock));
    add(*prometheus.back(), options, "prometheus");
  }
  for (SourceOptions& options : from.alertmanager) {
    alertmanager.push_back(std::make_unique<AlertmanagerSide>(executor, options, clock));
    add(*alertmanager.back(), options, "alertmanager");
  }
}

bool Watcher::Impl::expected(const std::string& alert) const {
  return std::ranges::any_of(experiment.spec.expect.alerts,
                             [&](const api::ExpectAlert& one) { return one.name == alert; });
}

void Watcher::Impl::reached(Reached& side) {
  api::MonitoringSource& source = source_of(side);
  if (side.away_since && record.gaps.size() < kMostGaps)
    record.gaps.push_back({source.name, {*side.away_since}, {clock.utc()}, source.problem});
  side.away_since.reset();
  source.problem.clear();
}

void Watcher::Impl::missed(Reached& side, const Error& error) {
  api::MonitoringSource& source = source_of(side);
  std::string words = error.message;
  if (words.starts_with(source.name + ": ")) words.erase(0, source.name.size() + 2);
  source.problem = printable(words, 400);
  if (!side.away_since) side.away_since = clock.utc();
}

void Watcher::Impl::tell(const std::vector<std::string>& words) {
  for (const std::string& one : words)
    if (told.size() < kMostTold && std::ranges::find(told, one) == told.end()) told.push_back(one);
}

boost::asio::awaitable<void> Watcher::Impl::begin(PrometheusSide& side) {
  const std::string name = side.client.options().name;
  const Result<BuildInfo> build = co_await side.client.build_info();
  if (build) source_of(side).version = build->program + " " + build->version;
  // What answers Prometheus' questions and has no such page is none the worse for it.
  if (!build && build.error().code != Errc::kNotFound) {
    missed(side, build.error());
    co_return;
  }
  // The shortest of three round trips knows it best.
  for (int i = 0; i < 3; ++i) {
    const Result<Offset> offset = co_await side.client.clock_offset();
    if (!offset) {
      missed(side, offset.error());
      co_return;
    }
    if (i == 0 || offset->uncertainty < side.offset.uncertainty) side.offset = *offset;
  }
  source_of(side).clockOffset = side.offset.offset;
  source_of(side).clockUncertainty = side.offset.uncertainty;
  if (build && build->started.set())
    source_of(side).startedAt =
        to_ours(std::chrono::duration<double>(build->started.value.time_since_epoch()).count(),
                side.offset);
  const Result<boost::json::value> data = co_await side.client.rules();
  Result<Rules> rules =
      data ? parse_rules(*data, name, side.offset) : Result<Rules>(tl::unexpect, data.error());
  if (!rules) {
    missed(side, rules.error());
    co_return;
  }
  side.rules = std::move(*rules);
  tell(side.rules.told);
  const Result<std::vector<Target>> targets = co_await side.client.targets();
  if (!targets) tell({targets.error().message});
  bool asks_jobs = targets.has_value();
  for (const api::AlertRule& rule : side.rules.alerts) {
    if (record.ruleNames.size() < kMostNames &&
        std::ranges::find(record.ruleNames, rule.alert) == record.ruleNames.end())
      record.ruleNames.push_back(rule.alert);
    if (!expected(rule.alert)) continue;
    record.rules.push_back(rule);
    const std::vector<std::string> metrics = metrics_behind(rule.expr, side.rules);
    if (metrics.empty() || !asks_jobs) continue;
    const Result<std::vector<Series>> jobs =
        co_await side.client.query("group by (job) ({__name__=~" + any_of(metrics) + "})",
                                   to_theirs(clock.utc(), side.offset));
    if (!jobs) {
      tell({jobs.error().message});
      // What gives no answer once would be waited for with each rule.
      asks_jobs = jobs.error().code == Errc::kInvalid;
      continue;
    }
    std::vector<std::string> names;
    for (const Series& one : *jobs)
      if (const auto job = one.labels.find("job"); job != one.labels.end())
        names.push_back(job->second);
    side.jobs.insert(names.begin(), names.end());
    record.rules.back().scrapeInterval = scrape_interval(names, *targets);
  }
  reached(side);
}

boost::asio::awaitable<void> Watcher::Impl::begin(AlertmanagerSide& side) {
  const Result<AlertmanagerStatus> status = co_await side.client.status();
  if (!status) {
    missed(side, status.error());
    co_return;
  }
  if (const auto offset = side.client.clock_offset()) side.offset = *offset;
  api::MonitoringSource& source = source_of(side);
  source.version = "Alertmanager " + status->version;
  source.clockOffset = side.offset.offset;
  source.clockUncertainty = side.offset.uncertainty;
  source.startedAt = status->started;
  if (Result<Routing> routing = parse_routing(status->config)) {
    side.routing = std::move(*routing);
    tell(side.routing->told);
  } else {
    tell({side.client.options().name + ": " + routing.error().message});
  }
  if (Result<std::vector<Silence>> silences = co_await side.client.silences())
    side.silences = std::move(*silences);
  co_await poll(side);
  for (api::AlertRule& rule : record.rules) {
    Labels labels = with_name(rule.alert, rule.labels);
    for (const api::ExpectAlert& one : experiment.spec.expect.alerts)
      if (one.name == rule.alert) labels.insert(one.labels.begin(), one.labels.end());
    find_routes(side, rule, labels, clock.utc());
  }
}

void Watcher::Impl::find_routes(AlertmanagerSide& side, api::AlertRule& rule, const Labels& labels,
                                UtcTime at) {
  if (!side.routing) return;
  const std::vector<AlertGroup>* groups = nullptr;  // that existed before `at`
  for (const auto& [since, list] : side.groups)
    if (since <= at) groups = &list;
  // Whoever asks of labels of another namespace is not told what mutes there.
  const bool foreign = of_others(labels, namespaces);
  const std::string silenced = foreign ? "" : silenced_words(side.silences, labels);
  const std::string inhibited =
      foreign ? "" : inhibited_words(*side.routing, side.held, labels, namespaces);
  for (api::AlertRoute& route : routes_of(*side.routing, labels, at)) {
    if (!silenced.empty()) route.muted = silenced;
    if (route.muted.empty()) route.muted = inhibited;
    route.observed = observed.contains(route.receiver);
    route.groupExists =
        groups != nullptr && std::ranges::any_of(*groups, [&](const AlertGroup& group) {
          return joins(group, route, labels);
        });
    rule.routes.push_back(std::move(route));
  }
}

boost::asio::awaitable<void> Watcher::Impl::poll(AlertmanagerSide& side) {
  const UtcTime now = clock.utc();
  Result<std::vector<HeldAlert>> held = co_await side.client.alerts();
  if (!held) {
    missed(side, held.error());
    co_return;
  }
  const bool unknown = std::ranges::any_of(*held, [&](const HeldAlert& alert) {
    return std::ranges::any_of(alert.silenced_by, [&](const std::string& id) {
      return std::ranges::find(side.silences, id, &Silence::id) == side.silences.end();
    });
  });
  if (unknown)
    if (Result<std::vector<Silence>> silences = co_await side.client.silences())
      side.silences = std::move(*silences);
  Result<std::vector<AlertGroup>> groups = co_await side.client.groups();
  if (!groups) {
    missed(side, groups.error());
    co_return;
  }
  if (side.groups.empty() || side.groups.back().second != *groups) {
    side.groups.emplace_back(now, std::move(*groups));
    if (side.groups.size() > kMostGroupLists) side.groups.pop_front();
  }
  note_held(side, *held);
  side.held = std::move(*held);
  reached(side);
}

void Watcher::Impl::note_held(AlertmanagerSide& side, const std::vector<HeldAlert>& held) {
  std::set<std::string> here;
  for (const HeldAlert& alert : held) {
    here.insert(alert.fingerprint);
    const bool wanted = expected(alert.alert);
    if (!wanted && (of_others(alert.labels, namespaces) || record.held.size() >= kMostHeld / 2))
      continue;
    api::AlertHeld now{.source = side.client.options().name, .alert = alert.alert};
    now.labels = alert.labels;
    now.startsAt = to_ours(alert.starts_at, prometheus.empty() ? Offset{} : prometheus[0]->offset);
    now.receivers = alert.receivers;
    for (const std::string& id : alert.silenced_by) {
      const auto silence = std::ranges::find(side.silences, id, &Silence::id);
      now.mutedBy.push_back(silence != side.silences.end() ? silence_words(*silence)
                                                           : "silenced by " + printable(id, 60));
    }
    for (const std::string& fingerprint : alert.inhibited_by) {
      const auto by = std::ranges::find(held, fingerprint, &HeldAlert::fingerprint);
      now.mutedBy.push_back("inhibited by " +
                            (by == held.end() ? "an alert " + printable(fingerprint, 60)
                                              : alert_words(by->alert, by->labels, namespaces)));
    }
    for (const std::string& interval : alert.muted_by)
      now.mutedBy.push_back("muted by the time interval " + printable(interval, 100));
    const auto before = side.told.find(alert.fingerprint);
    if (before != side.told.end() && !before->second.gone &&
        before->second.startsAt == now.startsAt && before->second.mutedBy == now.mutedBy &&
        before->second.receivers == now.receivers)
      continue;
    if (record.held.size() >= kMostHeld) return;
    now.at = {clock.utc()};
    side.told[alert.fingerprint] = now;
    record.held.push_back(std::move(now));
  }
  for (auto& [fingerprint, told_last] : side.told) {
    if (told_last.gone || here.contains(fingerprint) || record.held.size() >= kMostHeld) continue;
    told_last.gone = true;
    told_last.at = {clock.utc()};
    record.held.push_back(told_last);
  }
}

boost::asio::awaitable<bool> Watcher::Impl::poll_query(PrometheusSide& side, std::string promql,
                                                       std::int64_t index, bool abort) {
  const UtcTime now = clock.utc();
  const Result<std::vector<Series>> answer =
      co_await side.client.query(std::move(promql), to_theirs(now, side.offset));
  api::SignalSample sample{.index = index, .abortWhen = abort, .at = {now}};
  if (answer) sample.value = one_number(*answer);
  if (record.signals.size() < kMostSignals) record.signals.push_back(sample);
  if (abort && sample.value && std::isfinite(*sample.value)) {
    const auto known = std::ranges::find(abort_answers, index, &api::SignalSample::index);
    if (known != abort_answers.end())
      *known = sample;
    else
      abort_answers.push_back(sample);
  }
  if (answer || answer.error().code == Errc::kInvalid) {
    if (!answer) tell({answer.error().message});
    co_return true;
  }
  missed(side, answer.error());
  co_return false;
}

boost::asio::awaitable<void> Watcher::Impl::poll(PrometheusSide& side, bool queries) {
  const auto& signals = experiment.spec.expect.signals;
  const auto& aborts = experiment.spec.abortWhen;
  bool asked = false;
  for (std::size_t i = 0; queries && i < aborts.size(); ++i) {
    if (aborts[i].promql.empty()) continue;
    asked = true;
    if (!co_await poll_query(side, aborts[i].promql, static_cast<std::int64_t>(i), true)) co_return;
  }
  for (std::size_t i = 0; queries && i < signals.size(); ++i) {
    asked = true;
    if (!co_await poll_query(side, signals[i].promql, static_cast<std::int64_t>(i), false))
      co_return;
  }
  if (!asked) {
    // Whether it evaluates its rules is not seen otherwise: what it missed leaves no trace.
    const Result<Offset> there = co_await side.client.clock_offset();
    if (!there) {
      missed(side, there.error());
      co_return;
    }
  }
  reached(side);
}

Watcher::Watcher(boost::asio::any_io_executor executor, MonitoringSources sources,
                 api::Experiment experiment, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(executor), std::move(sources), std::move(experiment),
                                   clock)) {}
Watcher::~Watcher() = default;

boost::asio::awaitable<void> Watcher::begin() {
  for (const auto& side : impl_->prometheus) co_await impl_->begin(*side);
  for (const auto& side : impl_->alertmanager) co_await impl_->begin(*side);
}

boost::asio::awaitable<void> Watcher::poll() {
  for (const auto& side : impl_->alertmanager) co_await impl_->poll(*side);
  for (std::size_t i = 0; i < impl_->prometheus.size(); ++i)
    co_await impl_->poll(*impl_->prometheus[i], i == 0);
}

void Watcher::notified(api::AlertNotification notification) {
  if (impl_->notified.size() >= kMostNotifications) return;
  if (!impl_->notified
           .emplace(notification.receiver, notification.alert, notification.labels,
                    notification.startsAt.value, notification.resolved)
           .second)
    return;
  impl_->record.notifications.push_back(std::move(notification));
}

const std::vector<std::string>& Watcher::told() const { return impl_->told; }
const std::vector<api::SignalSample>& Watcher::abort_answers() const {
  return impl_->abort_answers;
}
const api::MonitoringRecord& Watcher::record() const { return impl_->record; }
api::MonitoringRecord Watcher::take() {
  impl_->leave_out_others();
  return std::move(impl_->record);
}

}  // namespace faultline::controller::observe
