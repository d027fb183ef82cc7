// SPDX-License-Identifier: Apache-2.0
#include "report/detections.h"

#include <algorithm>

#include "report/format.h"
#include "report/judge_alerts.h"
#include "report/promql.h"

namespace faultline::report {

using api::DetectionVerdict;

namespace {

// How long an alert may go on firing after the last injected event by its own settings.
double settling(const api::AlertRule* rule) {
  if (rule == nullptr) return 60;
  return rule->keepFiringForSeconds + rule->longestWindow + rule->scrapeInterval.value_or(0) +
         2 * rule->evaluationInterval;
}

// Whoever asked for it by pod or namespace means the instance that has these labels.
bool names_its_scope(const api::ExpectAlert& expect) {
  return std::ranges::any_of(expect.labels, [](const auto& label) {
    return label.first.find("namespace") != std::string::npos ||
           label.first.find("pod") != std::string::npos;
  });
}

// Whether the rule's expression was true at the moment of the first injected event, and from then
// on until the alert began: then what was scraped before the fault made it true. That needs the
// question of that very moment; where more series are true later, the alert may be of another one.
bool true_at_once(const api::MonitoringRecord& record, const api::AlertRule& rule,
                  std::int64_t expected, api::Timestamp injected, api::Timestamp since) {
  constexpr double kSameTime = 0.05;  // seconds; evaluations are some milliseconds late
  const std::string group = evaluated_as(record, rule);
  std::optional<std::uint64_t> at_injection, at_begin;
  for (const api::AlertEvaluation& one : record.evaluations) {
    if (one.source != rule.source || one.group != group || one.alert != rule.alert ||
        one.expected != expected || !one.at.set())
      continue;
    const double after = seconds_between(injected, one.at);
    const double left = seconds_between(one.at, since);
    if (after < -1e-3 || left < -kSameTime) continue;
    if (one.series.value_or(0) == 0) return false;
    if (!one.onGrid && after < 1e-3) at_injection = one.series;
    if (one.onGrid && left < kSameTime) at_begin = one.series;
  }
  return at_injection && at_begin && *at_begin <= *at_injection;
}

// Of what is not known to be the fault's doing there is no time that it took.
void forget_lengths(api::DetectionReport& out) {
  out.steps.clear();
  out.floor.reset();
  out.seconds.reset();
}

}  // namespace

// ---- what fired ----

void AlertJudge::time_episode(api::DetectionReport& out, const Instance& instance,
                              const Episode& episode, const Delivery& delivery,
                              std::int64_t expected) const {
  out.source = instance.source;
  out.labels = instance.labels;
  out.pendingAt = episode.pending;
  out.firingAt = episode.firing;
  out.trueAt = episode.since();
  out.resolvedAt = episode.end;
  out.notifiedAt = delivery.notified;
  out.resolvedNotifiedAt = delivery.resolved_notified;
  out.receivers = delivery.receivers;
  out.firstScrapeAt = first_scrape(record, instance.source, instance.labels, times, out.trueAt);
  out.seconds = seconds_between(times.first_injected, episode.firing);
  Evaluated seen;
  if (instance.rule != nullptr) out.group = instance.rule->group;
  const api::AlertRule* rule = settings_of(instance.rule);
  if (rule != nullptr) seen = evaluated(record, *rule, expected, times, out.firstScrapeAt);
  add_steps(out, rule, delivery.route, seen, times);
}

std::size_t AlertJudge::firings(const Instance& instance) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(instance.episodes, [&](const Episode& episode) {
        return episode.firing.set() && times.first_injected <= episode.firing &&
               episode.firing <= times.end;
      }));
}

std::string AlertJudge::fired_for_nothing(const Instance& instance) const {
  std::size_t count = 0;
  api::Timestamp last;
  for (const Episode& episode : instance.episodes)
    if (times.begin.set() && episode.firing.set() && episode.end.set() &&
        times.begin <= episode.firing && episode.end < times.first_injected) {
      ++count;
      last = episode.firing;
    }
  if (count == 0) return {};
  return "it fired " + plural(count, "time", "times") +
         " before the first injected event, last at " + time_words(last) +
         ", and ended by itself: that it fired again may be chance";
}

void AlertJudge::judge_fired(api::DetectionReport& out, const Instance& instance,
                             const Episode& episode, const api::ExpectAlert& expect,
                             std::int64_t index) const {
  const Delivery delivery = delivery_of(record, owners, instance, episode, expect.receiver, times);
  time_episode(out, instance, episode, delivery, index);
  std::vector<std::string> reasons;
  const std::size_t fired = firings(instance);
  const bool late = *out.seconds > *out.within;
  // A part that did not answer may have seen it fire earlier.
  const std::string part = part_words(instance.source, times.end);
  const std::string earlier = fired_for_nothing(instance);
  // No verdict: a sample has the time at which its scrape began, and a probe that waits shows the
  // fault in the sample of before it.
  if (const api::AlertRule* rule = settings_of(instance.rule);
      earlier.empty() && rule != nullptr &&
      true_at_once(record, *rule, index, times.first_injected, episode.since()))
    reasons.emplace_back(
        "its expression was true at the first injected event already: a scrape was under way then, "
        "or it is chance");
  const Scope scope = names_its_scope(expect) ? Scope::run : scope_of(instance.labels, pods);
  if (scope != Scope::run) {
    reasons.push_back(scope_words(instance.labels, pods));
    if (scope == Scope::other_namespace)
      reasons.back() += "; if it is meant, name its namespace in the labels of the expectation";
  }
  if (scope == Scope::other_namespace) {
    out.verdict = DetectionVerdict::unknown;
  } else if (!earlier.empty()) {
    out.verdict = DetectionVerdict::before_fault;
    reasons.insert(reasons.begin(), earlier);
  } else if (delivery.told == Told::not_told) {
    out.verdict = DetectionVerdict::not_notified;
  } else if (late) {
    out.verdict = part.empty() ? DetectionVerdict::late : DetectionVerdict::unknown;
  } else if (delivery.told == Told::too_early || delivery.told == Told::ambiguous ||
             (delivery.told == Told::unmeasured && !expect.receiver.empty())) {
    out.verdict = DetectionVerdict::unknown;
  } else if (fired > 1) {
    out.verdict = DetectionVerdict::flapping;
  } else if (!episode.end.set() && times.last_injected.set() &&
             seconds_between(times.last_injected, times.end) >
                 settling(settings_of(instance.rule))) {
    out.verdict = DetectionVerdict::still_firing;
    reasons.push_back("still firing " +
                      seconds_words(seconds_between(times.last_injected, times.end)) +
                      " after the last injected event");
  } else {
    out.verdict = DetectionVerdict::detected;
  }
  if (!delivery.reason.empty()) reasons.push_back(delivery.reason);
  if (!part.empty()) reasons.push_back(part);
  if (late) {
    const auto longest = std::ranges::max_element(out.steps, {}, [](const auto& step) {
      return step.name == "group" ? -1.0 : step.seconds.value_or(-1);
    });
    const std::string gap = gap_words(instance.source, episode.firing);
    reasons.push_back("fired after " + seconds_words(*out.seconds) + ", expected within " +
                      exact_seconds_words(*out.within) + "; " +
                      (gap.empty() ? "most of it: " + longest->cause : gap));
  }
  if (fired > 1) {
    reasons.push_back("fired " + count_words(fired) + " times");
    if (const std::string anew = restart_words(instance.source); !anew.empty())
      reasons.push_back(anew);
  }
  if (const std::string anew = began_anew(instance, episode.firing); !anew.empty())
    reasons.push_back(anew);
  if (instance.rule != nullptr && !instance.rule->changed.empty())
    reasons.push_back(changed_words(*instance.rule));
  out.reason = join(reasons, "; ");
  if (scope == Scope::other_namespace || !earlier.empty()) forget_lengths(out);
}

// ---- one expectation ----

bool AlertJudge::nearer(const Instance& of, const Episode& episode, const Instance& than,
                        const Episode& other) const {
  const Scope mine = scope_of(of.labels, pods), its = scope_of(than.labels, pods);
  return mine != its ? mine < its : episode.firing < other.firing;
}

AlertJudge::Choice AlertJudge::choose(const api::ExpectAlert& expect) const {
  Choice out;
  for (const Instance& instance : instances) {
    if (instance.alert != expect.name || !has_labels(instance.labels, expect.labels)) continue;
    for (const Episode& episode : instance.episodes) {
      if (!episode.firing.set() || times.end < episode.firing) continue;
      if (episode.since() < times.first_injected) {
        if (episode.end.set() && episode.end < times.first_injected) continue;
        out.before = &instance;
        out.since = &episode;
      } else if (out.how == nullptr || nearer(instance, episode, *out.fired, *out.how)) {
        out.fired = &instance;
        out.how = &episode;
      }
    }
  }
  return out;
}

api::DetectionReport AlertJudge::judge(const api::ExpectAlert& expect, std::int64_t index) const {
  api::DetectionReport out{.alert = expect.name, .labels = expect.labels};
  out.within = expect.within.seconds();
  if (!times.first_injected.set()) {
    out.reason = "no event was injected";
    return out;
  }
  const auto [fired, how, before, since] = choose(expect);
  if (before != nullptr && (fired == nullptr || fired == before)) {
    const Delivery delivery = delivery_of(record, owners, *before, *since, expect.receiver, times);
    time_episode(out, *before, *since, delivery, index);
    out.verdict = DetectionVerdict::before_fault;
    forget_lengths(out);
    const bool firing = since->firing < times.first_injected;
    out.reason = std::string(firing ? "it was firing" : "its expression was true") + " since " +
                 time_words(firing ? since->firing : since->since()) + ", " +
                 seconds_words(seconds_between(firing ? since->firing : since->since(),
                                               times.first_injected)) +
                 " before the first injected event";
    return out;
  }
  if (fired != nullptr)
    judge_fired(out, *fired, *how, expect, index);
  else
    judge_missed(out, expect, index);
  return out;
}

// ---- what nobody expected ----

bool AlertJudge::began_anew_by_restart(const Instance& instance) const {
  return !restart_words(instance.source).empty() &&
         std::ranges::any_of(instance.episodes, [&](const Episode& episode) {
           return episode.firing.set() && episode.firing < times.first_injected &&
                  (!episode.end.set() || times.first_injected < episode.end);
         });
}

std::vector<std::pair<const Instance*, const Episode*>> AlertJudge::unexpected(
    const api::Expect& expect) const {
  std::vector<std::pair<const Instance*, const Episode*>> out;
  if (!times.first_injected.set()) return out;
  for (const Instance& instance : instances) {
    const bool expected = std::ranges::any_of(expect.alerts, [&](const api::ExpectAlert& one) {
      return one.name == instance.alert && has_labels(instance.labels, one.labels);
    });
    if (expected || began_anew_by_restart(instance)) continue;
    const auto fired = std::ranges::find_if(instance.episodes, [&](const Episode& episode) {
      return episode.firing.set() && times.first_injected <= episode.since() &&
             episode.firing <= times.end;
    });
    if (fired != instance.episodes.end()) out.emplace_back(&instance, &*fired);
  }
  return out;
}

void AlertJudge::add_false_alarms(std::vector<api::DetectionReport>& out,
                                  const api::Expect& expect) const {
  const auto found = unexpected(expect);
  for (std::size_t i = 0; i < found.size() && i < kMostFalseAlarms; ++i) {
    const auto& [instance, episode] = found[i];
    api::DetectionReport report{.alert = instance->alert};
    time_episode(report, *instance, *episode,
                 delivery_of(record, owners, *instance, *episode, {}, times), -1);
    report.verdict = DetectionVerdict::false_alarm;
    report.reason = "it fired, and was not expected";
    if (const std::string part = part_words(instance->source, times.end); !part.empty())
      report.reason += "; " + part;
    out.push_back(std::move(report));
  }
  if (found.size() > kMostFalseAlarms)
    out.back().reason +=
        "; " + count_words(found.size() - kMostFalseAlarms) + " more are not listed";
}

bool noticed(DetectionVerdict verdict) {
  switch (verdict) {
    case DetectionVerdict::detected:
    case DetectionVerdict::flapping:
    case DetectionVerdict::still_firing:
      return true;
    case DetectionVerdict::late:
    case DetectionVerdict::missed:
    case DetectionVerdict::not_notified:
    case DetectionVerdict::false_alarm:
    case DetectionVerdict::before_fault:
    case DetectionVerdict::unknown:
      return false;
  }
  return false;
}

api::Timestamp measured_until(const api::RunRecord& record) {
  if (record.history.empty()) return {};
  const api::PhaseMark& last = record.history.back();
  const bool over = last.state == api::RunState::Completed ||
                    last.state == api::RunState::Aborted || last.state == api::RunState::Failed;
  if (!over || record.history.size() < 2) return last.at;
  const api::Timestamp end = record.history[record.history.size() - 2].until;
  return end.set() ? std::min(end, last.at) : last.at;
}

std::vector<api::DetectionReport> detections_of(const api::MonitoringRecord& record,
                                                const api::Expect& expect,
                                                const DetectionTimes& times, const RunPods& pods) {
  const AlertJudge judge(record, times, pods);
  std::vector<api::DetectionReport> out;
  for (std::size_t i = 0; i < expect.alerts.size(); ++i)
    out.push_back(judge.judge(expect.alerts[i], static_cast<std::int64_t>(i)));
  judge.add_false_alarms(out, expect);
  return out;
}

}  // namespace faultline::report
