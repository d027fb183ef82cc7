// SPDX-License-Identifier: Apache-2.0
// What follows from what is seen now for the steps of a day: which begin, and which are over.
#include <algorithm>

#include "api/step_outcome.h"
#include "controller/gameday/day_course.h"
#include "controller/gameday/words.h"
#include "report/alert_episodes.h"
#include "report/format.h"

namespace faultline::controller::gameday {

using api::DayEntry;
using api::EntryKind;
using api::Step;
using api::StepOutcome;
using report::has_labels;
using report::number_words;

void Day::Course::steps() {
  for (std::size_t i = 0; i < day_.steps_.size(); ++i) {
    const StepState& step = state(i);
    if (step.begun)
      running(i);
    else if (!step.is_over && !day_.held_)
      begin(i);
    if (stopped_) return;
  }
}

bool Day::Course::is_due(std::size_t index) const {
  const StepState& step = state(index);
  // Runs of the time before, which a deadline ended, or will when they are there.
  if (has_open(step) || has_beginning(step)) return false;
  if (step.parent >= 0) {
    const StepState& group = state(static_cast<std::size_t>(step.parent));
    if (!group.begun) return false;
    if (!group.step->parallel.empty()) return true;
  }
  for (std::size_t i = 0; i < index; ++i)
    if (state(i).parent == step.parent && !state(i).is_over) return false;
  return may_begin();
}

void Day::Course::begin(std::size_t index) {
  const StepState& step = state(index);
  if (!is_due(index)) return;
  if (step.skip) return over(index, StepOutcome::skipped, "somebody skipped it", true);
  if (const auto& when = step.step->when) {
    const StepState& earlier = day_.steps_[static_cast<std::size_t>(day_.index_of(when->step))];
    const StepOutcome was = earlier.outcome.value_or(StepOutcome::skipped);
    if (std::ranges::find(when->is, was) == when->is.end())
      return over(index, StepOutcome::skipped, when->step + " ended as " + word_of(was), true);
  }
  DayEntry& entry = add(EntryKind::step_begun);
  entry.step = step.step->name;
  entry.times = step.times;
  entry.text = step.step->title;
  if (step.step->note.empty()) return;
  DayEntry& note = add(EntryKind::note);
  note.step = step.step->name;
  note.text = step.step->note;
}

void Day::Course::over(std::size_t index, StepOutcome outcome, std::string reason, bool last) {
  const StepState& step = state(index);
  // What is in a group that ends early ends with it.
  for (std::size_t i = index + 1; i < day_.steps_.size() && state(i).depth > step.depth; ++i)
    if (state(i).begun) {
      DayEntry& inner = add(EntryKind::step_over);
      inner.step = state(i).step->name;
      inner.times = state(i).times;
      inner.outcome = outcome;
      inner.text = reason;
      inner.good = true;
    }
  DayEntry& entry = add(EntryKind::step_over);
  entry.step = step.step->name;
  entry.times = step.times;
  entry.outcome = outcome;
  entry.text = std::move(reason);
  entry.good = last;
  // What a hold ended is no miss, also when that is seen after the day was resumed. What was let go
  // on, or was answered meanwhile, is one.
  if (last || !is_miss(outcome) || day_.excused(index)) return;
  const std::string why = "step " + step.step->name + " ended as " + word_of(outcome);
  if (step.step->onMiss == api::OnMiss::hold && !day_.held_) {
    DayEntry& hold = add(EntryKind::held);
    hold.step = step.step->name;
    hold.text = why;
    hold.good = true;
    stopped_ = true;
  } else if (step.step->onMiss == api::OnMiss::abort) {
    DayEntry& abort = add(EntryKind::aborted);
    abort.step = step.step->name;
    abort.text = why;
    stopped_ = true;
  }
}

std::chrono::nanoseconds Day::Course::time_of(const StepState& step) const {
  const auto age = seen_.ages.find(step.step->name);
  return age != seen_.ages.end() ? age->second : day_.age_of(step.step->name, seen_.now);
}

void Day::Course::running(std::size_t index) {
  const StepState& step = state(index);
  const Step& what = *step.step;
  // What is there by now counts, also when the group is skipped, or the deadline has passed,
  // meanwhile.
  if (any_ends(index)) return;
  if (step.skip) return over(index, StepOutcome::skipped, "somebody skipped it", true);
  const auto since = time_of(step);
  if (what.experiment || what.sweep) {
    if (all_runs_over(index)) return;
  } else if (what.task) {
    if (task(index, since)) return;
  } else if (what.waitFor) {
    if (waited(index)) return;
  } else if (!what.note.empty()) {
    return over(index, StepOutcome::done, "");
  } else if (!what.serial.empty() || !what.parallel.empty()) {
    if (group(index)) return;
  } else if (since >= what.pause.value) {
    return over(index, StepOutcome::done, "");
  }
  if (what.deadline.value.count() > 0 && since >= what.deadline.value)
    over(index, StepOutcome::missed, "its deadline of " + what.deadline.format() + " is over");
}

bool Day::Course::all_runs_over(std::size_t index) {
  const StepState& step = state(index);
  if (step.next_cell < step.cells) {
    // A hold ended a cell, and with it the sweep. In the rest between two cells it ends nothing,
    // and the sweep goes on after it.
    if (!step.hold_ended || step.results.empty() || has_open(step)) return false;
  }
  const bool is_sweep = step.step->sweep.has_value();
  StepOutcome worst = StepOutcome::skipped;
  std::string reason;
  for (std::size_t place = 0; place < step.next_cell; ++place) {
    const auto result = step.results.find(day_.run_key(step, place));
    // A cell whose severity was not noticed is what a sweep wants to know, no miss.
    StepOutcome outcome = result->second.outcome;
    if (is_sweep && (outcome == StepOutcome::missed || outcome == StepOutcome::met))
      outcome = StepOutcome::done;
    if (api::worse(worst, outcome) == worst) continue;
    worst = outcome;
    reason = result->second.reason;
  }
  over(index, worst, std::move(reason));
  return true;
}

bool Day::Course::task(std::size_t index, std::chrono::nanoseconds since) {
  const StepState& step = state(index);
  const api::StepTask& task = *step.step->task;
  if (step.answer) {
    over(index, step.answer->outcome, step.answer->reason);
    return true;
  }
  const bool alone = day_.record_.unattended;
  auto timeout = task.timeout.value;
  if (timeout.count() == 0 && alone) timeout = step.step->deadline.value;
  if (timeout.count() == 0 && !alone) return false;
  if (since < timeout) return false;
  over(index, task.otherwise,
       alone ? "nobody is there" : "nobody answered in " + api::Duration{timeout}.format());
  return true;
}

bool Day::Course::waited(std::size_t index) {
  const StepState& step = state(index);
  const api::StepWait& wait = *step.step->waitFor;
  std::string words;
  if (!wait.person.empty()) {
    if (step.answer) {
      over(index, step.answer->outcome, step.answer->reason);
      return true;
    }
    if (!day_.record_.unattended) return false;
    over(index, StepOutcome::skipped, "nobody is there");
    return true;
  }
  if (!wait.alert.empty()) {
    if (!seen_.alerts) return false;
    const bool firing = std::ranges::any_of(*seen_.alerts, [&](const SeenAlert& alert) {
      return alert.name == wait.alert && has_labels(alert.labels, wait.labels);
    });
    if (firing != (wait.state == api::AwaitedState::firing)) return false;
    words = wait.alert + (firing ? " fires" : " is silent");
  } else if (!wait.promql.empty()) {
    const auto value = seen_.queries.find(wait.promql);
    if (value == seen_.queries.end() || !beyond(value->second, wait.above, wait.below))
      return false;
    words = wait.promql + " is " + number_words(value->second);
  } else {
    const auto holds = seen_.effects.find(step.step->name);
    if (holds == seen_.effects.end()) return false;
    words = holds->second;
  }
  over(index, StepOutcome::met, std::move(words));
  return true;
}

bool Day::Course::group(std::size_t index) {
  const StepState& step = state(index);
  StepOutcome worst = StepOutcome::skipped;
  std::string reason;
  for (std::size_t i = index + 1; i < day_.steps_.size() && state(i).depth > step.depth; ++i) {
    if (state(i).parent != static_cast<int>(index)) continue;
    if (!state(i).is_over) return false;
    const StepOutcome outcome = state(i).outcome.value_or(StepOutcome::skipped);
    if (api::worse(worst, outcome) == worst) continue;
    worst = outcome;
    reason =
        is_miss(outcome) ? "step " + state(i).step->name + " ended as " + word_of(outcome) : "";
  }
  over(index, worst, std::move(reason));
  return true;
}

bool Day::Course::any_ends(std::size_t group) const {
  for (std::size_t i = group + 1; i < day_.steps_.size() && state(i).depth > state(group).depth;
       ++i) {
    const StepState& inner = state(i);
    if (inner.begun && (inner.answer || (inner.cells > 0 && inner.next_cell == inner.cells)))
      return true;
  }
  return false;
}

bool Day::Course::has_beginning(const StepState& step) const {
  if (seen_.beginning.empty()) return false;
  const std::string prefix = day_.run_prefix(step);
  return std::ranges::any_of(seen_.beginning,
                             [&](const auto& key) { return key.starts_with(prefix); });
}

}  // namespace faultline::controller::gameday
