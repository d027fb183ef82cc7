// SPDX-License-Identifier: Apache-2.0
#include "cli/gameday/view.h"

#include <algorithm>
#include <boost/describe/enum_to_string.hpp>
#include <chrono>

#include "base/printable.h"
#include "cli/console.h"
#include "cli/text.h"
#include "report/format.h"

namespace faultline::cli {
namespace {

// What is told so much later than it happened was said later, not just on its way.
constexpr std::chrono::seconds kLate{5};
constexpr std::size_t kFewestEntries = 6;
constexpr std::size_t kWho = 11;  // "facilitator"

// A step that is done again has the outcome of the time before until it is over.
bool is_over(const api::StepView& step) { return step.outcome && step.state == "over"; }

std::string_view mark_of(const api::StepView& step) {
  if (!is_over(step)) return step.state == "running" ? "[>]" : "[ ]";
  switch (*step.outcome) {  // no default: a new outcome needs a mark
    case api::StepOutcome::done:
    case api::StepOutcome::met:
      return "[+]";
    case api::StepOutcome::missed:
    case api::StepOutcome::partial:
      return "[!]";
    case api::StepOutcome::skipped:
      return "[-]";
    case api::StepOutcome::failed:
    case api::StepOutcome::aborted:
      break;
  }
  return "[x]";
}

// ": why", or nothing.
std::string because(const std::string& text) {
  return text.empty() ? "" : ": " + printable_prose(text);
}

std::string of_step(const api::DayEntry& entry) {
  return entry.step + (entry.times > 0 ? " (time " + std::to_string(entry.times + 1) + ")" : "");
}

std::string outcome_of(const api::DayEntry& entry) {
  return entry.outcome ? outcome_word(*entry.outcome) : "over";
}

std::string action_words(const api::ActionItem& action) {
  std::string out = "action item: " + printable_prose(action.text);
  if (!action.owner.empty()) out += "; by " + action.owner;
  if (!action.due.empty()) out += "; until " + action.due;
  if (!action.retest.empty()) out += "; shown by " + action.retest;
  return out;
}

std::string what(const api::DayEntry& e) {
  switch (e.kind) {  // no default: a new kind must be worded here
    case api::EntryKind::created:
      return "asks for the day" + because(e.text);
    case api::EntryKind::check:
      return "check of " + e.word + ": " + (e.good ? "good" : "NOT good") + because(e.text);
    case api::EntryKind::rehearsed:
      return "the abort was rehearsed" +
             (e.seconds ? ": it took " + report::seconds_words(*e.seconds) : std::string()) +
             because(e.text);
    case api::EntryKind::started:
      return "starts the day" + because(e.text);
    case api::EntryKind::step_begun:
      return of_step(e) + " begins" + because(e.text);
    case api::EntryKind::run_begun:
      return of_step(e) + ": run " + e.run + " begins";
    case api::EntryKind::run_over:
      return of_step(e) + ": run " + e.run + " is over: " + outcome_of(e) + because(e.text);
    case api::EntryKind::step_over:
      return of_step(e) + " is over: " + outcome_of(e) + because(e.text);
    case api::EntryKind::alert:
      return "alert " + e.word + (e.good ? " is silent again" : " fires") + because(e.text);
    case api::EntryKind::condition:
      return "a condition that ends the day holds" + because(e.text.empty() ? e.word : e.text);
    case api::EntryKind::held:
      return std::string("holds the day; faults ") + (e.good ? "go on" : "are ended") +
             because(e.text);
    case api::EntryKind::resumed:
      return "lets the day go on" + because(e.text);
    case api::EntryKind::skipped:
      return "skips " + e.step + because(e.text);
    case api::EntryKind::aborted:
      return "aborts the day" + because(e.text);
    case api::EntryKind::over:
      return "the day is over: " + e.word + because(e.text);
    case api::EntryKind::gap:
      return "gap" + because(e.text);
    case api::EntryKind::note:
      return printable_prose(e.text);
    case api::EntryKind::tick:
      return "ticks item " + std::to_string(e.item) + " of " + e.step + ": it " +
             (e.good ? "worked" : "did NOT work") + because(e.text);
    case api::EntryKind::missing:
      return "the runbook of " + e.step + " lacks" + because(e.text);
    case api::EntryKind::acknowledged:
      return "takes care" + (e.word.empty() ? std::string() : " of " + e.word) + because(e.text);
    case api::EntryKind::mitigated:
      return "mitigated" + because(e.text);
    case api::EntryKind::found:
      return "thinks that it is" + because(e.text) +
             (e.step.empty() ? std::string() : " (" + e.step + ")");
    case api::EntryKind::answered:
      return "answers " + e.step + ": " + outcome_of(e) + because(e.text);
    case api::EntryKind::action:
      return e.action ? action_words(*e.action) : "action item" + because(e.text);
  }
  return "";
}

std::string head_line(const api::GameDayView& view) {
  return printable("  " + view.day + "  " + state_word(view.state) + because(view.stateReason));
}

}  // namespace

std::string state_word(api::DayState state) { return boost::describe::enum_to_string(state, "?"); }
std::string outcome_word(api::StepOutcome outcome) {
  return boost::describe::enum_to_string(outcome, "?");
}
std::string role_word(api::DayRole role) { return boost::describe::enum_to_string(role, "?"); }

std::string clock_words(const api::Timestamp& time) {
  return time.set() ? time.format().substr(11, 8) + "Z" : "-";
}

std::string entry_line(const api::DayEntry& entry) {
  std::string who = "controller";
  if (entry.role != api::DayRole::none)
    who = role_word(entry.role);
  else if (!entry.who.empty())
    who = "somebody";
  std::string line =
      padded(clock_words(entry.at), 9) + "  " + padded(who, kWho) + "  " + what(entry);
  if (entry.at.set() && entry.recordedAt.set() && entry.recordedAt.value - entry.at.value >= kLate)
    line += " (told at " + clock_words(entry.recordedAt) + ")";
  return printable(line);
}

std::string step_line(const api::StepView& step) {
  const auto depth = static_cast<std::size_t>(std::clamp<std::int64_t>(step.depth, 0, 16));
  std::string line = std::string(2 + 4 * depth, ' ') + std::string(mark_of(step)) + " ";
  line += padded(printable(step.name), 20) + "  " + padded(printable(step.kind), 10) + "  ";
  if (is_over(step))
    line += outcome_word(*step.outcome) + " at " + clock_words(step.overAt);
  else if (step.state == "running")
    line += "since " + clock_words(step.begunAt);
  if (!step.items.empty())
    line += "  " + std::to_string(step.ticked.size()) + "/" + std::to_string(step.items.size()) +
            " ticked";
  if (step.surprise) line += "  (surprise)";
  if (!step.title.empty()) line += "  " + printable_prose(step.title);
  if (is_over(step) && !step.reason.empty()) line += "  " + printable_prose(step.reason);
  line.erase(line.find_last_not_of(' ') + 1);
  return printable(line);
}

std::vector<std::string> day_screen(const api::GameDayView& view,
                                    std::span<const api::DayEntry> entries, std::size_t width,
                                    std::size_t height) {
  std::vector<std::string> lines{head_line(view)};
  if (!view.title.empty()) lines.push_back("  " + printable_prose(view.title));
  if (!view.next.empty()) lines.push_back("  waits for  " + printable_prose(view.next));
  const std::size_t room =
      height > lines.size() + kFewestEntries + 1 ? height - lines.size() - kFewestEntries - 1 : 1;
  // The window of steps that holds the first one that is under way, or else is not over.
  const auto it = std::ranges::find_if(view.steps, [&](const api::StepView& step) {
    return step.state == "running" && step.kind != "serial" && step.kind != "parallel";
  });
  const auto waiting =
      std::ranges::find_if(view.steps, [](const api::StepView& step) { return !is_over(step); });
  auto middle =
      static_cast<std::size_t>((it == view.steps.end() ? waiting : it) - view.steps.begin());
  const std::size_t shown = std::min(room, view.steps.size());
  const std::size_t first =
      std::min(middle > shown / 2 ? middle - shown / 2 : 0, view.steps.size() - shown);
  for (std::size_t i = first; i < first + shown; ++i) lines.push_back(step_line(view.steps[i]));
  if (shown < view.steps.size())
    lines.back() += "  ... " + std::to_string(view.steps.size()) + " steps in all";
  if (!entries.empty()) lines.emplace_back();
  const std::size_t left = height > lines.size() ? height - lines.size() : 0;
  const std::size_t newest = std::min(left, entries.size());
  for (const api::DayEntry& entry : entries.last(newest)) lines.push_back("  " + entry_line(entry));
  if (lines.size() > height) lines.resize(height);
  for (std::string& line : lines) line = cut(line, width);
  return lines;
}

namespace {

// Of an item of the step's runbook: the last that was said of it since the step began.
std::string_view tick_mark(const api::GameDayView& view, const api::StepView& step,
                           std::int64_t item) {
  if (std::ranges::find(step.ticked, item) == step.ticked.end()) return "[ ] ";
  for (auto entry = view.entries.rbegin(); entry != view.entries.rend(); ++entry)
    if (entry->kind == api::EntryKind::tick && entry->step == step.name && entry->item == item)
      return entry->good ? "[+] " : "[!] ";
  return "[+] ";
}

}  // namespace

std::string day_text(const api::GameDayView& view) {
  std::string out = head_line(view) + "\n";
  if (!view.title.empty()) out += "  " + printable_prose(view.title) + "\n";
  if (!view.next.empty()) out += "  waits for  " + printable_prose(view.next) + "\n";
  out += "\n";
  for (const api::StepView& step : view.steps) {
    out += step_line(step) + "\n";
    const std::string indent(
        10 + 4 * static_cast<std::size_t>(std::clamp<std::int64_t>(step.depth, 0, 16)), ' ');
    for (std::size_t i = 0; i < step.items.size(); ++i) {
      const auto number = static_cast<std::int64_t>(i + 1);
      out += indent + std::string(tick_mark(view, step, number)) + std::to_string(number) + ". " +
             printable_prose(step.items[i]) + "\n";
    }
  }
  if (!view.entries.empty()) out += "\n";
  for (const api::DayEntry& entry : view.entries) out += "  " + entry_line(entry) + "\n";
  return out;
}

int day_exit_code(const api::GameDayView& view, std::span<const api::DayEntry> entries) {
  if (view.state == api::DayState::aborted) return kExitAborted;
  if (view.state != api::DayState::completed) return kExitCouldNotRun;
  int code = kExitMet;
  const auto add = [&](const std::optional<api::StepOutcome>& outcome) {
    if (!outcome) return;
    switch (*outcome) {  // no default: a new outcome needs its code
      case api::StepOutcome::done:
      case api::StepOutcome::met:
      case api::StepOutcome::skipped:
        return;
      case api::StepOutcome::missed:
      case api::StepOutcome::partial:
        code = std::max(code, kExitNotReal);
        return;
      case api::StepOutcome::aborted:
        code = std::max(code, kExitAborted);
        return;
      case api::StepOutcome::failed:
        code = std::max(code, kExitCouldNotRun);
        return;
    }
  };
  for (const api::StepView& step : view.steps) add(step.outcome);
  // Of a step that is done again the view has the last time only.
  for (const api::DayEntry& entry : entries)
    if (entry.kind == api::EntryKind::step_over) add(entry.outcome);
  return code;
}

}  // namespace faultline::cli
