// SPDX-License-Identifier: Apache-2.0
// What follows from what is seen now for the day as a whole; its steps are in day_steps.cpp.
#include "controller/gameday/day_course.h"

#include <algorithm>
#include <cmath>

#include "controller/gameday/words.h"
#include "report/format.h"

namespace faultline::controller::gameday {

using api::DayEntry;
using api::DayState;
using api::EntryKind;
using api::StepOutcome;
using report::number_words;

namespace {

constexpr std::chrono::hours kLongestOpen{48};  // started or not

}  // namespace

std::vector<DayEntry> Day::Course::run() {
  if (day_.over()) return {};
  if (seen_.now - day_.created_at_ > kLongestOpen && !day_.aborted_) {
    add(EntryKind::aborted).text = "the game day was open for 48 h";
    return std::move(entries_);
  }
  clock();
  runs();
  if (day_.aborted_) {
    if (entries_.empty()) end_aborted();
    return std::move(entries_);
  }
  if (day_.record_.state == DayState::checking) {
    checks();
    return std::move(entries_);
  }
  alerts();
  if (day_.started_)
    conditions();
  else if (day_.record_.unattended && may_begin())
    add(EntryKind::started).text = "nobody is there: the day starts by itself";
  if (!entries_.empty()) return std::move(entries_);
  if (day_.started_) steps();
  if (entries_.empty() && day_.started_) completed();
  return std::move(entries_);
}

DayEntry& Day::Course::add(EntryKind kind) {
  DayEntry entry;
  entry.number = day_.record_.entries.size() + entries_.size() + 1;
  entry.kind = kind;
  // In the order of the timeline, also when the clock was set back.
  entry.at = entry.recordedAt = {std::max(seen_.now, day_.last_at_)};
  entries_.push_back(std::move(entry));
  return entries_.back();
}

// The times of entries are those of the wall clock, and what the report computes from them is wrong
// by so much.
void Day::Course::clock() {
  if (seen_.clock_set == std::chrono::nanoseconds(0)) return;
  const double seconds = std::chrono::duration<double>(seen_.clock_set).count();
  const std::string by = report::seconds_words(std::abs(seconds));
  DayEntry& gap = add(EntryKind::gap);
  gap.word = kClock;
  gap.text = seconds < 0
                 ? "the clock of the controller was set back by " + by +
                       ": what took time across this took longer than its times say, and until the "
                       "clock is there again everything has the same time"
                 : "the clock of the controller was set forward by " + by +
                       ", or its machine stood still: what took time across this took less than "
                       "its times say";
}

// ---- before
void Day::Course::checks() {
  for (const api::PreCheck check : day_.record_.document.spec.preChecks) {
    const auto seen = seen_.checks.find(check);
    const std::string word = check_word(check);
    if (seen == seen_.checks.end() || day_.checked_.contains(word)) continue;
    if (seen->second.seconds) {
      DayEntry& rehearsed = add(EntryKind::rehearsed);
      rehearsed.text = seen->second.text;
      rehearsed.seconds = seen->second.seconds;
    }
    // Who knows of the surprise learns more; the others when it is none any more.
    if (!seen->second.secret.empty()) {
      DayEntry& secret = add(EntryKind::note);
      secret.step = seen->second.secret_step;
      secret.run = seen->second.secret_run;
      secret.text = "pre-check " + word + ": " + seen->second.secret;
    }
    DayEntry& entry = add(EntryKind::check);
    entry.word = word;
    entry.good = seen->second.good;
    entry.text = seen->second.text;
    if (!entry.good && !day_.anyway())
      return over(DayState::failed, "pre-check " + word + ": " + entry.text);
  }
  // A check that was bad, and a controller that ended before it could say so.
  for (const auto& [word, good] : day_.checked_)
    if (!good && !day_.anyway() && entries_.empty())
      over(DayState::failed, "pre-check " + word + " failed");
}

bool Day::Course::may_begin() const {
  const api::DayWindow& window = day_.record_.document.spec.window;
  return !window.notBefore.set() || seen_.now >= window.notBefore.value;
}

// ---- what runs, and what the monitoring says
void Day::Course::runs() {
  for (const StepState& step : day_.steps_) {
    const std::string prefix = day_.run_prefix(step);
    for (auto at = seen_.runs.lower_bound(prefix);
         at != seen_.runs.end() && at->first.starts_with(prefix); ++at) {
      const auto& [key, seen] = *at;
      const auto begun = step.keys.find(key);
      const bool own = begun != step.keys.end();
      const bool result = step.results.contains(key);
      // One that came up when its step was over is told of, and ended.
      const bool late = !own && !seen.run.empty() && !seen.over;
      if (!own && !late && (!step.begun || !is_key_of(step, key))) continue;
      if (!own && !result && !seen.refused.empty()) {
        DayEntry& entry = add(EntryKind::run_over);
        entry.step = step.step->name;
        entry.key = key;
        entry.outcome = StepOutcome::failed;
        entry.text = "it could not begin: " + seen.refused;
      } else if (!own && !result && !seen.run.empty()) {
        DayEntry& entry = add(EntryKind::run_begun);
        entry.step = step.step->name;
        entry.key = key;
        entry.run = seen.run;
      } else if (own && !result && seen.over) {
        DayEntry& entry = add(EntryKind::run_over);
        entry.step = step.step->name;
        entry.key = key;
        entry.run = seen.run;
        entry.outcome = outcome_of(seen.state, seen.verdict);
        entry.text = seen.reason;
      }
    }
  }
}

bool Day::Course::is_key_of(const StepState& step, const std::string& key) const {
  if (step.step->experiment) return key == day_.key_of(step);
  return step.step->sweep && key.starts_with(day_.key_of(step) + "/");
}

void Day::Course::alerts() {
  for (DayEntry& entry : day_.alert_entries(seen_)) {
    entry.number = day_.record_.entries.size() + entries_.size() + 1;
    entries_.push_back(std::move(entry));
  }
}

void Day::Course::conditions() {
  const auto& conditions = day_.record_.document.spec.abortWhen;
  std::string why;
  for (std::size_t i = 0; i < conditions.size() && why.empty(); ++i) {
    const api::AbortCondition& condition = conditions[i];
    if (condition.promql.empty()) {
      if (const auto holds = seen_.effects.find(condition_key(i)); holds != seen_.effects.end())
        why = holds->second;
    } else if (seen_.unasked.contains(condition.promql)) {
      why = "nobody could say whether this holds: " + condition.promql;
    } else if (const auto value = seen_.queries.find(condition.promql);
               value != seen_.queries.end() &&
               beyond(value->second, condition.above, condition.below)) {
      why = condition.promql + " is " + number_words(value->second) +
            (condition.above.empty() ? ", below " + condition.below : ", above " + condition.above);
    }
  }
  const api::DayWindow& window = day_.record_.document.spec.window;
  if (!why.empty()) {
    add(EntryKind::condition).text = why;
    add(EntryKind::aborted).text = why;
  } else if (window.notAfter.set() && seen_.now >= window.notAfter.value) {
    add(EntryKind::aborted).text = "the day's window is over";
  }
}

// ---- after
void Day::Course::end_aborted() {
  // What may come up at any moment is ended, too, before the day is over.
  if (!seen_.beginning.empty()) return;
  for (const StepState& step : day_.steps_)
    if (has_open(step)) return;  // unwanted() stops them
  for (const StepState& step : day_.steps_)
    if (step.begun) {
      DayEntry& entry = add(EntryKind::step_over);
      entry.step = step.step->name;
      entry.times = step.times;
      // What somebody answered before the day was aborted is how the step ended.
      entry.outcome = step.answer ? step.answer->outcome : StepOutcome::aborted;
      entry.text = step.answer ? step.answer->reason : "the game day was aborted";
      entry.good = true;
    }
  over(DayState::aborted, day_.abort_reason_);
}

void Day::Course::completed() {
  if (!seen_.beginning.empty()) return;
  for (const StepState& step : day_.steps_)
    if ((step.parent < 0 && !step.is_over) || has_open(step)) return;
  if (day_.misses_ == 0) return over(DayState::completed, "");
  over(DayState::completed, std::to_string(day_.misses_) + " of " + std::to_string(day_.ends_) +
                                " steps missed; the first: " + day_.first_miss_);
}

void Day::Course::over(DayState state, std::string reason) {
  DayEntry& entry = add(EntryKind::over);
  entry.word = word_of(state);
  entry.text = std::move(reason);
}

std::vector<DayEntry> Day::advance(const Seen& seen) const { return Course(*this, seen).run(); }

}  // namespace faultline::controller::gameday
