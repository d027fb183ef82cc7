// SPDX-License-Identifier: Apache-2.0
// GameDay: what a team practises together, in steps. See docs/gameday.md for the words. All
// functions are pure and thread-safe.
#pragma once

#include <boost/describe.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/experiment.h"
#include "api/sweep.h"
#include "base/result.h"

namespace faultline::api {

// Names of users as the cluster knows them. Where nobody knows users (a controller with one token)
// a person says with each command who they are.
struct GameDayRoles {
  std::vector<std::string> facilitator;  // leads the day, and knows the surprises
  std::vector<std::string> commander;    // leads the response
  std::vector<std::string> scribe;
  std::vector<std::string> observers;
};
BOOST_DESCRIBE_STRUCT(GameDayRoles, (), (facilitator, commander, scribe, observers))

enum class DayRole { none, facilitator, commander, scribe, observer };
BOOST_DESCRIBE_ENUM(DayRole, none, facilitator, commander, scribe, observer)

// A fault begins only between these times.
struct DayWindow {
  Timestamp notBefore, notAfter;
};
BOOST_DESCRIBE_STRUCT(DayWindow, (), (notBefore, notAfter))

// agents: each node with a target has an agent that can arm the faults. targets: pods match, and
// the limits allow them. monitoring: each source that the day needs answers. alerts: none of the
// expected ones fires. abort: a fault of one second was ended by an abort, and how long that took.
enum class PreCheck { agents, targets, monitoring, alerts, abort };
BOOST_DESCRIBE_ENUM(PreCheck, agents, targets, monitoring, alerts, abort)

// Numbered steps for people. Exactly one of file, configMap and url; a file is read by the command
// that sends the document, which puts what it says into `text`.
struct Runbook {
  std::string file;       // Markdown, beside the document
  std::string configMap;  // NAME/KEY in the day's namespace
  std::string url;        // shown, never fetched
  std::string text;
};
BOOST_DESCRIBE_STRUCT(Runbook, (), (file, configMap, url, text))

// Exactly one of spec, file and secret. A file is an Experiment beside the document and becomes
// `spec`; a secret is one that nobody else is to read, and becomes `spec` when the day is made.
struct StepExperiment {
  std::optional<ExperimentSpec> spec;
  std::string file;
  std::string secret;  // NAME/KEY in the day's namespace; only of a surprise
};
BOOST_DESCRIBE_STRUCT(StepExperiment, (), (spec, file, secret))

// How a step ended. done: it had nothing to miss. partial: a fault acted, but not as asked.
enum class StepOutcome { done, met, missed, partial, failed, skipped, aborted };
BOOST_DESCRIBE_ENUM(StepOutcome, done, met, missed, partial, failed, skipped, aborted)

struct StepTask {
  std::string text;
  DayRole role = DayRole::none;  // none: anybody of the day
  std::optional<Runbook> runbook;
  Duration timeout;  // 0: none; of an unattended day the default is the step's deadline
  StepOutcome otherwise = StepOutcome::missed;  // when nobody answered in time
};
BOOST_DESCRIBE_STRUCT(StepTask, (), (text, role, runbook, timeout, otherwise))

enum class AwaitedState { firing, silent };
BOOST_DESCRIBE_ENUM(AwaitedState, firing, silent)

// Exactly one of alert, promql, effect and person.
struct StepWait {
  std::string alert;
  std::map<std::string, std::string> labels;  // of the alert
  AwaitedState state = AwaitedState::firing;  // of the alert
  std::string promql;
  std::string above, below;            // of promql; exactly one
  std::optional<ExpectEffect> effect;  // as the runs of the day measure it now
  std::string person;                  // what somebody has to confirm (`faultline gameday next`)
};
BOOST_DESCRIBE_STRUCT(StepWait, (), (alert, labels, state, promql, above, below, effect, person))

// A step begins only if an earlier one ended so.
struct StepWhen {
  std::string step;
  std::vector<StepOutcome> is;
};
BOOST_DESCRIBE_STRUCT(StepWhen, (), (step, is))

enum class OnMiss { continue_, hold, abort };
BOOST_DESCRIBE_ENUM(OnMiss, continue_, hold, abort)

// Exactly one of experiment, sweep, task, waitFor, note, pause, serial and parallel.
struct Step {
  std::string name;  // unique in the day; its experiments are called DAY-NAME
  std::string title;
  std::optional<StepWhen> when;
  Duration deadline;  // 0: none. A step that is not over then has missed
  std::int64_t repeat = 1;
  bool surprise = false;  // only the facilitator sees it until it was found or is over
  OnMiss onMiss = OnMiss::continue_;
  std::optional<StepExperiment> experiment;
  std::optional<SweepSpec> sweep;
  std::optional<StepTask> task;
  std::optional<StepWait> waitFor;
  std::string note;
  Duration pause;
  std::vector<Step> serial, parallel;
};
BOOST_DESCRIBE_STRUCT(Step, (),
                      (name, title, when, deadline, repeat, surprise, onMiss, experiment, sweep,
                       task, waitFor, note, pause, serial, parallel))

struct GameDaySpec {
  std::string title;
  std::string hypothesis;
  std::string owner;
  GameDayRoles roles;
  DayWindow window;
  std::vector<PreCheck> preChecks{PreCheck::agents, PreCheck::targets, PreCheck::monitoring,
                                  PreCheck::alerts};
  std::vector<AbortCondition> abortWhen;  // while any step is under way
  // In Kubernetes: how long the object is kept when the day is over; as of an Experiment.
  std::string ttlAfterFinished;
  std::vector<Step> steps;  // one after the other
};
BOOST_DESCRIBE_STRUCT(GameDaySpec, (),
                      (title, hypothesis, owner, roles, window, preChecks, abortWhen,
                       ttlAfterFinished, steps))

struct GameDay {
  std::string apiVersion;  // faultline.dev/v1alpha1
  std::string kind;        // GameDay
  Metadata metadata;
  GameDaySpec spec;
};
BOOST_DESCRIBE_STRUCT(GameDay, (), (apiVersion, kind, metadata, spec))

inline constexpr std::string_view kGameDayKind = "GameDay";
inline constexpr std::size_t kMostDaySteps = 256;  // of a day, groups included
inline constexpr std::size_t kDeepestStep = 8;     // levels, those of the day counted
inline constexpr std::int64_t kMostDayRounds =
    2000;  // steps with their repeats, and those of groups
inline constexpr std::int64_t kMostRepeats = 100;
inline constexpr std::size_t kMostDaySecrets = 16;  // that the steps of a day name
// Of a step's Experiment: the day and the step that it is of.
inline constexpr std::string_view kDayLabel = "faultline.dev/gameday";
inline constexpr std::string_view kDayStepLabel = "faultline.dev/gameday-step";
// Of an Experiment that is a surprise, "true": nobody writes events of it to its pods, and agents
// log and count nothing of it. The controller writes it, and takes it away where a person did.
inline constexpr std::string_view kQuietNote = "faultline.dev/quiet";

// Whether the document says `kind: GameDay`, whatever else is in it.
[[nodiscard]] bool says_gameday(std::string_view text);

// As parse_experiment(): every problem is a line. Files that steps name are not read.
[[nodiscard]] Result<GameDay> parse_gameday(std::string_view text, std::string_view file);

// The document as JSON with what its files say put into it: the spec of an Experiment, the text of
// a runbook. `read` gets the path as the document has it; never one that leads out of its folder.
// Errors: of `read`, and what is wrong with a file, with the place that names it. parse_gameday()
// takes the result.
[[nodiscard]] Result<std::string> with_files(
    std::string_view text, std::string_view file,
    const std::function<Result<std::string>(const std::string& path)>& read);
// The files that steps name and that with_files() has not put in.
[[nodiscard]] std::vector<std::string> missing_files(const GameDay& day);

// A step whose Experiment is in a Secret that was not read yet.
struct SecretOfStep {
  std::string step, at;   // "spec.steps[1].experiment.secret"
  std::string name, key;  // of the Secret in the day's namespace
};
[[nodiscard]] std::vector<SecretOfStep> unread_secrets(const GameDay& day);
// The day with what its Secrets say put into it, by the path of the step (SecretOfStep::at), as
// with_files() does of files, within the same budgets. Nothing in an error is of these texts: they
// are told apart from what everybody may read, and who may read them asks parse_experiment().
// Errors: kInvalid, with the Secret that has no Experiment of the day, or that the whole is no day.
[[nodiscard]] Result<GameDay> with_secrets(GameDay day,
                                           const std::map<std::string, std::string>& texts);

// All steps in the order of the document, groups before what is in them. `path` is
// "spec.steps[1].serial[0]".
void for_each_step(const GameDay& day,
                   const std::function<void(const Step&, const std::string& path)>& visit);
void for_each_step(GameDay& day, const std::function<void(Step&, const std::string& path)>& visit);

// The Experiment of a step that has one; `times` it began before (0: the first time).
[[nodiscard]] Experiment step_experiment(const GameDay& day, const Step& step, std::int64_t times);
// The Sweep of a step that has one: its cells are named after the day and the step.
[[nodiscard]] Sweep step_sweep(const GameDay& day, const Step& step);

// What the day takes at least: phases, pauses and rests; people and waiting take no time here.
[[nodiscard]] std::chrono::nanoseconds least_length(const GameDay& day);

// "experiment", "task" ...: the key of what the step does.
[[nodiscard]] std::string_view step_kind(const Step& step);

// The numbered items of a runbook in Markdown ("1. text"), without their numbers, in their order;
// an item ends at the next number, a heading or an empty line; a longer one ends in "...". At most
// kMostRunbookSteps. What it returns is as hostile as the text.
inline constexpr std::size_t kMostRunbookSteps = 200;
inline constexpr std::size_t kMostRunbookItem = 1024;  // bytes
[[nodiscard]] std::vector<std::string> runbook_steps(std::string_view markdown);

// As a person writes it: without what is so anyway. parse_gameday() reads it.
[[nodiscard]] std::string to_yaml(const GameDay& day);

// JSON Schema (draft 2020-12) of the GameDay document.
[[nodiscard]] boost::json::value gameday_schema();

}  // namespace faultline::api
