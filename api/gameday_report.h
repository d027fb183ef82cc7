// SPDX-License-Identifier: Apache-2.0
// GameDayReport: what a game day showed. docs/gameday-report.md has the formula and the source of
// each figure. Lengths of time are seconds, null means not known and a gap says why. People are
// words of their role ("the commander") unless names were asked for; what they wrote stays as they
// wrote it.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/gameday_record.h"
#include "api/report.h"

namespace faultline::api {

// The time between two moments, and what they were; or why there is none.
struct DayFigure {
  std::optional<double> seconds;
  Timestamp from, to;
  std::string since;   // "first injected event"
  std::string until;   // "alert CheckoutSlow fired"
  std::string reason;  // why it is not known; empty: it is
};
BOOST_DESCRIBE_STRUCT(DayFigure, (), (seconds, from, to, since, until, reason))

// A piece of a figure.
struct DayPart {
  std::string name;  // "scrape", "for", "told", "acknowledged" ...
  double seconds = 0;
  std::string cause;  // the setting that made it so long; may be empty
};
BOOST_DESCRIBE_STRUCT(DayPart, (), (name, seconds, cause))

// A pod of a run with at least one effect that changed beyond chance.
struct DayPod {
  std::string pod;
  PodRole role = PodRole::target;
  Timestamp firstChangeAt;         // known only of the pod that changed first
  std::vector<std::string> moved;  // "request.latency p50 +50.1 ms", what tells most first
};
BOOST_DESCRIBE_STRUCT(DayPod, (), (pod, role, firstChangeAt, moved))

// A fault of a run as it acted on one pod.
struct DayInjection {
  std::string pod, node, fault, asked;
  InjectionVerdict verdict = InjectionVerdict::blocked;
  std::uint64_t injected = 0;
  Timestamp firstInjectedAt, lastInjectedAt;
};
BOOST_DESCRIBE_STRUCT(DayInjection, (),
                      (pod, node, fault, asked, verdict, injected, firstInjectedAt, lastInjectedAt))

// One run of the day.
struct DayRun {
  std::string run;
  std::string step;
  std::int64_t times = 0;  // how often the step had begun before
  bool known = false;      // its report was there
  bool fault = false;  // it was to inject; a run whose report is missing counts if its step does
  RunState state = RunState::Pending;
  std::string stateReason;
  std::optional<RunVerdict> verdict;
  std::vector<DayInjection> injections;
  Timestamp begunAt, overAt;  // of the timeline
  Timestamp firstInjectedAt, firstEffectAt, lastInjectedAt, recoveredAt;
  DayFigure detection;        // of MTTD
  DayFigure acknowledgement;  // of MTTA
  DayFigure repair;           // of MTTR
  std::vector<DayPart> detectionParts, acknowledgementParts, repairParts;
  std::optional<bool> noticed;  // by an alert or a person; null: it cannot be told
  std::vector<DetectionReport> detections;
  std::vector<DayPod> spread;
  std::map<std::string, std::int64_t> measuredPods;  // by role
  std::optional<bool> recovered;                     // null: not known, or nothing was injected
  std::string recovery;                              // in words
  std::optional<std::vector<std::string>> residue;   // null: not known
};
BOOST_DESCRIBE_STRUCT(DayRun, (),
                      (run, step, times, known, fault, state, stateReason, verdict, injections,
                       begunAt, overAt, firstInjectedAt, firstEffectAt, lastInjectedAt, recoveredAt,
                       detection, acknowledgement, repair, detectionParts, acknowledgementParts,
                       repairParts, noticed, detections, spread, measuredPods, recovered, recovery,
                       residue))

// The mean over the fault runs that have the figure.
struct DayMean {
  std::optional<double> seconds;
  std::int64_t known = 0, of = 0;
};
BOOST_DESCRIBE_STRUCT(DayMean, (), (seconds, known, of))

// A sentence that somebody held to be true before.
struct DayBelief {
  std::string step, run;
  std::string text;
  std::optional<bool> met;  // null: it was not judged
  std::string measured;
};
BOOST_DESCRIBE_STRUCT(DayBelief, (), (step, run, text, met, measured))

enum class DayLane { course, fault, effect, alert, people };
BOOST_DESCRIBE_ENUM(DayLane, course, fault, effect, alert, people)

// One line of the day, of its timeline or of the report of a run.
struct DayLine {
  Timestamp at;
  DayLane lane = DayLane::course;
  std::uint64_t number = 0;  // of the timeline's entry; 0: from a run's report
  std::string event;         // a word of EntryKind, or "injected", "effect", "recovered" ...
  std::string step, run;
  std::string who;  // role word; empty: the controller
  std::string text;
  std::optional<double> late;  // how much later it was taken, where that is worth telling
};
BOOST_DESCRIBE_STRUCT(DayLine, (), (at, lane, number, event, step, run, who, text, late))

// A length of time on the lane of faults, effects or alerts.
struct DaySpan {
  DayLane lane = DayLane::fault;
  Timestamp from;
  Timestamp to;  // not set: it was not seen to end
  std::string run;
  std::string text;
};
BOOST_DESCRIBE_STRUCT(DaySpan, (), (lane, from, to, run, text))

// One time that a step was begun; a step that never was has one, too.
struct DayStep {
  std::string name, title, kind;
  std::int64_t depth = 0, times = 0;
  bool surprise = false;
  std::optional<StepOutcome> outcome;  // null: it is not over, or was not begun
  std::string reason;
  Timestamp begunAt, overAt;
  std::optional<double> seconds;
  std::vector<std::string> runs;
};
BOOST_DESCRIBE_STRUCT(DayStep, (),
                      (name, title, kind, depth, times, surprise, outcome, reason, begunAt, overAt,
                       seconds, runs))

// An item of a runbook as its last tick left it.
struct DayItem {
  std::int64_t number = 0;
  std::string text;
  std::int64_t ticks = 0;         // 0: untouched
  std::optional<bool> worked;     // null: untouched
  std::optional<double> seconds;  // from the begin of the step to the last tick
  Timestamp at;
  std::string who;
};
BOOST_DESCRIBE_STRUCT(DayItem, (), (number, text, ticks, worked, seconds, at, who))

// A step that somebody missed in the runbook.
struct DayMissing {
  std::string text, who;
  Timestamp at;
  std::optional<double> seconds;  // from the begin of the step
};
BOOST_DESCRIBE_STRUCT(DayMissing, (), (text, who, at, seconds))

// A task of people, each time it was begun.
struct DayTask {
  std::string step, title, text, role, runbook;  // runbook: the file, ConfigMap or address
  std::int64_t times = 0;
  std::optional<StepOutcome> outcome;
  std::optional<double> seconds;  // from begin to end
  std::vector<DayItem> items;
  std::int64_t worked = 0, failed = 0, untouched = 0;
  std::vector<DayMissing> missing;
};
BOOST_DESCRIBE_STRUCT(DayTask, (),
                      (step, title, text, role, runbook, times, outcome, seconds, items, worked,
                       failed, untouched, missing))

// hidden: a step that was marked so; `seconds` from its begin until somebody named it.
// unexpected_alert: fired and was not expected. missed: an expectation, or a step. people_first:
// somebody noticed `seconds` before the alert. bystander: a control pod changed.
enum class SurpriseKind { hidden, unexpected_alert, missed, people_first, bystander };
BOOST_DESCRIBE_ENUM(SurpriseKind, hidden, unexpected_alert, missed, people_first, bystander)

struct DaySurprise {
  SurpriseKind kind = SurpriseKind::hidden;
  std::string step, run, text;
  std::optional<double> seconds;  // hidden: null if nobody named it
};
BOOST_DESCRIBE_STRUCT(DaySurprise, (), (kind, step, run, text, seconds))

struct DayCheck {
  std::string name;
  bool good = false;
  std::string text;
  std::optional<double> seconds;  // of the rehearsed abort
};
BOOST_DESCRIBE_STRUCT(DayCheck, (), (name, good, text, seconds))

// What did not come back, or was left behind.
struct DayRest {
  std::string step, run, text;
};
BOOST_DESCRIBE_STRUCT(DayRest, (), (step, run, text))

// What is not known, and why.
struct DayGap {
  std::string where;  // "day", or the run's id
  std::string what;   // "MTTD", a metric, a pod ...; may be empty
  Timestamp from, to;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(DayGap, (), (where, what, from, to, reason))

struct DayAction {
  std::uint64_t number = 0;  // of the timeline's entry
  std::string text, owner, due, retest;
  std::string who;  // who wrote it down
};
BOOST_DESCRIBE_STRUCT(DayAction, (), (number, text, owner, due, retest, who))

// unknown: there is no figure to tell by.
enum class DayChange { better, same, worse, not_retested, unknown };
BOOST_DESCRIBE_ENUM(DayChange, better, same, worse, not_retested, unknown)

// What became of an action item of an earlier day.
struct DayFollowUp {
  std::string day;  // where it was written down
  DayAction action;
  DayChange change = DayChange::unknown;
  std::string words;  // what was compared
};
BOOST_DESCRIBE_STRUCT(DayFollowUp, (), (day, action, change, words))

struct DayCompared {
  std::string what;  // "MTTD", "MTTD of slow-payments"
  std::optional<double> before, now;
  std::optional<double> change;  // now minus before
};
BOOST_DESCRIBE_STRUCT(DayCompared, (), (what, before, now, change))

struct DayOutcomes {
  std::string step;
  std::optional<StepOutcome> before, now;
};
BOOST_DESCRIBE_STRUCT(DayOutcomes, (), (step, before, now))

// This day beside the last one of its name.
struct DayComparison {
  std::string day;
  DayChange detection = DayChange::unknown;  // whether the monitoring got better
  std::string words;
  std::vector<DayCompared> figures;
  std::vector<DayOutcomes> outcomes;  // of the steps whose outcome is another
};
BOOST_DESCRIBE_STRUCT(DayComparison, (), (day, detection, words, figures, outcomes))

struct DayTrendPoint {
  std::string day;
  Timestamp at;
  DayMean mttd;
};
BOOST_DESCRIBE_STRUCT(DayTrendPoint, (), (day, at, mttd))

struct GameDayReport {
  std::string day, name;
  std::string namespace_;
  std::string title, hypothesis, owner;
  bool names = false;  // people are named
  bool unattended = false;
  DayState state = DayState::checking;
  std::string stateReason;
  Timestamp createdAt, startedAt, overAt;
  std::optional<double> seconds;  // from start to end
  std::string summary;            // sentences
  std::vector<DayCheck> checks;
  std::vector<DayBelief> beliefs;
  std::vector<DayStep> steps;
  std::vector<DayLine> timeline;
  std::vector<DaySpan> spans;
  std::vector<DayRun> runs;
  DayMean mttd, mtta, mttr;
  std::vector<DayTask> tasks;
  std::vector<DaySurprise> surprises;
  std::vector<DayRest> neverRecovered, residue;
  std::vector<DayGap> gaps;
  std::vector<DayAction> actions;
  std::vector<DayFollowUp> followUps;
  std::optional<DayComparison> comparison;  // null: it is the first of its name
  std::vector<DayTrendPoint> trend;         // oldest first, this day last
};
BOOST_DESCRIBE_STRUCT(GameDayReport, (),
                      (day, name, namespace_, title, hypothesis, owner, names, unattended, state,
                       stateReason, createdAt, startedAt, overAt, seconds, summary, checks, beliefs,
                       steps, timeline, spans, runs, mttd, mtta, mttr, tasks, surprises,
                       neverRecovered, residue, gaps, actions, followUps, comparison, trend))

// What report.json of a day holds. Errors: as from_json_text() of api/codec.h. Pure, thread-safe.
[[nodiscard]] std::string gameday_report_text(const GameDayReport& report);
[[nodiscard]] Result<GameDayReport> parse_gameday_report(std::string_view json);

}  // namespace faultline::api
