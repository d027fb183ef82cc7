// SPDX-License-Identifier: Apache-2.0
// What of AlertJudge is about alerts that did not fire.
#include <algorithm>

#include "api/codec.h"
#include "api/gap_words.h"
#include "base/quoted.h"
#include "report/floor.h"
#include "report/format.h"
#include "report/judge_alerts.h"
#include "report/promql.h"

namespace faultline::report {

using api::DetectionVerdict;

// ---- `for` that began anew ----

std::string AlertJudge::restart_words(const std::string& source) const {
  for (const api::MonitoringSource& one : record.sources)
    if (one.name == source && one.kind == "prometheus" && one.startedAt.set() &&
        times.first_injected <= one.startedAt)
      return one.name + " was started anew at " + time_words(one.startedAt);
  return {};
}

std::string AlertJudge::began_anew(const Instance& instance, api::Timestamp before) const {
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

std::string AlertJudge::changed_words(const api::AlertRule& rule) {
  return "the rule was changed during the run: " + rule.changed;
}

const api::AlertRule* AlertJudge::settings_of(const api::AlertRule* rule) const {
  if (rule == nullptr || !rule->changed.empty()) return nullptr;
  const std::string source = "rule " + rule->alert + " of " + rule->source;
  const bool in_doubt = std::ranges::any_of(record.gaps, [&](const api::MonitoringGap& gap) {
    return gap.source == source && api::is_doubt(gap);
  });
  return in_doubt ? nullptr : rule;
}

std::string AlertJudge::doubt_words(const std::string& alert, const std::string& source) const {
  for (const api::MonitoringSource& one : record.sources) {
    if (one.kind != "prometheus" || (!source.empty() && one.name != source)) continue;
    for (const api::MonitoringGap& gap : record.gaps)
      if (gap.source == "rule " + alert + " of " + one.name) return gap.reason;
  }
  return {};
}

// ---- what did not fire ----

std::string AlertJudge::asked_in_vain() const {
  std::vector<std::string> words;
  for (const api::MonitoringSource& source : record.sources)
    if (source.kind == "prometheus" && !source.problem.empty())
      words.push_back(source.name + ": " + source.problem);
  return join(words, "; ");
}

std::string AlertJudge::gap_words(const std::string& source, const api::Timestamp& until) const {
  std::vector<std::string> words;
  for (const api::MonitoringGap& gap : record.gaps)
    if (gap.source == source && times.first_injected < gap.to && gap.from < until &&
        !api::is_partial(gap))
      words.push_back(gap.source + " could not be asked from " + time_words(gap.from) + " to " +
                      time_words(gap.to) + ": " + gap.reason);
  if (words.size() > 3) words.resize(3);
  return join(words, "; ");
}

std::string AlertJudge::part_words(const std::string& source, const api::Timestamp& until) const {
  for (const api::MonitoringGap& gap : record.gaps) {
    if (!api::is_partial(gap) || !(times.first_injected < gap.to) || !(gap.from < until)) continue;
    const bool meant = std::ranges::any_of(record.sources, [&](const api::MonitoringSource& one) {
      return one.kind == "prometheus" && one.name == gap.source &&
             (source.empty() || one.name == source);
    });
    if (meant) return gap.source + ": " + gap.reason;
  }
  return {};
}

void AlertJudge::judge_missed(api::DetectionReport& out, const api::ExpectAlert& expect,
                              std::int64_t index) const {
  // A source that is away may have the rule, or have seen it fire, and so may a store that did not
  // answer.
  std::string away = asked_in_vain();
  if (away.empty()) away = part_words("", times.end);
  const auto is_rule = [&](const api::AlertRule& rule) {
    return rule.alert == expect.name && std::ranges::all_of(expect.labels, [&](const auto& label) {
             const auto found = rule.labels.find(label.first);
             return found == rule.labels.end() || found->second == label.second ||
                    found->second.find("{{") != std::string::npos;
           });
  };
  const auto rule = std::ranges::find_if(record.rules, is_rule);
  out.verdict = away.empty() ? DetectionVerdict::missed : DetectionVerdict::unknown;
  if (rule == record.rules.end()) {
    out.reason = away.empty() ? no_rule(expect) : away;
    if (!away.empty()) return;
    if (const std::string doubt = doubt_words(expect.name, ""); !doubt.empty()) {
      out.verdict = DetectionVerdict::unknown;
      out.reason += "; " + doubt;
    }
    if (record.ruleNames.empty() && record.rules.empty()) {
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
  add_steps(out, settings_of(&*rule), nullptr, seen, times);
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
    const std::string doubt = doubt_words(rule->alert, rule->source);
    out.reason = !rule->changed.empty() ? changed_words(*rule)
                 : !doubt.empty()       ? doubt
                                        : "its expression could not be asked";
  }
}

std::string AlertJudge::no_rule(const api::ExpectAlert& expect) const {
  std::vector<std::string_view> names(record.ruleNames.begin(), record.ruleNames.end());
  const std::string near = api::nearest_word(expect.name, names);
  if (near == expect.name) return "no rule of that name has these labels";
  return "no rule is named " + in_quotes(expect.name) +
         (near.empty() ? "" : "; the nearest is " + in_quotes(near));
}

std::string AlertJudge::why_missed(const api::AlertRule& rule, const Evaluated& seen,
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

}  // namespace faultline::report
