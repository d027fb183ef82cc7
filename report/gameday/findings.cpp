// SPDX-License-Identifier: Apache-2.0
// What was believed, what surprised, what did not come back, and what is not known.
#include <algorithm>

#include "report/format.h"
#include "report/gameday/parts.h"
#include "report/noticed.h"
#include "report/story.h"

namespace faultline::report::gameday {
namespace {

const api::Report* report_of(const Sources& from, const api::DayRun& run) {
  const auto found = from.runs.find(run.run);
  return found == from.runs.end() ? nullptr : &found->second;
}

// What a step expects, by the document alone: it has no report.
void add_unjudged(const api::Step& step, const std::string& run, const std::string& why,
                  api::GameDayReport& report) {
  if (!step.experiment || !step.experiment->spec) return;
  const api::Expect& expect = step.experiment->spec->expect;
  const auto add = [&](std::string text) {
    report.beliefs.push_back({step.name, run, std::move(text), std::nullopt, why});
  };
  for (const api::ExpectAlert& alert : expect.alerts)
    add("alert " + alert.name + " within " + exact_seconds_words(alert.within.seconds()));
  for (const api::ExpectEffect& effect : expect.effects)
    add(effect.metric + (effect.quantile ? " " + quantile_words(*effect.quantile) : "") + " of " +
        selector_words(effect.selector) +
        (effect.below.empty() ? " above " + effect.above : " below " + effect.below));
  for (const api::ExpectSignal& signal : expect.signals)
    add(signal.promql + " says what " + signal.equals + " is");
}

void add_beliefs(const Sources& from, api::GameDayReport& report) {
  std::set<std::string> begun;
  for (const api::DayRun& run : report.runs) {
    begun.insert(run.step);
    if (const api::Report* one = report_of(from, run)) {
      for (const api::ExpectationReport& e : one->expectations)
        report.beliefs.push_back({run.step, run.run, e.text, e.met, e.measured});
    } else if (const Steps::Place* place = from.steps.find(run.step)) {
      add_unjudged(*place->step, run.run,
                   "not judged: the report of the run " + no_report(from, run.run), report);
    }
  }
  for (const Steps::Place& place : from.steps.all())
    if (!begun.contains(place.step->name))
      add_unjudged(*place.step, "", "not judged: no run of the step was begun", report);
}

// Of a step that is done again once: who knows it once knows it.
void add_hidden(const Sources& from, api::GameDayReport& report) {
  for (const Steps::Place& place : from.steps.all()) {
    const std::string& name = place.step->name;
    std::vector<api::Timestamp> begins;
    for (const api::DayStep& step : report.steps)
      if (step.name == name && step.begunAt.set()) begins.push_back(step.begunAt);
    if (!place.step->surprise || begins.empty()) continue;
    const api::DayEntry* found = nullptr;
    for (const api::DayEntry& entry : from.record.entries)
      // Of a group, what names a step in it names the group, too.
      if (entry.kind == api::EntryKind::found && from.steps.within(entry.step, name) &&
          (found == nullptr || entry.at < found->at))
        found = &entry;
    std::string text = "nobody found the surprise " + name;
    std::optional<double> seconds;
    if (found != nullptr && found->at < begins.front()) {
      text = "the surprise " + name + " was found before it began";
    } else if (found != nullptr) {
      text = "the surprise " + name + " was found";
      for (const api::Timestamp begun : begins)
        if (begun <= found->at) seconds = seconds_from(begun, found->at);
    }
    report.surprises.push_back({api::SurpriseKind::hidden, name, "", std::move(text), seconds});
  }
}

void add_surprises(const Sources& from, api::GameDayReport& report) {
  add_hidden(from, report);
  for (const api::DayBelief& belief : report.beliefs)
    if (belief.met == false)
      report.surprises.push_back({api::SurpriseKind::missed, belief.step, belief.run,
                                  with_more(belief.text, belief.measured), std::nullopt});
  for (const api::DayStep& step : report.steps)
    if (step.outcome == api::StepOutcome::missed && step.runs.empty())
      report.surprises.push_back(
          {api::SurpriseKind::missed, step.name, "",
           with_more(step.kind + " " + step.name + " was missed", step.reason), step.seconds});
  for (const api::DayRun& run : report.runs) {
    for (const api::DetectionReport& d : run.detections)
      if (d.verdict == api::DetectionVerdict::false_alarm)
        report.surprises.push_back(
            {api::SurpriseKind::unexpected_alert, run.step, run.run,
             with_more("alert " + alert_words(d) + " fired and was not expected", d.reason),
             d.seconds});
    for (const api::DayPod& pod : run.spread)
      if (pod.role == api::PodRole::control)
        report.surprises.push_back(
            {api::SurpriseKind::bystander, run.step, run.run,
             "the control pod " + pod.pod + " changed: " + join(pod.moved, ", "), std::nullopt});
  }
}

void add_rest(api::GameDayReport& report) {
  for (const api::DayRun& run : report.runs) {
    if (run.recovered == false) report.neverRecovered.push_back({run.step, run.run, run.recovery});
    for (const api::DetectionReport& d : run.detections)
      if (d.verdict == api::DetectionVerdict::still_firing)
        report.neverRecovered.push_back(
            {run.step, run.run,
             with_more("alert " + alert_words(d) + " was still firing at the end", d.reason)});
    if (!run.known || !run.fault) continue;
    if (!run.residue) {
      report.residue.push_back(
          {run.step, run.run, "not known: a node did not report the end of the run"});
      continue;
    }
    for (const std::string& one : *run.residue) report.residue.push_back({run.step, run.run, one});
  }
}

bool ended(api::RunState state) { return state >= api::RunState::Completed; }

void add_run_gaps(const Sources& from, const api::DayRun& run, api::GameDayReport& report) {
  const auto add = [&](std::string what, std::string reason) {
    report.gaps.push_back({run.run, std::move(what), run.begunAt, run.overAt, std::move(reason)});
  };
  const api::Report* one = report_of(from, run);
  if (one == nullptr)
    add("", "the report of this run of " + run.step + " " + no_report(from, run.run));
  else if (!ended(run.state))
    add("", "the run is not over: its figures are those of now");
  if (run.fault) {
    if (!run.detection.seconds) add("MTTD", run.detection.reason);
    if (!run.acknowledgement.seconds) add("MTTA", run.acknowledgement.reason);
    if (!run.repair.seconds) add("MTTR", run.repair.reason);
  }
  if (one == nullptr) return;
  for (const api::Gap& gap : one->gaps) {
    std::vector<std::string> what;
    for (const std::string* part : {&gap.node, &gap.pod, &gap.metric})
      if (!part->empty()) what.push_back(*part);
    report.gaps.push_back({run.run, join(what, " "), gap.from, gap.to, gap_words(gap)});
  }
}

void add_hole(std::uint64_t first, std::uint64_t last, api::GameDayReport& report) {
  report.gaps.push_back({"day",
                         "timeline",
                         {},
                         {},
                         first == last ? "entry " + std::to_string(first) + " is missing"
                                       : "entries " + std::to_string(first) + " to " +
                                             std::to_string(last) + " are missing"});
}

// A gap that the timeline tells. The one that says that the monitoring answers again is the end of
// the one before.
void add_told_gap(const Sources& from, const api::DayEntry& entry, api::GameDayReport& report) {
  const std::string where = entry.run.empty() ? "day" : entry.run;
  if (entry.good) {
    for (auto gap = report.gaps.rbegin(); gap != report.gaps.rend(); ++gap)
      if (gap->where == where && gap->what == entry.word && !gap->to.set()) {
        gap->to = entry.at;
        return;
      }
    return;
  }
  report.gaps.push_back({where, entry.word, entry.at, {}, from.people.tame(entry.text)});
}

}  // namespace

void add_findings(const Sources& from, api::GameDayReport& report) {
  add_beliefs(from, report);
  add_surprises(from, report);
  add_rest(report);
}

void add_gaps(const Sources& from, api::GameDayReport& report) {
  const auto is_entry = [&](const api::Gap& gap) {
    return std::ranges::any_of(from.record.entries, [&](const api::DayEntry& entry) {
      return entry.kind == api::EntryKind::gap && entry.at == gap.from && entry.text == gap.reason;
    });
  };
  for (const api::Gap& gap : from.record.gaps)
    if (!is_entry(gap))
      report.gaps.push_back(
          {"day", gap.metric, gap.from, gap.to, from.people.tame(gap_words(gap))});
  std::uint64_t next = 1;
  for (const api::DayEntry& entry : from.record.entries) {
    if (entry.number > next) add_hole(next, entry.number - 1, report);
    next = std::max(next, entry.number + 1);
    if (entry.kind == api::EntryKind::run_over && entry.run.empty())
      report.gaps.push_back({"day",
                             "a run of " + entry.step,
                             entry.at,
                             {},
                             with_more("it has no figures", from.people.tame(entry.text))});
    if (entry.kind == api::EntryKind::gap) add_told_gap(from, entry, report);
  }
  if (report.startedAt.set() && !report.overAt.set())
    report.gaps.push_back({"day", "", report.startedAt, {}, "the day is not over"});
  for (const api::DayRun& run : report.runs) add_run_gaps(from, run, report);
}

}  // namespace faultline::report::gameday
