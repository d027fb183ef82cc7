// SPDX-License-Identifier: Apache-2.0
// Which runs a day wants, has, and does not want any more.
#include <algorithm>

#include "api/plan.h"
#include "controller/gameday/day.h"
#include "controller/gameday/words.h"

namespace faultline::controller::gameday {

using api::DayState;
using api::Step;

namespace {

std::string quiet_prefix_of(const std::string& day) {
  constexpr std::size_t kMostOfDay = 48;
  std::string name = day.substr(0, kMostOfDay);
  while (name.ends_with('-')) name.pop_back();
  return name + "-s";
}

// "payments-s3": says of which day a run is, and nothing of what it does. At most 63 characters.
std::string quiet_name(const std::string& day, int step, std::size_t run) {
  const std::string name = quiet_prefix_of(day) + std::to_string(step + 1);
  return run == 0 ? name : name + "-" + std::to_string(run + 1);
}

// One cell of a sweep: a row, and the place of the severity in it.
struct Cell {
  const api::SweptFault* row;
  std::size_t severity;
};
// `place` is below the number of its cells.
Cell cell_of(const api::SweepSpec& sweep, std::size_t place) {
  auto row = sweep.faults.begin();
  for (; place >= row->severities.size(); ++row) place -= row->severities.size();
  return {&*row, place};
}

}  // namespace

std::string Day::quiet_prefix() const { return quiet_prefix_of(record_.document.metadata.name); }

std::string Day::key_of(const StepState& state) const {
  // How often it began before, over all repetitions of the groups that it is in.
  std::int64_t times = state.times;
  for (int up = state.parent; up >= 0; up = steps_[static_cast<std::size_t>(up)].parent)
    times = times * kMostTimes + steps_[static_cast<std::size_t>(up)].times;
  return std::string(kRunKey) + record_.day + "/" + state.step->name + "/" + std::to_string(times);
}

std::string Day::run_key(const StepState& state, std::size_t place) const {
  const std::string key = key_of(state);
  if (!state.step->sweep) return key;
  const Cell cell = cell_of(*state.step->sweep, place);
  return key + "/" + cell.row->name + "/" + cell.row->severities[cell.severity];
}

std::string Day::run_name(const StepState& state, std::size_t place) const {
  const std::string& day = record_.document.metadata.name;
  // Its name is in logs and in the status of nodes, which more people read than may know of it.
  if (is_surprise(state)) return quiet_name(day, index_of(state.step->name), place);
  if (!state.step->sweep) return day + "-" + state.step->name;
  const Cell cell = cell_of(*state.step->sweep, place);
  return day + "-" + state.step->name + "-" + cell.row->name + "-" +
         std::to_string(cell.severity + 1);
}

api::Experiment Day::experiment_of(const WantedRun& run) const {
  const int at = index_of(run.step);
  if (at < 0) return {};
  const StepState& state = steps_[static_cast<std::size_t>(at)];
  const Step& step = *state.step;
  api::Experiment experiment;
  if (step.experiment) {
    experiment = api::step_experiment(record_.document, step, state.times);
  } else if (step.sweep && run.place < state.cells) {
    const api::Sweep sweep = api::step_sweep(record_.document, step);
    const Cell cell = cell_of(sweep.spec, run.place);
    auto made = api::cell_experiment(sweep, *cell.row, cell.row->severities[cell.severity],
                                     api::cell_name(sweep, *cell.row, cell.severity + 1));
    if (made) experiment = std::move(*made);  // a document that was read has no other
  }
  api::Metadata& meta = experiment.metadata;
  meta.labels[std::string(api::kDayLabel)] = record_.document.metadata.name;
  meta.annotations.erase(std::string(api::kQuietNote));  // of the document: not its to say
  meta.name = run_name(state, run.place);
  if (!is_surprise(state)) return experiment;
  meta.labels.erase(std::string(api::kDayStepLabel));
  meta.annotations[std::string(api::kQuietNote)] = "true";
  return experiment;
}

std::optional<WantedRun> Day::next_run(const StepState& state) const {
  if (state.next_cell >= state.cells) return std::nullopt;
  std::string key = run_key(state, state.next_cell);
  if (state.keys.contains(key)) return std::nullopt;  // it is under way
  return WantedRun{.key = std::move(key),
                   .step = state.step->name,
                   .name = run_name(state, state.next_cell),
                   .place = state.next_cell};
}

std::string Day::run_prefix(const StepState& state) const {
  return std::string(kRunKey) + record_.day + "/" + state.step->name + "/";
}

bool Day::wants(const WantedRun& run) const {
  if (aborted_ || over()) return false;
  const int at = index_of(run.step);
  if (at < 0) return record_.state == DayState::checking;  // the rehearsal of an abort
  const StepState& state = steps_[static_cast<std::size_t>(at)];
  const std::string key = key_of(state);
  return state.begun && !state.skip && !held_ && (run.key == key || run.key.starts_with(key + "/"));
}

std::vector<std::pair<std::string, UtcTime>> Day::running_steps() const {
  std::vector<std::pair<std::string, UtcTime>> running;
  for (const StepState& state : steps_)
    if (state.begun) running.emplace_back(state.step->name, state.begun_at);
  return running;
}

std::chrono::nanoseconds Day::age_of(const std::string& step, UtcTime now) const {
  constexpr std::chrono::nanoseconds kNone{0};
  const int at = index_of(step);
  if (at < 0) return kNone;
  const StepState& state = steps_[static_cast<std::size_t>(at)];
  auto age = std::max(now - state.begun_at, kNone) - state.held;
  if (held_)
    age -= std::max<std::chrono::nanoseconds>(now - std::max(held_at_, state.begun_at), kNone);
  return std::max(age, kNone);
}

std::vector<WantedRun> Day::open_runs() const {
  std::vector<WantedRun> open;
  if (over()) return open;
  for (const StepState& state : steps_) {
    for (const auto& [key, run] : state.under_way)
      open.push_back({.key = key, .step = state.step->name, .run = run});
    if (!has_open(state) && state.begun)
      if (auto next = next_run(state)) open.push_back(std::move(*next));
  }
  return open;
}

std::map<std::string, std::string> Day::unwanted() const {
  std::map<std::string, std::string> stop;
  if (over()) return stop;
  for (const StepState& state : steps_) {
    if (!has_open(state)) continue;
    std::string why;
    if (aborted_)
      why = "the game day was aborted: " + abort_reason_;
    else if (held_ && !held_keeps_)
      why = "the game day is held";
    else if (!state.begun)
      why = "step " + state.step->name + " of the game day is over";
    if (why.empty()) continue;
    for (const auto& [key, run] : state.under_way)
      if (!run.empty()) stop[run] = why;
  }
  return stop;
}

Wanted Day::wanted() const {
  Wanted wanted{.stop = unwanted()};
  if (over() || aborted_ || held_) return wanted;
  for (const StepState& state : steps_) {
    // Whoever skips a step wants nothing of it any more.
    if (!state.begun || state.skip) continue;
    // A hold ended the sweep with its cell.
    if (state.hold_ended) continue;
    auto run = next_run(state);
    if (!run) continue;
    // Between two cells of a sweep there is a rest.
    if (state.last_result != UtcTime{} && state.step->sweep) {
      run->rest = state.step->sweep->rest.least.value;
      run->not_before = state.last_result + run->rest;
    }
    wanted.runs.push_back(std::move(*run));
  }
  return wanted;
}

Asked Day::asked() const {
  Asked asked;
  if (over()) return asked;
  for (const StepState& state : steps_)
    if (state.begun && state.step->waitFor && !state.step->waitFor->promql.empty())
      asked.queries.insert(state.step->waitFor->promql);
  if (started_)
    for (const api::AbortCondition& condition : record_.document.spec.abortWhen)
      if (!condition.promql.empty()) asked.ending.insert(condition.promql);
  asked.queries.insert(asked.ending.begin(), asked.ending.end());
  asked.alerts = started_ && !expected_.empty();
  return asked;
}
}  // namespace faultline::controller::gameday
