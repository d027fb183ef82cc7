// SPDX-License-Identifier: Apache-2.0
// Everything that is known of one game day: its document and its timeline. The timeline is the
// truth: the state of the day follows from its entries alone (controller/gameday/day.h).
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/gameday.h"
#include "api/gap.h"
#include "api/values.h"

namespace faultline::api {

// checking: the pre-checks are under way. waiting: they are done, and nobody has started the day.
enum class DayState { checking, waiting, running, held, aborting, completed, aborted, failed };
BOOST_DESCRIBE_ENUM(DayState, checking, waiting, running, held, aborting, completed, aborted,
                    failed)

// What an entry says. Of the course of the day: created .. over. Said by people: note .. found.
enum class EntryKind {
  created,     // who asked for the day
  check,       // a pre-check: `word` is its name, `good` its result
  rehearsed,   // the abort was rehearsed: `seconds` it took
  started,     // the first step may begin
  step_begun,  // `step`; `times` it began before
  run_begun,   // `step`, `run`: the Experiment of it, or a cell of its sweep
  run_over,    // `run`; `outcome`
  step_over,   // `step`, `outcome`
  alert,       // `word` is its name; `good`: it is silent again
  condition,   // one of the day's abortWhen holds
  held,        // `good`: faults that run go on
  resumed,
  skipped,  // `step`
  aborted,  // the day is ended: everything that runs is stopped
  over,     // the last entry of the course; `word` is a DayState
  gap,      // what could not be seen or done, and why
  note,
  tick,          // of a runbook: `step`, `item` from 1, `good`: did it work?
  missing,       // a step that the runbook lacks
  acknowledged,  // somebody takes care; `word` may name the alert
  mitigated,     // what was done about it
  found,         // somebody says what the surprise is: `step` when that was right
  answered,      // a task, or what a waitFor asks a person: `step`, `outcome`
  action         // an action item
};
BOOST_DESCRIBE_ENUM(EntryKind, created, check, rehearsed, started, step_begun, run_begun, run_over,
                    step_over, alert, condition, held, resumed, skipped, aborted, over, gap, note,
                    tick, missing, acknowledged, mitigated, found, answered, action)

// An action item of the day.
struct ActionItem {
  std::string text;
  std::string owner;
  std::string due;     // a date, "2026-12-31"
  std::string retest;  // the step that shows whether it changed anything; may be empty
};
BOOST_DESCRIBE_STRUCT(ActionItem, (), (text, owner, due, retest))

// One line of the timeline. What does not apply is empty.
struct DayEntry {
  std::uint64_t number = 0;  // from 1, without a hole
  EntryKind kind = EntryKind::note;
  Timestamp at;          // when it happened
  Timestamp recordedAt;  // when the controller took it; later than `at` after an outage
  std::string who;       // the person's name; empty: the controller
  DayRole role = DayRole::none;
  std::string via;  // cli, http, webhook, kubectl
  std::string key;  // chosen by whoever says it: the same entry sent again is one entry
  std::string step;
  std::int64_t times = 0;
  std::string run;
  std::string word;
  std::string text;
  std::optional<StepOutcome> outcome;
  std::int64_t item = 0;
  bool good = false;
  std::optional<double> seconds;
  std::optional<ActionItem> action;
};
BOOST_DESCRIBE_STRUCT(DayEntry, (),
                      (number, kind, at, recordedAt, who, role, via, key, step, times, run, word,
                       text, outcome, item, good, seconds, action))

// Who asked for a day, as the cluster knows them: their rights are asked again before each run.
struct DayPerson {
  std::string user, uid;
  std::vector<std::string> groups;
  std::map<std::string, std::vector<std::string>> extra;
};
BOOST_DESCRIBE_STRUCT(DayPerson, (), (user, uid, groups, extra))

struct GameDayRecord {
  std::string day;  // id: the document's name and a number
  GameDay document;
  std::string requestedBy;
  DayPerson asker;
  bool unattended = false;  // nobody is there: tasks take their defaults when their time is over
  DayState state = DayState::checking;
  std::string stateReason;
  std::vector<DayEntry> entries;
  std::vector<Gap> gaps;
};
BOOST_DESCRIBE_STRUCT(GameDayRecord, (),
                      (day, document, requestedBy, asker, unattended, state, stateReason, entries, gaps))

// How one step stands; what a person's view is made of.
struct StepView {
  std::string name, title, kind;
  std::string state;  // waiting, running, over
  std::optional<StepOutcome> outcome;
  std::string reason;
  Timestamp begunAt, overAt;
  std::vector<std::string> runs;
  std::vector<std::string> items;  // of its runbook
  std::vector<std::int64_t> ticked;
  std::int64_t depth = 0;
  bool surprise = false;
};
BOOST_DESCRIBE_STRUCT(StepView, (),
                      (name, title, kind, state, outcome, reason, begunAt, overAt, runs, items,
                       ticked, depth, surprise))

// A day as one person may see it: what is a surprise to them is not there. GET
// /api/v1/gamedays/{day}, and each "day" event of its stream.
struct GameDayView {
  std::string day, name;
  std::string namespace_;  // key "namespace"
  std::string title;
  DayState state = DayState::checking;
  std::string stateReason;
  DayRole you = DayRole::none;
  std::string next;  // what it waits for, in words
  std::vector<StepView> steps;
  std::vector<DayEntry> entries;
};
BOOST_DESCRIBE_STRUCT(GameDayView, (),
                      (day, name, namespace_, title, state, stateReason, you, next, steps, entries))

// One of a list: GET /api/v1/gamedays.
struct GameDaySummary {
  std::string day, name;
  std::string namespace_;
  std::string title;
  DayState state = DayState::checking;
  std::string stateReason;
  Timestamp createdAt, overAt;
};
BOOST_DESCRIBE_STRUCT(GameDaySummary, (),
                      (day, name, namespace_, title, state, stateReason, createdAt, overAt))

// What a person says: the body of POST /api/v1/gamedays/{day}/entries.
struct DayWord {
  EntryKind kind = EntryKind::note;
  Timestamp at;     // when it happened; not set: now
  std::string key;  // required: the same word sent again is one entry
  std::string as;   // who says it, where nobody knows users
  std::string step;
  std::string word;
  std::string text;
  std::optional<StepOutcome> outcome;
  std::int64_t item = 0;
  bool good = true;
  std::optional<ActionItem> action;
};
BOOST_DESCRIBE_STRUCT(DayWord, (),
                      (kind, at, key, as, step, word, text, outcome, item, good, action))

}  // namespace faultline::api
