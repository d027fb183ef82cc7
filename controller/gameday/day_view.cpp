// SPDX-License-Identifier: Apache-2.0
// What each person sees of a day.
#include <algorithm>

#include "controller/gameday/day.h"
#include "controller/gameday/words.h"

namespace faultline::controller::gameday {

using api::DayEntry;
using api::DayRole;
using api::DayState;
using api::EntryKind;

namespace {

// What those are told who may not know which step it is about.
constexpr const char* kNotShown = "a step that is not shown yet";

}  // namespace

// When the day is over everything is told, but for what never began of a day that failed: that one
// can be mended and run again.
bool Day::hidden(int step) const {
  if (over() && record_.state != DayState::failed) return false;
  for (int i = step; i >= 0; i = steps_[static_cast<std::size_t>(i)].parent) {
    const StepState& state = steps_[static_cast<std::size_t>(i)];
    if (!state.step->surprise || state.found || state.is_over) continue;
    if (!over() || state.begun_at == UtcTime{}) return true;
  }
  return false;
}

// That the day is held or ended everybody sees, if not why.
bool Day::may_see(const DayEntry& entry) const {
  if (entry.step.empty()) return true;
  if (entry.kind == EntryKind::held || entry.kind == EntryKind::aborted) return true;
  const int at = index_of(entry.step);
  return at < 0 || !hidden(at);
}

DayEntry Day::as_shown(const DayEntry& entry) const {
  DayEntry shown = entry;
  const int at = index_of(entry.step);
  if (at < 0 || !hidden(at)) return shown;
  if (entry.kind != EntryKind::held && entry.kind != EntryKind::aborted) return shown;
  shown.step.clear();
  shown.text = kNotShown;
  return shown;
}

std::uint64_t Day::newest(const std::string& user) const {
  return leads(role_of(user)) ? record_.entries.size() : shown_.size();
}

std::uint64_t Day::number_for(const std::string& user, std::uint64_t number) const {
  if (leads(role_of(user))) return number;
  return number == 0 || number > shown_as_.size() ? 0 : shown_as_[number - 1];
}

std::size_t Day::view_bytes(const std::string& user, std::uint64_t after) const {
  std::size_t bytes = steps_bytes_;
  const bool all = leads(role_of(user));
  const std::uint64_t last = std::min<std::uint64_t>(newest(user), after + kPage.entries);
  for (std::uint64_t i = after; i < last && bytes < steps_bytes_ + kPage.bytes; ++i)
    bytes += kEntryBytes + bytes_of(record_.entries[all ? i : shown_[i]]);
  for (const StepState& state : steps_) bytes += state.runs.size() * 80 + state.reason.size();
  return bytes;
}

std::string Day::waiting_for(bool facilitator) const {
  if (over()) return "";
  if (aborted_) return "what runs to end";
  if (record_.state == DayState::checking) return "the pre-checks";
  if (record_.state == DayState::waiting) return "somebody who starts it";
  if (held_) return "somebody who resumes it";
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const StepState& state = steps_[i];
    if (!state.begun || (hidden(static_cast<int>(i)) && !facilitator)) continue;
    const api::Step& step = *state.step;
    if (step.task) {
      const std::string whom =
          step.task->role == DayRole::none ? "somebody" : "the " + word_of(step.task->role);
      return whom + " to do " + step.name + (step.task->text.empty() ? "" : ": " + step.task->text);
    }
    if (step.waitFor && !step.waitFor->person.empty())
      return "somebody to confirm " + step.name + ": " + step.waitFor->person;
    if (step.waitFor && !step.waitFor->alert.empty())
      return "the alert " + step.waitFor->alert +
             (step.waitFor->state == api::AwaitedState::firing ? " to fire" : " to be silent");
    if (step.waitFor) return "what " + step.name + " waits for";
    if (step.serial.empty() && step.parallel.empty())
      return std::string(api::step_kind(step)) + " " + step.name + " to be over";
  }
  return "the next step";
}

std::string Day::reason_for(const std::string& user) const {
  const int at = index_of(reason_step_);
  if (at < 0 || !hidden(at) || leads(role_of(user))) return record_.stateReason;
  return kNotShown;
}

api::GameDayView Day::view(const std::string& user, std::uint64_t after, Page page) const {
  api::GameDayView view;
  view.day = record_.day;
  view.name = record_.document.metadata.name;
  view.namespace_ = record_.document.metadata.namespace_;
  view.title = record_.document.spec.title;
  view.state = record_.state;
  view.stateReason = reason_for(user);
  view.you = role_of(user);
  const bool facilitator = leads(view.you);
  view.next = waiting_for(facilitator);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const StepState& state = steps_[i];
    if (!facilitator && hidden(static_cast<int>(i))) continue;
    api::StepView step;
    step.name = state.step->name;
    step.title = state.step->title;
    step.kind = api::step_kind(*state.step);
    step.state = state.begun ? "running" : state.is_over ? "over" : "waiting";
    step.outcome = state.outcome;
    step.reason = state.reason;
    if (state.begun_at != UtcTime{}) step.begunAt = {state.begun_at};
    if (state.over_at != UtcTime{}) step.overAt = {state.over_at};
    step.runs = state.runs;
    if (state.begun || state.is_over) step.items = state.items;
    step.ticked.assign(state.ticked.begin(), state.ticked.end());
    step.depth = state.depth;
    step.surprise = state.step->surprise;
    view.steps.push_back(std::move(step));
  }
  const std::uint64_t newest = facilitator ? record_.entries.size() : shown_.size();
  std::size_t bytes = 0;
  for (std::uint64_t i = after; i < newest && view.entries.size() < page.entries; ++i) {
    const DayEntry& entry = record_.entries[facilitator ? i : shown_[i]];
    bytes += kEntryBytes + bytes_of(entry);
    if (bytes > page.bytes && !view.entries.empty()) break;
    view.entries.push_back(facilitator ? entry : as_shown(entry));
    view.entries.back().number = i + 1;
  }
  return view;
}

}  // namespace faultline::controller::gameday
