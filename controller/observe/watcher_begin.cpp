// SPDX-License-Identifier: Apache-2.0
// What a Watcher asks before the baseline, of each source once.
#include <algorithm>

#include "controller/observe/others.h"
#include "controller/observe/watcher_impl.h"

namespace faultline::controller::observe {
namespace {

// Of the questions for the jobs behind the expected alerts.
constexpr std::size_t kMostJobQuestions = 20;
constexpr std::size_t kNamesAtOnce = 4'096;  // bytes of the metrics' names in one question
constexpr std::chrono::seconds kLongestJobs{3};

}  // namespace

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
  // Whether a rule is there that was not told is not known: see planned_alerts().
  if (!rules->missing.empty()) {
    const UtcTime now = clock.utc();
    grow_gap(side.client.options().name, "rules", now, now, rules->missing);
  }
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
  if (!side.began || side.rules_taken) return;
  side.rules_taken = true;
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
  impl.route_expected();
  for (const auto& side : impl.alertmanager) side->held = {};
}

}  // namespace faultline::controller::observe
