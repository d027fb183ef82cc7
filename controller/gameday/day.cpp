// SPDX-License-Identifier: Apache-2.0
// What a day is made of, and how its entries change it.
#include "controller/gameday/day.h"

#include <algorithm>
#include <boost/describe/enum_to_string.hpp>

#include "api/codec.h"
#include "api/plan.h"
#include "controller/gameday/experiments.h"
#include "controller/gameday/words.h"

namespace faultline::controller::gameday {

using api::DayEntry;
using api::DayRole;
using api::DayState;
using api::EntryKind;
using api::Step;

std::string condition_key(std::size_t index) { return "abortWhen[" + std::to_string(index) + "]"; }

Day::Day(api::GameDayRecord record) : record_(std::move(record)) {
  index(record_.document.spec.steps, -1, 0);
  for (std::size_t i = 0; i < steps_.size(); ++i)
    by_name_[steps_[i].step->name] = static_cast<int>(i);
  expected_ = expected_alerts(record_.document);
  document_bytes_ = api::to_json_text(record_.document).size();
  const std::vector<DayEntry> entries = std::move(record_.entries);
  record_.entries.clear();
  record_.state = DayState::checking;
  record_.stateReason.clear();
  apply(entries);
  taken_over_ = started_ && !over();
  if (taken_over_) asked_from_ = last_at_;
}

void Day::index(const std::vector<Step>& steps, int parent, std::int64_t depth) {
  for (const Step& step : steps) {
    StepState state;
    state.step = &step;
    state.parent = parent;
    state.depth = depth;
    if (step.experiment) state.cells = 1;
    if (step.sweep)
      for (const api::SweptFault& row : step.sweep->faults) state.cells += row.severities.size();
    constexpr std::size_t kKeys = 300;  // of a StepView: names of keys, times
    steps_bytes_ += kKeys + step.name.size() + step.title.size();
    if (step.task && step.task->runbook) {
      state.items = api::runbook_steps(step.task->runbook->text);
      for (const std::string& item : state.items) steps_bytes_ += item.size();
    }
    steps_.push_back(std::move(state));
    const int self = static_cast<int>(steps_.size()) - 1;
    index(step.serial, self, depth + 1);
    index(step.parallel, self, depth + 1);
  }
}

api::GameDayRecord Day::create(api::GameDay document, std::string id, std::string who,
                               bool unattended, UtcTime now) {
  api::GameDayRecord record;
  record.day = std::move(id);
  record.document = std::move(document);
  record.requestedBy = who;
  record.unattended = unattended;
  DayEntry first;
  first.number = 1;
  first.kind = EntryKind::created;
  first.at = first.recordedAt = {now};
  first.who = std::move(who);
  first.text = record.document.spec.title;
  record.entries.push_back(std::move(first));
  return record;
}

int Day::index_of(const std::string& step) const {
  const auto found = by_name_.find(step);
  return found == by_name_.end() ? -1 : found->second;
}

bool Day::over() const {
  return record_.state == DayState::completed || record_.state == DayState::aborted ||
         record_.state == DayState::failed;
}

DayRole Day::role_of(const std::string& user) const {
  const api::GameDayRoles& roles = record_.document.spec.roles;
  const auto has = [&](const std::vector<std::string>& names) {
    return std::ranges::find(names, user) != names.end();
  };
  if (user.empty()) return DayRole::none;
  if (has(roles.facilitator)) return DayRole::facilitator;
  if (has(roles.commander)) return DayRole::commander;
  if (has(roles.scribe)) return DayRole::scribe;
  if (has(roles.observers)) return DayRole::observer;
  return DayRole::none;
}

// Where the document names no facilitator, everybody of the day leads it.
bool Day::leads(DayRole role) const {
  return record_.document.spec.roles.facilitator.empty() || role == DayRole::facilitator;
}

bool Day::anyway() const {
  const auto& notes = record_.document.metadata.annotations;
  const auto note = notes.find(std::string(api::kAnywayNote));
  return note != notes.end() && note->second == "true";
}

void Day::apply(const std::vector<DayEntry>& entries) {
  for (const DayEntry& entry : entries) {
    apply_one(entry);
    record_.entries.push_back(entry);
    shown_as_.push_back(0);
    entry_bytes_ += kEntryBytes + bytes_of(entry);
    if (!entry.run.empty() && !may_see(entry)) hidden_runs_.insert(entry.run);
    show(record_.entries.size() - 1);
  }
}

// What was a secret until this entry is told now, in its order. What was told once stays so, also
// when its step is done again.
void Day::show(std::size_t newest) {
  const auto told = [this](std::size_t at) {
    const DayEntry& entry = record_.entries[at];
    if (!may_see(entry)) return false;
    shown_.push_back(at);
    shown_as_[at] = shown_.size();
    hidden_runs_.erase(entry.run);
    return true;
  };
  const EntryKind kind = record_.entries[newest].kind;
  if (kind == EntryKind::step_over || kind == EntryKind::found || kind == EntryKind::over)
    std::erase_if(unseen_, told);
  if (!told(newest)) unseen_.push_back(newest);
}

void Day::apply_one(const DayEntry& entry) {
  if (created_at_ == UtcTime{}) created_at_ = entry.at.value;
  last_at_ = std::max(last_at_, entry.recordedAt.value);
  if (is_said(entry.kind) && !entry.key.empty()) said_[entry.key] = entry.number;
  if (is_said(entry.kind)) {
    Spoken& spoken = words_[speaker_of(entry)];
    ++spoken.entries;
    spoken.bytes += bytes_of(entry);
    bytes_ += bytes_of(entry);
    if (over()) ++late_;
    if (entry.kind == EntryKind::skipped || (entry.kind == EntryKind::held && !entry.key.empty()))
      ++controls_;
  }
  switch (entry.kind) {
    case EntryKind::check:
      checked_[entry.word] = entry.good;
      if (checked_.size() == record_.document.spec.preChecks.size() &&
          (anyway() || std::ranges::all_of(checked_, [](const auto& one) { return one.second; })))
        record_.state = DayState::waiting;
      break;
    case EntryKind::created:
      if (record_.document.spec.preChecks.empty()) record_.state = DayState::waiting;
      break;
    case EntryKind::started:
      started_ = true;
      asked_from_ = entry.at.value;
      record_.state = DayState::running;
      break;
    case EntryKind::held:
      if (!held_) held_at_ = entry.recordedAt.value;
      held_ = true;
      held_keeps_ = entry.good;
      record_.state = DayState::held;
      record_.stateReason = entry.text;
      reason_step_ = entry.step;
      if (held_keeps_) break;
      for (StepState& state : steps_) state.hold_ended = state.hold_ended || has_open(state);
      break;
    case EntryKind::resumed:
      resume(entry.recordedAt.value);
      record_.state = DayState::running;
      record_.stateReason.clear();
      break;
    case EntryKind::aborted:
      aborted_ = true;
      abort_reason_ = entry.text;
      record_.state = DayState::aborting;
      record_.stateReason = entry.text;
      reason_step_ = entry.step;
      break;
    case EntryKind::over:
      record_.state = state_of(entry.word);
      record_.stateReason = entry.text;
      break;
    case EntryKind::alert:
      if (entry.good)
        firing_.erase(entry.text);
      else
        firing_.insert(entry.text);
      break;
    case EntryKind::gap:
      if (entry.word == kMonitoring && entry.good) {
        for (api::Gap& gap : record_.gaps)
          if (gap.metric == kMonitoring && !gap.to.set()) gap.to = entry.at;
      } else {
        const bool open = entry.word == kMonitoring;
        record_.gaps.push_back({.metric = open ? entry.word : "",
                                .from = entry.at,
                                .to = open ? api::Timestamp{} : entry.at,
                                .reason = entry.text});
      }
      alerts_cut_ = alerts_cut_ || entry.word == kAlertsCut;
      alerts_many_ = alerts_many_ || entry.word == kAlertsMany;
      if (entry.word == kMonitoring) {
        deaf_ = !entry.good;
        taken_over_ = false;
      }
      break;
    case EntryKind::step_begun:
    case EntryKind::run_begun:
    case EntryKind::run_over:
    case EntryKind::step_over:
    case EntryKind::skipped:
    case EntryKind::tick:
    case EntryKind::found:
    case EntryKind::answered:
      apply_to_step(entry);
      break;
    case EntryKind::rehearsed:
    case EntryKind::condition:
    case EntryKind::note:
    case EntryKind::missing:
    case EntryKind::acknowledged:
    case EntryKind::mitigated:
    case EntryKind::action:
      break;
  }
}

void Day::apply_to_step(const DayEntry& entry) {
  const int at = index_of(entry.step);
  if (at < 0) return;
  StepState& state = steps_[static_cast<std::size_t>(at)];
  switch (entry.kind) {
    case EntryKind::step_begun:
      state.begun = true;
      state.begun_at = entry.at.value;
      state.keys.clear();
      state.results.clear();
      state.under_way.clear();
      state.next_cell = 0;
      state.last_result = {};
      state.answer.reset();
      state.skip = state.hold_ended = false;
      state.held = {};
      state.ticked.clear();
      forget_inside(at);
      break;
    case EntryKind::run_begun:
      state.keys[entry.key] = entry.run;
      if (!state.results.contains(entry.key)) state.under_way[entry.key] = entry.run;
      state.runs.push_back(entry.run);
      state.hold_ended = state.hold_ended || (held_ && !held_keeps_);
      break;
    case EntryKind::run_over:
      take_result(state, entry);
      break;
    case EntryKind::step_over:
      count_end(static_cast<std::size_t>(at), entry);
      state.begun = false;
      // What was skipped was left out this time: not when a group around it begins again.
      state.skip = false;
      for (std::size_t i = static_cast<std::size_t>(at) + 1;
           i < steps_.size() && steps_[i].depth > state.depth; ++i)
        steps_[i].skip = false;
      ++state.times;
      state.outcome = entry.outcome;
      state.reason = entry.text;
      state.over_at = entry.at.value;
      state.is_over = state.times >= state.step->repeat || entry.good;
      break;
    case EntryKind::skipped:
      state.skip = true;
      break;
    case EntryKind::tick:
      state.ticked.insert(entry.item);
      break;
    case EntryKind::found:
      find(at);
      break;
    case EntryKind::answered:
      state.answer =
          Ended{entry.outcome.value_or(api::StepOutcome::done), entry.text, entry.at.value};
      break;
    default:  // the others do not come here: apply_one()
      break;
  }
}

// A group counts where it missed by itself, as by its deadline: else what is in it does.
void Day::count_end(std::size_t step, const DayEntry& entry) {
  if (!entry.outcome) return;
  const StepState& state = steps_[step];
  const bool missed = is_miss(*entry.outcome) && !excused(step);
  if (!state.step->serial.empty() || !state.step->parallel.empty()) {
    if (!missed) return;
    for (std::size_t i = step + 1; i < steps_.size() && steps_[i].depth > state.depth; ++i)
      if (steps_[i].outcome && is_miss(*steps_[i].outcome)) return;
  }
  ++ends_;
  if (!missed || misses_++ > 0) return;
  first_miss_ = entry.step;
  if (state.times > 0) first_miss_ += " (time " + std::to_string(state.times + 1) + ")";
  first_miss_ += " ended as " + word_of(*entry.outcome);
}

void Day::take_result(StepState& state, const DayEntry& entry) {
  state.under_way.erase(entry.key);
  state.last_result = std::max(state.last_result, entry.at.value);
  state.results[entry.key] = {entry.outcome.value_or(api::StepOutcome::failed), entry.text,
                              entry.at.value};
  while (state.next_cell < state.cells && state.results.contains(run_key(state, state.next_cell)))
    ++state.next_cell;
}

// Of a group each step in it that missed has to be excused.
bool Day::excused(std::size_t step) const {
  const StepState& state = steps_[step];
  if (state.step->serial.empty() && state.step->parallel.empty()) return state.hold_ended;
  bool any = false;
  for (std::size_t i = step + 1; i < steps_.size() && steps_[i].depth > state.depth; ++i) {
    if (steps_[i].parent != static_cast<int>(step)) continue;
    if (!steps_[i].outcome || !is_miss(*steps_[i].outcome)) continue;
    if (!excused(i)) return false;
    any = true;
  }
  return any;
}

bool Day::is_surprise(const StepState& state) const {
  if (state.step->surprise) return true;
  for (int up = state.parent; up >= 0; up = steps_[static_cast<std::size_t>(up)].parent)
    if (steps_[static_cast<std::size_t>(up)].step->surprise) return true;
  return false;
}

bool Day::is_surprise(const std::string& step) const {
  const int at = index_of(step);
  return at >= 0 && is_surprise(steps_[static_cast<std::size_t>(at)]);
}

bool Day::hides(const std::string& run, std::string_view key) const {
  if (hidden_runs_.contains(run)) return true;
  const int at = index_of(std::string(step_of_key(key)));
  if (at < 0) return !over() || hides_any();  // perhaps of one that is hidden
  // It was shown once, and the step is done again.
  const std::vector<std::string>& known = steps_[static_cast<std::size_t>(at)].runs;
  return hidden(at) && std::ranges::find(known, run) == known.end();
}

bool Day::hides_any() const {
  for (std::size_t i = 0; i < steps_.size(); ++i)
    if (hidden(static_cast<int>(i))) return true;
  return false;
}

void Day::find(int step) {
  for (int at = step; at >= 0; at = steps_[static_cast<std::size_t>(at)].parent) {
    StepState& state = steps_[static_cast<std::size_t>(at)];
    if (!state.step->surprise) continue;
    state.found = true;
  }
}

void Day::resume(UtcTime at) {
  held_ = false;
  for (StepState& state : steps_)
    if (state.begun) state.held += std::max(at - std::max(held_at_, state.begun_at), {});
}

// A group that begins again begins everything in it again.
void Day::forget_inside(int group) {
  for (std::size_t i = static_cast<std::size_t>(group) + 1; i < steps_.size(); ++i) {
    if (steps_[i].depth <= steps_[static_cast<std::size_t>(group)].depth) break;
    steps_[i].begun = steps_[i].is_over = false;
    steps_[i].times = 0;
    steps_[i].outcome.reset();
  }
}

}  // namespace faultline::controller::gameday
