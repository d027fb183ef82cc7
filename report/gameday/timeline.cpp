// SPDX-License-Identifier: Apache-2.0
// One axis for what the day did, what the faults did, what moved, what the monitoring said and what
// people said.
#include <algorithm>
#include <boost/describe.hpp>

#include "report/format.h"
#include "report/gameday/parts.h"
#include "report/noticed.h"

namespace faultline::report::gameday {
namespace {

constexpr double kLate = 5;  // seconds from which on it is told that an entry was taken late

// As the JSON of an entry has it: "step-begun".
std::string word_of(api::EntryKind kind) {
  std::string word = boost::describe::enum_to_string(kind, "");
  std::ranges::replace(word, '_', '-');
  return word;
}

std::string outcome_word(const std::optional<api::StepOutcome>& outcome) {
  return outcome ? boost::describe::enum_to_string(*outcome, "") : "";
}

std::string again(std::int64_t times) {
  return times > 0 ? " (time " + count_words(static_cast<std::uint64_t>(times) + 1) + ")" : "";
}

// What the entry says, before its own text.
std::string words_of(const api::DayEntry& e) {
  switch (e.kind) {
    case api::EntryKind::created:
      return "the day was asked for";
    case api::EntryKind::check:
      return "check of " + e.word + (e.good ? ": good" : ": not good");
    case api::EntryKind::rehearsed:
      return "the abort was rehearsed" + (e.seconds ? " in " + seconds_words(*e.seconds) : "");
    case api::EntryKind::started:
      return "the day began";
    case api::EntryKind::step_begun:
      return e.step + " begins" + again(e.times);
    case api::EntryKind::run_begun:
      return "run " + e.run + " of " + e.step + " begins";
    case api::EntryKind::run_over:
      return (e.run.empty() ? "a run of " + e.step : "run " + e.run) + " is over" +
             (e.outcome ? ": " + outcome_word(e.outcome) : "");
    case api::EntryKind::step_over:
      return e.step + " is over" + (e.outcome ? ": " + outcome_word(e.outcome) : "");
    case api::EntryKind::alert:
      return "alert " + e.word + (e.good ? " is silent again" : " fires");
    case api::EntryKind::condition:
      return "a condition to abort the day holds";
    case api::EntryKind::held:
      return e.good ? "held; faults go on" : "held; faults end";
    case api::EntryKind::resumed:
      return "goes on";
    case api::EntryKind::skipped:
      return e.step + " is skipped";
    case api::EntryKind::aborted:
      return "the day is aborted";
    case api::EntryKind::over:
      return "the day is over" + (e.word.empty() ? "" : ": " + e.word);
    case api::EntryKind::gap:
      return e.good ? "known again" : "not known";
    case api::EntryKind::note:
      return "";
    case api::EntryKind::tick:
      return "item " + std::to_string(e.item) + " of " + e.step +
             (e.good ? " worked" : " did not work");
    case api::EntryKind::missing:
      return "missing in the runbook of " + e.step;
    case api::EntryKind::acknowledged:
      return "acknowledged" + (e.word.empty() ? "" : " " + e.word);
    case api::EntryKind::mitigated:
      return "mitigated";
    case api::EntryKind::found:
      return e.step.empty() ? "a guess at what it is" : "found " + e.step;
    case api::EntryKind::answered:
      return "answered" + (e.step.empty() ? "" : " " + e.step) +
             (e.outcome ? ": " + outcome_word(e.outcome) : "");
    case api::EntryKind::action:
      break;
  }
  return "action item" + (e.action ? ": " + e.action->text : "");
}

api::DayLane lane_of(const api::DayEntry& entry) {
  if (entry.kind == api::EntryKind::alert) return api::DayLane::alert;
  return by_controller(entry) ? api::DayLane::course : api::DayLane::people;
}

api::DayLine line_of(const Sources& from, const api::DayEntry& entry) {
  api::DayLine line;
  line.at = entry.at;
  line.lane = lane_of(entry);
  line.number = entry.number;
  line.event = word_of(entry.kind);
  line.step = entry.step;
  line.run = entry.run;
  line.who = from.people.who(entry);
  line.text = with_more(words_of(entry), entry.who.empty() && !said_by_people(entry.kind)
                                             ? from.people.tame(entry.text)
                                             : entry.text);
  if (entry.at.set() && entry.recordedAt.set() && seconds_from(entry.at, entry.recordedAt) >= kLate)
    line.late = seconds_from(entry.at, entry.recordedAt);
  return line;
}

void add_line(const api::DayRun& run, api::DayLane lane, api::Timestamp at, std::string event,
              std::string text, api::GameDayReport& report) {
  if (!at.set()) return;
  api::DayLine line;
  line.at = at;
  line.lane = lane;
  line.event = std::move(event);
  line.step = run.step;
  line.run = run.run;
  line.text = std::move(text);
  report.timeline.push_back(std::move(line));
}

// "networkLatency (50 ms) on shop/payments-0 and 2 others"
std::string faults_words(const api::DayRun& run) {
  std::vector<std::string> faults;
  std::vector<std::string> pods;
  for (const api::DayInjection& row : run.injections) {
    const std::string text = row.fault + (row.asked.empty() ? "" : " (" + row.asked + ")");
    if (std::ranges::find(faults, text) == faults.end()) faults.push_back(text);
    if (std::ranges::find(pods, row.pod) == pods.end()) pods.push_back(row.pod);
  }
  std::string text = join(faults, " and ");
  if (!pods.empty()) text += " on " + pods.front();
  if (pods.size() > 1) text += " and " + plural(pods.size() - 1, "other", "others");
  return text;
}

// The pod that was seen to move first; empty: it is not known.
std::string first_moved(const api::DayRun& run) {
  return run.spread.empty() || !run.spread.front().firstChangeAt.set() ? ""
                                                                       : run.spread.front().pod;
}

void add_run(const api::DayRun& run, api::GameDayReport& report) {
  const std::string what = faults_words(run);
  add_line(run, api::DayLane::fault, run.firstInjectedAt, "injected",
           "first injected event: " + what, report);
  add_line(run, api::DayLane::fault, run.lastInjectedAt, "last-injected",
           "last injected event: " + what, report);
  add_line(run, api::DayLane::effect, run.firstEffectAt, "effect",
           with_more("first effect outside its baseline band", first_moved(run)), report);
  add_line(run, api::DayLane::effect, run.recoveredAt, "recovered",
           "effects are back in their baseline band", report);
  if (run.firstInjectedAt.set())
    report.spans.push_back(
        {api::DayLane::fault, run.firstInjectedAt, run.lastInjectedAt, run.run, what});
  if (run.firstEffectAt.set())
    report.spans.push_back({api::DayLane::effect, run.firstEffectAt, run.recoveredAt, run.run,
                            with_more(run.step, first_moved(run))});
  for (const api::DetectionReport& d : run.detections) {
    if (!d.firingAt.set()) continue;
    const std::string name = alert_words(d);
    add_line(run, api::DayLane::alert, d.firingAt, "firing",
             "alert " + name + " fires" + (d.within ? "" : ", which was not expected"), report);
    add_line(run, api::DayLane::alert, d.notifiedAt, "notified",
             "told of " + name + (d.receivers.empty() ? "" : ": " + join(d.receivers, ", ")),
             report);
    add_line(run, api::DayLane::alert, d.resolvedAt, "resolved", "alert " + name + " is resolved",
             report);
    report.spans.push_back({api::DayLane::alert, d.firingAt, d.resolvedAt, run.run, name});
  }
}

}  // namespace

void add_timeline(const Sources& from, api::GameDayReport& report) {
  for (const api::DayEntry& entry : from.record.entries) {
    report.timeline.push_back(line_of(from, entry));
    if (entry.kind == api::EntryKind::created && !report.createdAt.set())
      report.createdAt = entry.at;
    if (entry.kind == api::EntryKind::started && !report.startedAt.set())
      report.startedAt = entry.at;
    if (entry.kind == api::EntryKind::over) report.overAt = entry.at;
  }
  if (report.startedAt.set() && report.overAt.set())
    report.seconds = seconds_from(report.startedAt, report.overAt);
  for (const api::DayRun& run : report.runs) add_run(run, report);
  std::ranges::stable_sort(report.timeline, {}, [](const api::DayLine& line) {
    return std::pair(line.at, line.number);
  });
  report.stateReason = from.people.tame(from.record.stateReason);
}

}  // namespace faultline::report::gameday
