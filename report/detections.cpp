// SPDX-License-Identifier: Apache-2.0
#include "report/detections.h"

#include <algorithm>

#include "api/codec.h"
#include "base/quoted.h"
#include "report/alert_episodes.h"
#include "report/alert_scope.h"
#include "report/floor.h"
#include "report/format.h"
#include "report/not_told.h"
#include "report/promql.h"
#include "report/waterfall.h"

namespace faultline::report {
namespace {

using api::DetectionVerdict;

struct Judge {
  const api::MonitoringRecord& record;
  const DetectionTimes& times;
  const RunPods& pods;
  std::vector<Instance> instances;
  AlertOwners owners{instances};

  // ---- what fired ----

  void time_episode(api::DetectionReport& out, const Instance& instance, const Episode& episode,
                    const Delivery& delivery, std::int64_t expected) const {
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
    if (instance.rule != nullptr) {
      out.group = instance.rule->group;
      seen = evaluated(record, *instance.rule, expected, times, out.firstScrapeAt);
    }
    add_steps(out, instance.rule, delivery.route, seen, times);
  }

  // How long an alert may go on firing after the last injected event by its own settings.
  [[nodiscard]] static double settling(const api::AlertRule* rule) {
    if (rule == nullptr) return 60;
    return rule->keepFiringForSeconds + rule->longestWindow + rule->scrapeInterval.value_or(0) +
           2 * rule->evaluationInterval;
  }

  // Times it fired after the first injected event.
  [[nodiscard]] std::size_t firings(const Instance& instance) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(instance.episodes, [&](const Episode& episode) {
          return episode.firing.set() && times.first_injected <= episode.firing &&
                 episode.firing <= times.end;
        }));
  }

  // Whether an instance fired and ended again during the run before anything was injected.
  [[nodiscard]] std::string fired_for_nothing(const Instance& instance) const {
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

  // Whoever asked for it by pod or namespace means the instance that has these labels.
  [[nodiscard]] static bool names_its_scope(const api::ExpectAlert& expect) {
    return std::ranges::any_of(expect.labels, [](const auto& label) {
      return label.first.find("namespace") != std::string::npos ||
             label.first.find("pod") != std::string::npos;
    });
  }

  void judge_fired(api::DetectionReport& out, const Instance& instance, const Episode& episode,
                   const api::ExpectAlert& expect, std::int64_t index) const {
    const Delivery delivery =
        delivery_of(record, owners, instance, episode, expect.receiver, times);
    time_episode(out, instance, episode, delivery, index);
    std::vector<std::string> reasons;
    const std::size_t fired = firings(instance);
    const bool late = *out.seconds > *out.within;
    const std::string earlier = fired_for_nothing(instance);
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
      out.verdict = DetectionVerdict::late;
    } else if (delivery.told == Told::too_early ||
               (delivery.told == Told::unmeasured && !expect.receiver.empty())) {
      out.verdict = DetectionVerdict::unknown;
    } else if (fired > 1) {
      out.verdict = DetectionVerdict::flapping;
    } else if (!episode.end.set() && times.last_injected.set() &&
               seconds_between(times.last_injected, times.end) > settling(instance.rule)) {
      out.verdict = DetectionVerdict::still_firing;
      reasons.push_back("still firing " +
                        seconds_words(seconds_between(times.last_injected, times.end)) +
                        " after the last injected event");
    } else {
      out.verdict = DetectionVerdict::detected;
    }
    if (!delivery.reason.empty()) reasons.push_back(delivery.reason);
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
    out.reason = join(reasons, "; ");
    if (scope == Scope::other_namespace || !earlier.empty()) forget_lengths(out);
  }

  // Of what is not known to be the fault's doing there is no time that it took.
  static void forget_lengths(api::DetectionReport& out) {
    out.steps.clear();
    out.floor.reset();
    out.seconds.reset();
  }

  // ---- `for` that began anew ----

  [[nodiscard]] std::string restart_words(const std::string& source) const {
    for (const api::MonitoringSource& one : record.sources)
      if (one.name == source && one.kind == "prometheus" && one.startedAt.set() &&
          times.first_injected <= one.startedAt)
        return one.name + " was started anew at " + time_words(one.startedAt);
    return {};
  }

  [[nodiscard]] std::string began_anew(const Instance& instance, api::Timestamp before) const {
    std::size_t given_up = 0;
    for (const Episode& episode : instance.episodes)
      if (episode.pending.set() && !episode.firing.set() && episode.end.set() &&
          times.first_injected <= episode.pending && (!before.set() || episode.end <= before))
        ++given_up;
    if (given_up == 0) return {};
    std::string out = "`for` began anew " + plural(given_up, "time", "times");
    std::string why = restart_words(instance.source);
    if (why.empty()) why = broken_scrapes(record, instance.source, instance.labels, times);
    return why.empty() ? out : out + ": " + why;
  }

  // ---- what did not fire ----

  [[nodiscard]] std::string asked_in_vain() const {
    std::vector<std::string> words;
    for (const api::MonitoringSource& source : record.sources)
      if (source.kind == "prometheus" && !source.problem.empty())
        words.push_back(source.name + ": " + source.problem);
    return join(words, "; ");
  }

  // The times from the first injected event to `until` in which a source was away, in words.
  [[nodiscard]] std::string gap_words(const std::string& source,
                                      const api::Timestamp& until) const {
    std::vector<std::string> words;
    for (const api::MonitoringGap& gap : record.gaps)
      if (gap.source == source && times.first_injected < gap.to && gap.from < until)
        words.push_back(gap.source + " could not be asked from " + time_words(gap.from) + " to " +
                        time_words(gap.to) + ": " + gap.reason);
    if (words.size() > 3) words.resize(3);
    return join(words, "; ");
  }

  void judge_missed(api::DetectionReport& out, const api::ExpectAlert& expect,
                    std::int64_t index) const {
    const std::string away = asked_in_vain();
    const auto is_rule = [&](const api::AlertRule& rule) {
      return rule.alert == expect.name &&
             std::ranges::all_of(expect.labels, [&](const auto& label) {
               const auto found = rule.labels.find(label.first);
               return found == rule.labels.end() || found->second == label.second ||
                      found->second.find("{{") != std::string::npos;
             });
    };
    const auto rule = std::ranges::find_if(record.rules, is_rule);
    // A source that is away may have the rule, or have seen it fire.
    out.verdict = away.empty() ? DetectionVerdict::missed : DetectionVerdict::unknown;
    if (rule == record.rules.end()) {
      out.reason = away.empty() ? no_rule(expect) : away;
      if (record.ruleNames.empty() && record.rules.empty() && away.empty()) {
        out.verdict = DetectionVerdict::unknown;
        out.reason = "no rules could be read";
      }
      return;
    }
    out.source = rule->source;
    out.group = rule->group;
    const Instance* nearest = nullptr;
    for (const Instance& instance : instances)
      if (instance.alert == expect.name && has_labels(instance.labels, expect.labels) &&
          std::ranges::any_of(instance.episodes, [&](const Episode& episode) {
            return times.first_injected <= episode.since();
          }))
        nearest = &instance;
    const AlertLabels& labels = nearest != nullptr ? nearest->labels : expect.labels;
    if (nearest != nullptr) out.labels = nearest->labels;
    out.firstScrapeAt = first_scrape(record, rule->source, labels, times, {});
    const Evaluated seen = evaluated(record, *rule, index, times, out.firstScrapeAt);
    out.trueAt = seen.true_at;
    if (nearest != nullptr)
      for (const Episode& episode : nearest->episodes)
        if (times.first_injected <= episode.since() && !out.pendingAt.set()) {
          out.pendingAt = episode.pending;
          if (!out.trueAt.set()) out.trueAt = episode.pending;
        }
    add_steps(out, &*rule, nullptr, seen, times);
    if (!away.empty()) {
      out.reason = away;
      return;
    }
    out.reason = why_missed(*rule, seen, nearest, labels);
    // It was away and did not stop: what it evaluated meanwhile is not known. One that was started
    // anew evaluated nothing, which is known.
    if (const std::string gap = gap_words(rule->source, times.end); !gap.empty()) {
      if (restart_words(rule->source).empty()) out.verdict = DetectionVerdict::unknown;
      out.reason += "; " + gap;
    }
    // The expression was true for long enough, and Prometheus has nothing of the alert.
    if (nearest == nullptr && seen.held > 0 && seen.times_true <= 1 &&
        seen.longest > for_on_grid(*rule) + 2 * rule->evaluationInterval) {
      out.verdict = DetectionVerdict::unknown;
      out.reason +=
          "; it should have fired, and Prometheus stored nothing of it: was the rule changed or "
          "removed meanwhile?";
    }
    // Nothing was seen of it at all: that it did not fire is not known.
    if (seen.asked == 0 && seen.unknown > 0) {
      out.verdict = DetectionVerdict::unknown;
      out.reason = "its expression could not be asked";
    }
  }

  [[nodiscard]] std::string no_rule(const api::ExpectAlert& expect) const {
    std::vector<std::string_view> names(record.ruleNames.begin(), record.ruleNames.end());
    const std::string near = api::nearest_word(expect.name, names);
    if (near == expect.name) return "no rule of that name has these labels";
    return "no rule is named " + in_quotes(expect.name) +
           (near.empty() ? "" : "; the nearest is " + in_quotes(near));
  }

  [[nodiscard]] std::string why_missed(const api::AlertRule& rule, const Evaluated& seen,
                                       const Instance* nearest, const AlertLabels& labels) const {
    std::vector<std::string> reasons;
    if (!rule.problem.empty()) reasons.push_back(rule.problem);
    if (seen.asked > 0 && seen.held == 0) {
      reasons.push_back("its expression was true at none of " + count_words(seen.asked) +
                        " evaluations");
    } else if (seen.held > 0 || nearest != nullptr) {
      const std::string anew = nearest != nullptr ? began_anew(*nearest, {}) : std::string();
      const double needed = for_on_grid(rule);
      if (seen.times_true > 1)
        reasons.push_back("its expression was true " + count_words(seen.times_true) +
                          " times, at most " + seconds_words(seen.longest) + " on end");
      else if (seen.held > 0)
        reasons.push_back("its expression was true for " + seconds_words(seen.longest));
      reasons.push_back("it needs " + exact_seconds_words(needed) + " (for " +
                        promql_duration_words(rule.forSeconds) + ")");
      if (!anew.empty()) reasons.push_back(anew);
    } else {
      reasons.emplace_back("it was not seen pending or firing");
    }
    if (const std::string restart = restart_words(rule.source); !restart.empty())
      reasons.push_back(restart);
    const bool told = std::ranges::any_of(reasons, [](const std::string& reason) {
      return reason.find("scrapes of") != std::string::npos;
    });
    if (!told)
      if (std::string broken = broken_scrapes(record, rule.source, labels, times); !broken.empty())
        reasons.push_back(std::move(broken));
    return join(reasons, "; ");
  }

  // ---- one expectation ----

  // Whether an episode says more of the fault than another: it is of the run's pods, or it is the
  // first.
  [[nodiscard]] bool nearer(const Instance& of, const Episode& episode, const Instance& than,
                            const Episode& other) const {
    const Scope mine = scope_of(of.labels, pods), its = scope_of(than.labels, pods);
    return mine != its ? mine < its : episode.firing < other.firing;
  }

  [[nodiscard]] api::DetectionReport judge(const api::ExpectAlert& expect,
                                           std::int64_t index) const {
    api::DetectionReport out{.alert = expect.name, .labels = expect.labels};
    out.within = expect.within.seconds();
    if (!times.first_injected.set()) {
      out.reason = "no event was injected";
      return out;
    }
    const Instance* fired = nullptr;
    const Episode* how = nullptr;
    const Instance* before = nullptr;
    const Episode* since = nullptr;
    for (const Instance& instance : instances) {
      if (instance.alert != expect.name || !has_labels(instance.labels, expect.labels)) continue;
      for (const Episode& episode : instance.episodes) {
        if (!episode.firing.set() || times.end < episode.firing) continue;
        if (episode.since() < times.first_injected) {
          if (episode.end.set() && episode.end < times.first_injected) continue;
          before = &instance;
          since = &episode;
        } else if (how == nullptr || nearer(instance, episode, *fired, *how)) {
          fired = &instance;
          how = &episode;
        }
      }
    }
    if (before != nullptr && (fired == nullptr || fired == before)) {
      const Delivery delivery =
          delivery_of(record, owners, *before, *since, expect.receiver, times);
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

  // It fired before the first injected event, too, and a Prometheus that is started anew has
  // nothing of it for some evaluations.
  [[nodiscard]] bool began_anew_by_restart(const Instance& instance) const {
    return !restart_words(instance.source).empty() &&
           std::ranges::any_of(instance.episodes, [&](const Episode& episode) {
             return episode.firing.set() && episode.firing < times.first_injected &&
                    (!episode.end.set() || times.first_injected < episode.end);
           });
  }

  void add_false_alarms(std::vector<api::DetectionReport>& out, const api::Expect& expect) const {
    if (!times.first_injected.set()) return;
    std::size_t found = 0;
    for (const Instance& instance : instances) {
      const bool expected = std::ranges::any_of(expect.alerts, [&](const api::ExpectAlert& one) {
        return one.name == instance.alert && has_labels(instance.labels, one.labels);
      });
      if (expected || began_anew_by_restart(instance)) continue;
      for (const Episode& episode : instance.episodes) {
        if (!episode.firing.set() || episode.since() < times.first_injected ||
            times.end < episode.firing)
          continue;
        if (++found > kMostFalseAlarms) break;
        api::DetectionReport report{.alert = instance.alert};
        time_episode(report, instance, episode,
                     delivery_of(record, owners, instance, episode, {}, times), -1);
        report.verdict = DetectionVerdict::false_alarm;
        report.reason = "it fired, and was not expected";
        out.push_back(std::move(report));
        break;  // one report for each instance
      }
    }
    if (found > kMostFalseAlarms)
      out.back().reason += "; " + count_words(found - kMostFalseAlarms) + " more are not listed";
  }
};

}  // namespace

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

std::vector<api::DetectionReport> detections_of(const api::MonitoringRecord& record,
                                                const api::Expect& expect,
                                                const DetectionTimes& times, const RunPods& pods) {
  const Judge judge{record, times, pods, instances_of(record)};
  std::vector<api::DetectionReport> out;
  for (std::size_t i = 0; i < expect.alerts.size(); ++i)
    out.push_back(judge.judge(expect.alerts[i], static_cast<std::int64_t>(i)));
  judge.add_false_alarms(out, expect);
  return out;
}

}  // namespace faultline::report
