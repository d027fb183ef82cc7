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

}  // namespace

std::string Day::quiet_prefix() const { return quiet_prefix_of(record_.document.metadata.name); }

std::string Day::key_of(const StepState& state) const {
  // How often it began before, over all repetitions of the groups that it is in.
  std::int64_t times = state.times;
  for (int up = state.parent; up >= 0; up = steps_[static_cast<std::size_t>(up)].parent)
    times = times * kMostTimes + steps_[static_cast<std::size_t>(up)].times;
  return std::string(kRunKey) + record_.day + "/" + state.step->name + "/" + std::to_string(times);
}

std::vector<std::string> Day::run_keys(const StepState& state) const {
  const std::string key = key_of(state);
  std::vector<std::string> keys;
  if (state.step->experiment) keys.push_back(key);
  if (state.step->sweep)
    for (const api::SweptFault& row : state.step->sweep->faults)
      for (const std::string& severity : row.severities)
        keys.push_back(key + "/" + row.name + "/" + severity);
  return keys;
}

api::Experiment Day::experiment_of(const StepState& state, std::size_t index) const {
  const Step& step = *state.step;
  api::Experiment experiment;
  if (step.experiment) {
    experiment = api::step_experiment(record_.document, step, state.times);
  } else {
    const api::Sweep sweep = api::step_sweep(record_.document, step);
    std::size_t first = 0;  // of the row
    for (const api::SweptFault& row : sweep.spec.faults) {
      if (index < first + row.severities.size()) {
        const std::size_t at = index - first;
        auto cell = api::cell_experiment(sweep, row, row.severities[at],
                                         api::cell_name(sweep, row, at + 1));
        if (cell) experiment = std::move(*cell);  // a document that was read has no other
        break;
      }
      first += row.severities.size();
    }
  }
  api::Metadata& meta = experiment.metadata;
  meta.labels[std::string(api::kDayLabel)] = record_.document.metadata.name;
  meta.annotations.erase(std::string(api::kQuietNote));  // of the document: not its to say
  if (!is_surprise(state)) return experiment;
  // Its name is in logs and in the status of nodes, which more people read than may know of it.
  meta.labels.erase(std::string(api::kDayStepLabel));
  meta.annotations[std::string(api::kQuietNote)] = "true";
  meta.name = quiet_name(record_.document.metadata.name, index_of(step.name), index);
  return experiment;
}

std::optional<WantedRun> Day::next_run(const StepState& state) const {
  const std::vector<std::string> keys = run_keys(state);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (state.results.contains(keys[i])) continue;
    if (state.keys.contains(keys[i])) return std::nullopt;  // it is under way
    return WantedRun{
        .key = keys[i], .step = state.step->name, .experiment = experiment_of(state, i)};
  }
  return std::nullopt;
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
    bool under_way = false;
    for (const auto& [key, run] : state.keys) {
      if (state.results.contains(key)) continue;
      under_way = true;
      open.push_back({.key = key, .step = state.step->name, .run = run});
    }
    if (!under_way && state.begun)
      if (auto next = next_run(state)) open.push_back(std::move(*next));
  }
  return open;
}

std::map<std::string, std::string> Day::unwanted() const {
  std::map<std::string, std::string> stop;
  if (over()) return stop;
  for (const StepState& state : steps_) {
    std::string why;
    if (aborted_)
      why = "the game day was aborted: " + abort_reason_;
    else if (held_ && !held_keeps_)
      why = "the game day is held";
    else if (!state.begun)
      why = "step " + state.step->name + " of the game day is over";
    if (why.empty()) continue;
    for (const auto& [key, run] : state.keys)
      if (!state.results.contains(key) && !run.empty()) stop[run] = why;
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
    UtcTime last{};
    for (const auto& [key, result] : state.results) last = std::max(last, result.at);
    if (last != UtcTime{} && state.step->sweep) {
      run->rest = state.step->sweep->rest.least.value;
      run->not_before = last + run->rest;
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
