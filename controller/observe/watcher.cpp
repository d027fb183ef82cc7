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
constexpr std::size_t kMostTold = 50;
constexpr std::size_t kLongestTold = 500;  // bytes of one
// Of the questions for the jobs behind the expected alerts.
constexpr std::size_t kMostJobQuestions = 20;
constexpr std::size_t kNamesAtOnce = 4'096;  // bytes of the metrics' names in one question
constexpr std::chrono::seconds kLongestJobs{3};

Labels with_name(const std::string& alert, Labels labels) {
  labels["alertname"] = alert;
  return labels;
}

}  // namespace

WantedRules expected_rules(std::vector<api::ExpectAlert> alerts) {
  return [alerts = std::move(alerts)](const std::string& alert, const Labels& labels) {
    return std::ranges::any_of(alerts, [&](const api::ExpectAlert& one) {
      return one.name == alert && std::ranges::all_of(one.labels, [&](const auto& label) {
               const auto own = labels.find(label.first);
               // A template is filled in by each instance.
               return own == labels.end() || own->second == label.second ||
                      own->second.find("{{") != std::string::npos;
             });
    });
  };
}

Watcher::Impl::Impl(boost::asio::any_io_executor executor, MonitoringSources from,
                    api::Experiment of, const Clock& its_clock)
    : clock(its_clock),
      experiment(std::move(of)),
      observed(from.observed_receivers.begin(), from.observed_receivers.end()),
      rooms(from.room) {
  // An Experiment of a namespace is read by whoever may in that namespace.
  namespaces = own_namespaces(experiment);
  const auto add = [&](Reached& side, const SourceOptions& options, const char* kind) {
    side.index = record.sources.size();
    record.sources.push_back({.name = options.name, .kind = kind, .url = options.url});
    record.sources.back().problem = "it was not asked yet";
  };
  for (const SourceOptions& options : from.prometheus) {
    prometheus.push_back(std::make_unique<PrometheusSide>(executor, options, clock));
    add(*prometheus.back(), options, "prometheus");
  }
  for (const SourceOptions& options : from.alertmanager) {
    alertmanager.push_back(std::make_unique<AlertmanagerSide>(executor, options, clock, from.room));
    add(*alertmanager.back(), options, "alertmanager");
  }
  const auto& conditions = experiment.spec.abortWhen;
  for (std::size_t i = 0; !from.prometheus.empty() && i < conditions.size(); ++i) {
    if (conditions[i].promql.empty()) continue;
    SourceOptions options = from.prometheus.front();
    options.max_body = std::min(options.max_body, kShortAnswer);  // it is one number
    abort_queries.push_back(std::make_unique<AbortQuery>(static_cast<std::int64_t>(i), executor,
                                                         std::move(options), clock));
  }
}

bool Watcher::Impl::expected(const std::string& alert) const {
  return std::ranges::any_of(experiment.spec.expect.alerts,
                             [&](const api::ExpectAlert& one) { return one.name == alert; });
}

void Watcher::Impl::reached(Reached& side) {
  api::MonitoringSource& source = source_of(side);
  if (side.away_since) add_gap({source.name, {*side.away_since}, {clock.utc()}, source.problem});
  side.away_since.reset();
  side.answered = clock.utc();
  source.problem.clear();
}

void Watcher::Impl::missed(Reached& side, const Error& error) {
  api::MonitoringSource& source = source_of(side);
  std::string words = error.message;
  if (words.starts_with(source.name + ": ")) words.erase(0, source.name.size() + 2);
  source.problem = printable(words, 400);
  away(side);
}

void Watcher::Impl::away(Reached& side) const {
  if (!side.away_since) side.away_since = side.answered.value_or(clock.utc());
}

void Watcher::Impl::note_waiting(Reached& side) {
  if (!side.looking || clock.steady() - *side.looking < kBeat) return;
  source_of(side).problem = "it had not answered a question when the run ended";
  away(side);
}

void Watcher::Impl::tell(const std::vector<std::string>& words) {
  for (const std::string& one : words) {
    std::string text = printable(one, kLongestTold);
    if (record.notes.size() < kMostTold &&
        std::ranges::find(record.notes, text) == record.notes.end())
      record.notes.push_back(std::move(text));
  }
}

void Watcher::Impl::add_gap(api::MonitoringGap gap) {
  if (record.gaps.size() < kMostGaps) {
    record.gaps.push_back(std::move(gap));
    return;
  }
  // What has more of them than are kept is away from its last one on: longer than it was, never
  // shorter.
  for (auto last = record.gaps.rbegin(); last != record.gaps.rend(); ++last)
    if (last->source == gap.source) {
      last->to = std::max(last->to, gap.to);
      return;
    }
  record.gaps.push_back(std::move(gap));
}

void Watcher::Impl::grow_gap(const std::string& source, const std::string& kind, UtcTime from,
                             UtcTime to, std::string reason) {
  const auto [known, added] = growing.emplace(std::pair(source, kind), record.gaps.size());
  if (added) {
    record.gaps.push_back({source, {from}, {to}, std::move(reason)});
    return;
  }
  api::MonitoringGap& gap = record.gaps[known->second];
  gap.from = std::min(gap.from, {from});
  gap.to = std::max(gap.to, {to});
  gap.reason = std::move(reason);
}

void Watcher::Impl::note_not_taken(const std::string& source, const NotTaken& left_out,
                                   UtcTime from, UtcTime to) {
  if (left_out.empty()) return;
  tell({source + ": " + left_out.words()});
  const auto& alerts = experiment.spec.expect.alerts;
  if (std::ranges::any_of(alerts,
                          [&](const api::ExpectAlert& one) { return left_out.may_be(one.name); }))
    grow_gap(source, "labels", from, to, left_out.words());
}

boost::asio::awaitable<void> Watcher::Impl::begin(PrometheusSide& side) {
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
  WantedRules wanted = expected_rules(experiment.spec.expect.alerts);
  Result<Rules> rules = co_await ask_rules(side.client, side.offset, std::move(wanted));
  if (!rules) {
    missed(side, rules.error());
    co_return;
  }
  // They name groups and rules of everybody.
  if (namespaces.empty()) tell(rules->told);
  tell(rules->left_out);
  side.rules = std::move(rules->alerts);
  side.names = std::move(rules->names);
  for (const api::ExpectSignal& signal : experiment.spec.expect.signals)
    side.behind_signals.push_back(metrics_behind(signal.promql, *rules));
  co_await find_intervals(side, *rules);
  side.began = true;
  reached(side);
}

// How often the targets behind each rule are scraped: by the jobs of its metrics, which are asked
// for all rules together.
boost::asio::awaitable<void> Watcher::Impl::find_intervals(PrometheusSide& side,
                                                           const Rules& rules) {
  if (side.rules.empty()) co_return;
  const Result<std::vector<Target>> targets = co_await side.client.targets();
  if (!targets) {
    tell({targets.error().message});
    co_return;
  }
  std::vector<std::vector<std::string>> behind;
  std::set<std::string> metrics;
  for (const api::AlertRule& rule : side.rules) {
    behind.push_back(metrics_behind(rule.expr, rules));
    metrics.insert(behind.back().begin(), behind.back().end());
  }
  std::map<std::string, std::set<std::string>> jobs;  // by metric
  const SteadyTime until = clock.steady() + kLongestJobs;
  auto next = metrics.begin();
  for (std::size_t asked = 0; next != metrics.end(); ++asked) {
    if (asked >= kMostJobQuestions || clock.steady() >= until) {
      tell({side.client.options().name + ": the scrape intervals behind " +
            std::to_string(std::distance(next, metrics.end())) +
            " metrics were not asked for: the rules of the expected alerts read more than the " +
            std::to_string(metrics.size()) + " that there is time for"});
      break;
    }
    std::vector<std::string> names;
    for (std::size_t bytes = 0; next != metrics.end() && (names.empty() || bytes < kNamesAtOnce);
         ++next) {
      bytes += next->size();
      names.push_back(*next);
    }
    const auto found =
        co_await side.client.query("group by (job, __name__) ({__name__=~" + any_of(names) + "})",
                                   to_theirs(clock.utc(), side.offset));
    if (!found) {
      tell({found.error().message});
      // What gives no answer once would be waited for again and again.
      if (found.error().code != Errc::kInvalid) break;
      continue;
    }
    for (const Series& one : *found) {
      const auto job = one.labels.find("job");
      if (job == one.labels.end()) continue;
      side.jobs.insert(job->second);
      if (const auto name = one.labels.find("__name__"); name != one.labels.end())
        jobs[name->second].insert(job->second);
    }
  }
  for (std::size_t i = 0; i < side.rules.size(); ++i) {
    std::set<std::string> of_rule;
    for (const std::string& metric : behind[i])
      if (const auto found = jobs.find(metric); found != jobs.end())
        of_rule.insert(found->second.begin(), found->second.end());
    if (!of_rule.empty())
      side.rules[i].scrapeInterval = scrape_interval({of_rule.begin(), of_rule.end()}, *targets);
  }
}

void Watcher::Impl::take_rules(PrometheusSide& side) {
  if (!side.began) return;
  const std::string& name = side.client.options().name;
  if (append(record.rules, side.rules, kMostRules, rooms.rules) > 0)
    tell({name + ": not all rules of the expected alerts are kept: there are too many"});
  std::set<std::string_view> known(record.ruleNames.begin(), record.ruleNames.end());
  std::vector<std::string> more;
  for (std::string& one : side.names)
    if (!known.contains(one)) more.push_back(std::move(one));
  known.clear();
  side.names.clear();
  static_cast<void>(
      std::ranges::stable_partition(more, [&](const std::string& one) { return expected(one); }));
  if (append(record.ruleNames, std::move(more), kMostRuleNames, rooms.rules) > 0)
    tell({name + ": not all names of rules are kept: there are too many"});
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
    // They name receivers and matchers of everybody.
    if (namespaces.empty()) tell(side.routing->told);
  } else {
    tell({side.client.options().name + ": " + routing.error().message});
  }
  if (Result<std::vector<Silence>> silences = co_await side.client.silences())
    side.silences = std::move(*silences);
  else
    tell({silences.error().message});
  reached(side);
}

void Watcher::Impl::find_routes(AlertmanagerSide& side, api::AlertRule& rule, const Labels& labels,
                                UtcTime at) {
  if (!side.routing) return;
  // Whoever asks of labels of another namespace is not told what mutes there.
  const bool foreign = of_others(labels, namespaces);
  const std::string silenced = foreign ? "" : silenced_words(side.silences, labels);
  const std::string inhibited =
      foreign ? "" : inhibited_words(*side.routing, side.held, labels, namespaces);
  for (api::AlertRoute& route : routes_of(*side.routing, labels, at)) {
    if (!silenced.empty()) route.muted = silenced;
    if (route.muted.empty()) route.muted = inhibited;
    route.observed = observed.contains(route.receiver);
    const auto is = [&](const AlertGroup& group) { return joins(group, route, labels); };
    route.groupExists = side.groups.any(at, is) || side.other_groups.any(at, is);
    if (!rooms.rules.take(bytes_of(route))) {
      tell({side.client.options().name +
            ": not all routes of the rules are kept: there are too many"});
      return;
    }
    rule.routes.push_back(std::move(route));
  }
}

Watcher::Watcher(boost::asio::any_io_executor executor, MonitoringSources sources,
                 api::Experiment experiment, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(executor), std::move(sources), std::move(experiment),
                                   clock)) {}
Watcher::~Watcher() = default;

boost::asio::awaitable<void> Watcher::begin() {
  Impl& impl = *impl_;
  std::vector<Impl::Beat> all;
  for (const auto& side : impl.prometheus)
    all.emplace_back([&impl, of = side.get()] { return impl.begin(*of); });
  for (const auto& side : impl.alertmanager)
    all.emplace_back([&impl, of = side.get()] { return impl.begin(*of); });
  co_await together(std::move(all), false);
  // Now the clock of Prometheus is known, by which alerts began to fire.
  std::vector<Impl::Beat> looks;
  for (const auto& side : impl.alertmanager)
    if (!side->away_since) looks.emplace_back([&impl, of = side.get()] { return impl.poll(*of); });
  co_await together(std::move(looks), false);
  for (const auto& side : impl.prometheus) impl.take_rules(*side);
  for (const auto& side : impl.alertmanager) {
    for (api::AlertRule& rule : impl.record.rules) {
      Labels labels = with_name(rule.alert, rule.labels);
      for (const api::ExpectAlert& one : impl.experiment.spec.expect.alerts)
        if (one.name == rule.alert) labels.insert(one.labels.begin(), one.labels.end());
      impl.find_routes(*side, rule, labels, impl.clock.utc());
    }
    side->held = {};
  }
}

const std::vector<AbortAnswer>& Watcher::abort_answers() const { return impl_->abort_answers; }
const api::MonitoringRecord& Watcher::record() const { return impl_->record; }
api::MonitoringRecord Watcher::take() {
  impl_->leave_out_others();
  impl_->tell_left_off();  // also what came after finish(), or without it
  return std::move(impl_->record);
}

}  // namespace faultline::controller::observe
