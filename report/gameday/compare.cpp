// SPDX-License-Identifier: Apache-2.0
// Action items and what became of earlier ones; this day beside the last of its name; the trend.
#include <algorithm>
#include <boost/describe.hpp>
#include <cmath>

#include "api/step_outcome.h"
#include "report/format.h"
#include "report/gameday/parts.h"

namespace faultline::report::gameday {
namespace {

// Two figures are the same when they differ by less than a second or a tenth of the greater: rules
// are evaluated every few seconds, and where in an interval a fault begins is chance.
constexpr double kSameSeconds = 1, kSameShare = 0.1;

bool same(double a, double b) {
  const double difference = std::abs(a - b);
  return difference < kSameSeconds || difference < kSameShare * std::max(a, b);
}

// How a step went on one day, all its fault runs together.
struct StepFigures {
  bool there = false;                       // it was begun
  std::size_t runs = 0;                     // with a fault
  std::optional<api::StepOutcome> outcome;  // the worst of all times
  std::optional<double> mttd;               // mean of those that have it
  std::optional<bool> noticed;              // every one; null: one cannot be told
};

StepFigures figures_of(const api::GameDayReport& day, const std::string& step) {
  StepFigures out;
  for (const api::DayStep& one : day.steps) {
    if (one.name != step) continue;
    out.there = out.there || one.begunAt.set();
    if (one.outcome)
      out.outcome = out.outcome ? api::worse(*out.outcome, *one.outcome) : *one.outcome;
  }
  double sum = 0;
  std::size_t known = 0, noticed = 0, not_noticed = 0;
  for (const api::DayRun& run : day.runs) {
    if (run.step != step || !run.fault) continue;
    ++out.runs;
    if (run.detection.seconds) {
      sum += *run.detection.seconds;
      ++known;
    }
    noticed += run.noticed == true ? 1 : 0;
    not_noticed += run.noticed == false ? 1 : 0;
  }
  if (known > 0) out.mttd = sum / static_cast<double>(known);
  if (not_noticed > 0)
    out.noticed = false;
  else if (out.runs > 0 && noticed == out.runs)
    out.noticed = true;
  return out;
}

std::string outcome_words(const std::optional<api::StepOutcome>& outcome) {
  return outcome ? boost::describe::enum_to_string(*outcome, "") : "not over";
}

// How well an outcome speaks; nothing: it says nothing of the step.
std::optional<int> rank(const std::optional<api::StepOutcome>& outcome) {
  if (!outcome) return std::nullopt;
  switch (*outcome) {
    case api::StepOutcome::done:
    case api::StepOutcome::met:
      return 1;
    case api::StepOutcome::missed:
      return 0;
    case api::StepOutcome::partial:
    case api::StepOutcome::failed:
    case api::StepOutcome::skipped:
    case api::StepOutcome::aborted:
      break;
  }
  return std::nullopt;
}

struct Judged {
  api::DayChange change = api::DayChange::unknown;
  std::string words;
};

std::string mttd_words(const StepFigures& figures) {
  if (figures.mttd) return "noticed after " + seconds_words(*figures.mttd);
  return figures.noticed == false ? "not noticed" : "not known whether it was noticed";
}

// By noticing first, then by the time it took. Nothing to tell by: unknown.
Judged judge_noticing(const StepFigures& before, const StepFigures& now) {
  Judged out{api::DayChange::unknown,
             "before: " + mttd_words(before) + "; now: " + mttd_words(now)};
  if (before.noticed && now.noticed && before.noticed != now.noticed)
    out.change = *now.noticed ? api::DayChange::better : api::DayChange::worse;
  else if (before.noticed == false && now.noticed == false)
    out.change = api::DayChange::same;
  else if (before.mttd && now.mttd && before.noticed && now.noticed)
    out.change = same(*before.mttd, *now.mttd) ? api::DayChange::same
                 : *now.mttd < *before.mttd    ? api::DayChange::better
                                               : api::DayChange::worse;
  return out;
}

Judged judge_retest(const api::GameDayReport& then, const api::GameDayReport& now,
                    const std::string& step) {
  if (step.empty())
    return {api::DayChange::unknown,
            "the item names no step that shows whether it changed anything"};
  const StepFigures a = figures_of(then, step), b = figures_of(now, step);
  if (!b.there || b.outcome == api::StepOutcome::skipped)
    return {api::DayChange::not_retested, "step " + step + " was not begun on this day"};
  if (!a.there) return {api::DayChange::unknown, "step " + step + " was not begun on that day"};
  const std::string outcomes =
      "before: " + outcome_words(a.outcome) + "; now: " + outcome_words(b.outcome);
  const auto before = rank(a.outcome), after = rank(b.outcome);
  if (before && after && before != after)
    return {*after > *before ? api::DayChange::better : api::DayChange::worse, outcomes};
  if (a.runs > 0 && b.runs > 0) return judge_noticing(a, b);
  if (before && after) return {api::DayChange::same, outcomes};
  return {api::DayChange::unknown, outcomes};
}

void add_actions(const Sources& from, api::GameDayReport& report) {
  for (const api::DayEntry& entry : from.record.entries) {
    if (entry.kind != api::EntryKind::action) continue;
    api::DayAction action{.number = entry.number, .text = entry.text};
    if (entry.action) {
      if (!entry.action->text.empty()) action.text = entry.action->text;
      action.owner = from.people.owner(entry.action->owner);
      action.due = entry.action->due;
      action.retest = entry.action->retest;
    }
    action.who = from.people.who(entry);
    report.actions.push_back(std::move(action));
  }
}

void add_follow_ups(const std::vector<const api::GameDayReport*>& earlier, const Sources& from,
                    api::GameDayReport& report) {
  for (const api::GameDayReport* day : earlier)
    for (const api::DayAction& action : day->actions) {
      const Judged judged = judge_retest(*day, report, action.retest);
      api::DayFollowUp item{day->day, action, judged.change, judged.words};
      item.action.owner = from.people.owner(item.action.owner);
      // An earlier report that was made with names may have those of people this day does not know.
      if (day->names && !report.names) {
        if (item.action.owner == action.owner && !action.owner.empty())
          item.action.owner = "somebody";
        item.action.who = "somebody";
      }
      report.followUps.push_back(std::move(item));
    }
}

api::DayCompared compared(std::string what, std::optional<double> before,
                          std::optional<double> now) {
  api::DayCompared out{std::move(what), before, now, std::nullopt};
  if (before && now) out.change = *now - *before;
  return out;
}

// Steps of both days whose faults were or could have been noticed.
Judged judge_monitoring(const api::GameDayReport& last, const api::GameDayReport& report,
                        const std::vector<std::string>& steps) {
  std::vector<std::string> better, worse;
  std::size_t known = 0;
  for (const std::string& step : steps) {
    const StepFigures before = figures_of(last, step), now = figures_of(report, step);
    if (before.runs == 0 || now.runs == 0) continue;
    const Judged judged = judge_noticing(before, now);
    known += judged.change != api::DayChange::unknown ? 1 : 0;
    const std::string words = step + " (" + judged.words + ")";
    if (judged.change == api::DayChange::better) better.push_back(words);
    if (judged.change == api::DayChange::worse) worse.push_back(words);
  }
  if (known == 0) return {api::DayChange::unknown, "no step of both days can be compared"};
  if (!worse.empty())
    return {api::DayChange::worse, "noticed worse than before: " + join(worse, ", ")};
  if (!better.empty())
    return {api::DayChange::better, "noticed better than before: " + join(better, ", ")};
  return {api::DayChange::same, "what could be compared was noticed as before"};
}

api::DayComparison comparison_with(const api::GameDayReport& last, const api::GameDayReport& report,
                                   const Steps& steps) {
  api::DayComparison out{.day = last.day, .words = ""};
  std::vector<std::string> names;
  for (const Steps::Place& place : steps.all()) names.push_back(place.step->name);
  const Judged judged = judge_monitoring(last, report, names);
  out.detection = judged.change;
  out.words = judged.words;
  out.figures = {compared("MTTD", last.mttd.seconds, report.mttd.seconds),
                 compared("MTTA", last.mtta.seconds, report.mtta.seconds),
                 compared("MTTR", last.mttr.seconds, report.mttr.seconds)};
  for (const std::string& name : names) {
    const StepFigures before = figures_of(last, name), now = figures_of(report, name);
    if (before.mttd || now.mttd)
      out.figures.push_back(compared("MTTD of " + name, before.mttd, now.mttd));
    if (before.outcome != now.outcome) out.outcomes.push_back({name, before.outcome, now.outcome});
  }
  return out;
}

}  // namespace

void add_comparison(const Sources& from, const std::vector<api::GameDayReport>& earlier,
                    api::GameDayReport& report) {
  std::vector<const api::GameDayReport*> days;
  for (const api::GameDayReport& day : earlier)
    if (day.name == report.name && day.namespace_ == report.namespace_ && day.day != report.day)
      days.push_back(&day);
  add_actions(from, report);
  add_follow_ups(days, from, report);
  if (!days.empty()) report.comparison = comparison_with(*days.back(), report, from.steps);
  for (const api::GameDayReport* day : days)
    report.trend.push_back(
        {day->day, day->startedAt.set() ? day->startedAt : day->createdAt, day->mttd});
  report.trend.push_back(
      {report.day, report.startedAt.set() ? report.startedAt : report.createdAt, report.mttd});
}

}  // namespace faultline::report::gameday
