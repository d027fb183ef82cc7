// SPDX-License-Identifier: Apache-2.0
// What the reports of the day's runs tell.
#include <algorithm>
#include <set>

#include "api/metrics.h"
#include "report/analysis.h"
#include "report/format.h"
#include "report/gameday/parts.h"
#include "report/gameday/times.h"
#include "report/story.h"

namespace faultline::report::gameday {
namespace {

constexpr std::size_t kMostMoved = 5;  // effects of one pod that are told

bool changed(const api::EffectReport& effect) {
  return api::find_metric(effect.metric) != nullptr &&
         (effect.significant == true || effect.significantTail == true);
}

std::string moved_words(const api::EffectReport& effect) {
  const api::Metric& metric = *api::find_metric(effect.metric);
  const Telling figure = telling_figure(effect);
  std::string text = metric_words(effect);
  if (figure.change) text += " " + change_words(metric, *figure.change);
  const std::string labels = labels_words(effect.labels);
  return labels.empty() ? text : text + " (" + labels + ")";
}

api::Timestamp time_of(const api::Report& report, std::string_view key) {
  const auto entry = std::ranges::find(report.timeline, key, &api::TimelineEntry::key);
  return entry == report.timeline.end() ? api::Timestamp{} : entry->at;
}

// The pods that moved: first the one that was seen to move first, then targets, observed pods,
// those connected with them and controls, each by how much they moved.
std::vector<api::DayPod> spread_of(const api::Report& report) {
  std::map<std::string, std::vector<const api::EffectReport*>> by_pod;
  for (const api::EffectReport& effect : report.effects)
    if (changed(effect)) by_pod[effect.pod].push_back(&effect);
  const auto t3 = std::ranges::find(report.timeline, "t3", &api::TimelineEntry::key);
  std::vector<std::pair<double, api::DayPod>> pods;
  for (auto& [name, effects] : by_pod) {
    std::ranges::stable_sort(effects, std::ranges::greater{},
                             [](const api::EffectReport* e) { return weight(*e); });
    api::DayPod pod{.pod = name, .role = effects.front()->role, .firstChangeAt = {}, .moved = {}};
    if (t3 != report.timeline.end() && t3->detail.starts_with(name + " "))
      pod.firstChangeAt = t3->at;
    for (std::size_t i = 0; i < effects.size() && i < kMostMoved; ++i)
      pod.moved.push_back(moved_words(*effects[i]));
    if (effects.size() > kMostMoved)
      pod.moved.push_back(plural(effects.size() - kMostMoved, "other", "others"));
    pods.emplace_back(weight(*effects.front()), std::move(pod));
  }
  const auto order = [](api::PodRole role) {
    switch (role) {
      case api::PodRole::target:
        return 0;
      case api::PodRole::observed:
        return 1;
      case api::PodRole::connected:
        return 2;
      case api::PodRole::control:
        break;
    }
    return 3;
  };
  std::ranges::stable_sort(pods, {}, [&](const auto& one) {
    return std::tuple(!one.second.firstChangeAt.set(), order(one.second.role), -one.first);
  });
  std::vector<api::DayPod> out;
  for (auto& one : pods) out.push_back(std::move(one.second));
  return out;
}

std::map<std::string, std::int64_t> measured_pods(const api::Report& report) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const api::EffectReport& effect : report.effects)
    seen.emplace(role_word(effect.role), effect.pod);
  std::map<std::string, std::int64_t> out;
  for (const auto& [role, pod] : seen) ++out[role];
  return out;
}

void add_injections(const api::Report& report, api::DayRun& run) {
  for (const api::InjectionReport& row : report.injections) {
    run.injections.push_back({row.pod, row.node, row.fault, row.asked, row.verdict, row.injected,
                              row.firstInjectedAt, row.lastInjectedAt});
    if (row.firstInjectedAt.set() &&
        (!run.firstInjectedAt.set() || row.firstInjectedAt < run.firstInjectedAt))
      run.firstInjectedAt = row.firstInjectedAt;
    run.lastInjectedAt = std::max(run.lastInjectedAt, row.lastInjectedAt);
  }
}

void add_report(const Sources& from, const api::Report& report, api::DayRun& run) {
  run.known = true;
  run.state = report.state;
  run.stateReason = from.people.tame(report.stateReason);
  run.verdict = report.verdict;
  run.fault = !report.injections.empty() || !report.experiment.spec.faults.empty();
  add_injections(report, run);
  run.firstEffectAt = time_of(report, "t3");
  run.recoveredAt = report.recovery.recoveredAt;
  run.recovery = report.recovery.text;
  if (run.recoveredAt.set())
    run.recovered = true;
  else if (run.recovery.ends_with(kNotBack))
    run.recovered = false;
  run.detections = report.detections;
  run.spread = spread_of(report);
  run.measuredPods = measured_pods(report);
  run.residue = report.residue;
}

// Whether the step's runs inject, by the document alone.
bool step_injects(const Steps& steps, const std::string& name) {
  const Steps::Place* place = steps.find(name);
  if (place == nullptr || place->step->sweep) return true;
  const auto& experiment = place->step->experiment;
  return !experiment || !experiment->spec || !experiment->spec->faults.empty();
}

}  // namespace

std::string no_report(const Sources& from, const std::string& run) {
  const auto why = from.not_read.find(run);
  return why == from.not_read.end() ? "is missing: it was removed or never made"
                                    : "was not read: " + why->second;
}

void add_runs(const Sources& from, api::GameDayReport& report) {
  std::map<std::string, std::size_t> by_id;
  struct Time {
    std::size_t known = 0;   // times before it
    std::int64_t times = 0;  // as add_course() counts them
    bool begun = false;
  };
  std::map<std::string, Time> times;  // of each step the last one
  for (const api::DayEntry& entry : from.record.entries) {
    if (entry.kind == api::EntryKind::step_begun) {
      Time& time = times[entry.step];
      time.times = time_of(time.known++, entry.times);
      time.begun = true;
    } else if (entry.kind == api::EntryKind::step_over) {
      Time& time = times[entry.step];
      if (!time.begun) ++time.known;  // it was left out
      time.begun = false;
    }
    if (entry.run.empty()) continue;
    if (entry.kind == api::EntryKind::run_begun && !by_id.contains(entry.run)) {
      by_id.emplace(entry.run, report.runs.size());
      api::DayRun run{.run = entry.run, .step = entry.step, .times = times[entry.step].times};
      run.begunAt = entry.at;
      run.fault = step_injects(from.steps, entry.step);
      if (const auto found = from.runs.find(entry.run); found != from.runs.end())
        add_report(from, found->second, run);
      report.runs.push_back(std::move(run));
    } else if (entry.kind == api::EntryKind::run_over) {
      if (const auto found = by_id.find(entry.run); found != by_id.end())
        report.runs[found->second].overAt = entry.at;
    }
  }
}

}  // namespace faultline::report::gameday

namespace faultline::report {

api::Report for_gameday(api::Report report) {
  // Of effects that are not called a change only one of each pod is counted.
  std::set<std::pair<api::PodRole, std::string>> seen;
  std::erase_if(report.effects, [&](const api::EffectReport& effect) {
    const bool first = seen.emplace(effect.role, effect.pod).second;
    return !first && !gameday::changed(effect);
  });
  report.effects.shrink_to_fit();
  report.nodes.clear();
  report.signals.clear();
  report.experiment.metadata = {};
  return report;
}

}  // namespace faultline::report
