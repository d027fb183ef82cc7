// SPDX-License-Identifier: Apache-2.0
// What people say.
#include <algorithm>
#include <charconv>
#include <chrono>

#include "api/codec.h"
#include "controller/gameday/day.h"
#include "controller/gameday/words.h"

namespace faultline::controller::gameday {

using api::DayEntry;
using api::DayRole;
using api::DayState;
using api::EntryKind;

namespace {

// A clock that is a little ahead of ours says nothing of the future.
constexpr std::chrono::seconds kClocksApart{5};
// So long two people who look at the same page may press the same thing.
constexpr std::chrono::seconds kSameMoment{2};
// What one person says of a day that is over, of the kMostLate of all.
constexpr std::size_t kMostLateOfOne = 250;
constexpr const char* kIfMeant = "; if you mean that one, name it and say it again";

// Of a text like "2026-12-31", or empty.
bool is_date(const std::string& text) {
  if (text.empty()) return true;
  int year = 0;
  unsigned month = 0, day = 0;
  const char* const at = text.data();
  if (text.size() != 10) return false;
  std::from_chars(at, at + 4, year);
  std::from_chars(at + 5, at + 7, month);
  std::from_chars(at + 8, at + 10, day);
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  return year > 0 && date.ok();
}

}  // namespace

class Day::Hearing {
 public:
  Hearing(const Day& day, const api::DayWord& word, const std::string& who, const std::string& via,
          UtcTime now)
      : day_(day),
        word_(word),
        role_(day.role_of(who)),
        now_(std::max(now, day.last_at_)),
        set_back_(now < day.last_at_) {
    entry_.via = via;
    entry_.number = day.record_.entries.size() + 1;
    entry_.kind = word.kind;
    entry_.at = word.at.set() ? word.at : api::Timestamp{now_};
    entry_.recordedAt = {now_};
    entry_.who = who;
    entry_.role = role_;
    entry_.key = word.key;
    entry_.step = word.step;
    entry_.word = word.word;
    entry_.text = word.text;
    entry_.item = word.item;
    entry_.good = word.good;
    entry_.action = word.action;
  }

  Result<DayEntry> run() {
    if (!is_said(word_.kind))
      return fail(Errc::kInvalid, "kind: " + word_of(word_.kind) + " is not what people say");
    if (auto room = has_room(); !room) return fail(room.error());
    // Whatever clocks say, who wants the day to end is heard.
    if (word_.kind == EntryKind::aborted)
      entry_.at.value = std::max(std::min(entry_.at.value, now_), day_.created_at_);
    if (entry_.at.value > now_ + kClocksApart)
      return fail(Errc::kInvalid, "at: " + entry_.at.format() + " is in the future");
    entry_.at.value = std::min(entry_.at.value, now_);
    if (entry_.at.value < day_.created_at_)
      return fail(Errc::kInvalid, "at: " + entry_.at.format() +
                                      " is before the day, which was created at " +
                                      api::Timestamp{day_.created_at_}.format());
    if (day_.over() && (is_control(word_.kind) || word_.kind == EntryKind::answered))
      return fail(Errc::kConflict, "the game day is over");
    if (is_control(word_.kind) && word_.kind != EntryKind::aborted && !day_.leads(role_))
      return fail(Errc::kDenied, "only the facilitator may do this: roles.facilitator names them");
    if (auto good = by_kind(); !good) return fail(good.error());
    return std::move(entry_);
  }

 private:
  // What a person may add; who ends the day, or answers what it waits for, always may.
  [[nodiscard]] Result<> has_room() const {
    if (word_.kind == EntryKind::held || word_.kind == EntryKind::skipped) {
      if (day_.controls_ < kMostControls) return {};
      return fail(Errc::kConflict, "people hold a day and skip steps at most " +
                                       std::to_string(kMostControls) + " times");
    }
    if (is_control(word_.kind) || word_.kind == EntryKind::answered) return {};
    const bool kept = is_kept(word_.kind);
    const auto full = [&](std::size_t has, std::size_t most, std::size_t of_it) {
      return has >= (kept ? most : most - of_it);
    };
    if (const auto own = day_.words_.find(speaker_of(entry_)); own != day_.words_.end())
      if (full(own->second.entries, kMostOfOne, kKeptOfOne) ||
          full(own->second.bytes, kMostBytesOfOne, kMostBytesOfOne / 8))
        return fail(Errc::kConflict,
                    "one person writes at most " + std::to_string(kMostOfOne - kKeptOfOne) +
                        " entries, 224 KiB in all, and then ticks, acks and what mitigated");
    if (full(day_.record_.entries.size(), kMostEntries, kKeptEntries) ||
        full(day_.bytes_, kMostBytes, kKeptBytes))
      // How many it has would tell of those that are hidden.
      return fail(Errc::kConflict, "the timeline is full: it has room for " +
                                       std::to_string(kMostEntries) + " entries, " +
                                       std::to_string(kMostBytes >> 20) +
                                       " MiB in all; the last are for ticks, acks and what "
                                       "mitigated");
    if (day_.late_ >= kMostLate || late_of_one() >= kMostLateOfOne)
      return fail(Errc::kConflict, "of a game day that is over people write at most " +
                                       std::to_string(kMostLate) + " entries, one person " +
                                       std::to_string(kMostLateOfOne));
    return {};
  }

  [[nodiscard]] std::size_t late_of_one() const {
    if (!day_.over()) return 0;
    const std::string speaker = speaker_of(entry_);
    std::size_t late = 0;
    for (auto entry = day_.record_.entries.rbegin();
         entry != day_.record_.entries.rend() && entry->kind != EntryKind::over; ++entry)
      late += speaker_of(*entry) == speaker ? 1 : 0;
    return late;
  }

  Result<> by_kind() {
    // A step that this kind of word is not about.
    if (is_control(word_.kind) && word_.kind != EntryKind::skipped) entry_.step.clear();
    switch (word_.kind) {
      case EntryKind::started:
        if (day_.started_) return fail(Errc::kConflict, "the game day has started already");
        if (day_.record_.state != DayState::waiting)
          return fail(Errc::kConflict, "the pre-checks are not done yet");
        return {};
      case EntryKind::held:
        if (!day_.started_ || day_.aborted_) return wrong_state("held");
        // Whoever let faults go on may still end them.
        if (day_.held_ && (!day_.held_keeps_ || entry_.good)) return wrong_state("held");
        return {};
      case EntryKind::resumed:
        if (!day_.held_ || day_.aborted_) return wrong_state("resumed");
        return {};
      case EntryKind::aborted:
        if (day_.aborted_) return wrong_state("aborted");
        if (entry_.text.empty()) entry_.text = "somebody ended the day";
        return {};
      case EntryKind::skipped:
        return skipped();
      case EntryKind::answered:
        return answered();
      case EntryKind::tick:
        return ticked();
      case EntryKind::found:
        return found();
      case EntryKind::missing:
        if (entry_.text.empty()) return needs("text", "what the runbook lacks");
        if (auto known = visible_step(); !known) return fail(known.error());
        return {};
      case EntryKind::note:
        if (entry_.text.empty()) return needs("text", "what is to be noted");
        if (!entry_.step.empty())
          if (auto known = visible_step(); !known) return fail(known.error());
        return {};
      case EntryKind::action:
        if (!entry_.action) return needs("action", "an action item with its text");
        if (!is_date(entry_.action->due))
          return fail(Errc::kInvalid, "action.due: there is no day " + entry_.action->due);
        if (!entry_.step.empty())
          if (auto known = visible_step(); !known) return fail(known.error());
        return {};
      case EntryKind::acknowledged:
      case EntryKind::mitigated:
        if (!entry_.step.empty())
          if (auto known = visible_step(); !known) return fail(known.error());
        return {};
      default:  // the others are not said: run()
        return {};
    }
  }

  static tl::unexpected<Error> needs(const std::string& key, const std::string& what) {
    return fail(Errc::kInvalid, key + ": missing, expected " + what);
  }
  [[nodiscard]] tl::unexpected<Error> wrong_state(const std::string& word) const {
    return fail(Errc::kConflict,
                "the game day cannot be " + word + ": it is " + word_of(day_.record_.state));
  }

  // What a person may not see is not there for them.
  Result<int> visible_step() const {
    const int at = day_.index_of(entry_.step);
    if (at >= 0 && (!day_.hidden(at) || day_.leads(role_))) return at;
    std::vector<std::string_view> names;
    for (const auto& [name, index] : day_.by_name_)
      if (!day_.hidden(index) || day_.leads(role_)) names.push_back(name);
    std::string message = "step: there is no step \"" + entry_.step + "\"";
    if (const std::string near = api::nearest_word(entry_.step, names); !near.empty())
      message += "; did you mean \"" + near + "\"?";
    return fail(Errc::kInvalid, std::move(message));
  }
  [[nodiscard]] const StepState& state(int at) const {
    return day_.steps_[static_cast<std::size_t>(at)];
  }

  Result<> skipped() {
    const auto at = visible_step();
    if (!at) return fail(at.error());
    if (state(*at).is_over) return fail(Errc::kConflict, "step " + entry_.step + " is over");
    if (state(*at).skip)
      return fail(Errc::kConflict, "step " + entry_.step + " is skipped already");
    if (state(*at).begun && state(*at).answer)
      return fail(Errc::kConflict, "step " + entry_.step + " is answered already");
    return is_meant(*at);
  }

  // Whether the step, or a group around it, is to be left out.
  [[nodiscard]] bool is_skipped(int at) const {
    for (; at >= 0; at = state(at).parent)
      if (state(at).skip) return true;
    return false;
  }

  // A word that names no step, or one that is done again, is about what its speaker saw. When the
  // step began after it was said, or when somebody else said the same a moment ago, that was the
  // step, or the round, before: one of two people who press at once has not seen this one.
  [[nodiscard]] Result<> is_meant(int at) const {
    const StepState& step = state(at);
    const bool again = step.over_at != UtcTime{};
    if (!word_.step.empty() && !again) return {};
    if (entry_.at.value < (step.begun ? step.begun_at : step.over_at))
      return fail(Errc::kConflict, "step " + entry_.step + " began after this was said" + kIfMeant);
    if (set_back_) return {};
    const std::vector<DayEntry>& entries = day_.record_.entries;
    for (auto other = entries.rbegin();
         other != entries.rend() && now_ - other->recordedAt.value < kSameMoment; ++other) {
      if (other->kind != word_.kind || other->who == entry_.who) continue;
      if (!word_.step.empty() && other->step != word_.step) continue;
      return fail(Errc::kConflict,
                  "somebody else said the same a moment ago, and the next is step " + entry_.step +
                      kIfMeant);
    }
    return {};
  }

  [[nodiscard]] bool waits_for_person(const StepState& step) const {
    if (!step.begun || step.answer) return false;
    return step.step->task || (step.step->waitFor && !step.step->waitFor->person.empty());
  }

  Result<> answered() {
    if (entry_.step.empty()) {
      std::vector<std::string> waiting;
      for (std::size_t i = 0; i < day_.steps_.size(); ++i)
        if (waits_for_person(day_.steps_[i]) &&
            (!day_.hidden(static_cast<int>(i)) || day_.leads(role_)))
          waiting.push_back(day_.steps_[i].step->name);
      if (waiting.empty()) return fail(Errc::kConflict, "the game day waits for nobody now");
      if (waiting.size() > 1) {
        std::string all;
        for (const std::string& name : waiting) all += (all.empty() ? "" : ", ") + name;
        return fail(Errc::kConflict, "several steps wait for somebody: " + all + "; say which");
      }
      entry_.step = waiting.front();
    }
    const auto at = visible_step();
    if (!at) return fail(at.error());
    const StepState& step = state(*at);
    if (!waits_for_person(step))
      return fail(Errc::kConflict, "step " + entry_.step + " waits for nobody now");
    if (is_skipped(*at))
      return fail(Errc::kConflict, "step " + entry_.step + " is skipped already");
    if (auto meant = is_meant(*at); !meant) return meant;
    if (step.step->task && step.step->task->role != DayRole::none &&
        step.step->task->role != role_ && role_ != DayRole::facilitator)
      return fail(Errc::kDenied,
                  "step " + entry_.step + " is a task of the " + word_of(step.step->task->role));
    entry_.outcome =
        word_.outcome.value_or(step.step->task ? api::StepOutcome::met : api::StepOutcome::done);
    return {};
  }

  Result<> ticked() {
    const auto at = visible_step();
    if (!at) return fail(at.error());
    const StepState& step = state(*at);
    if (!step.step->task || !step.step->task->runbook)
      return fail(Errc::kInvalid, "step: " + entry_.step + " has no runbook");
    if (!step.begun && !step.is_over)
      return fail(Errc::kConflict, "step " + entry_.step + " has not begun");
    const auto items = api::runbook_steps(step.step->task->runbook->text).size();
    const auto most = items == 0 ? api::kMostRunbookSteps : items;
    if (entry_.item < 1 || static_cast<std::size_t>(entry_.item) > most)
      return fail(Errc::kInvalid, "item: expected a number from 1 to " + std::to_string(most) +
                                      ", got " + std::to_string(entry_.item));
    return {};
  }

  // Anybody may say what they take the surprise for; whether that is right, the facilitator says by
  // naming the step.
  Result<> found() {
    if (entry_.text.empty()) return needs("text", "what was found");
    if (entry_.step.empty()) return {};
    if (role_ != DayRole::facilitator)
      return fail(Errc::kDenied, "only the facilitator can say which step it is");
    const auto at = visible_step();
    if (!at) return fail(at.error());
    if (!day_.hidden(*at))
      return fail(Errc::kConflict, "step " + entry_.step + " is no surprise any more");
    return {};
  }

  const Day& day_;
  const api::DayWord& word_;
  DayRole role_;
  UtcTime now_;
  bool set_back_;  // the clock was: nobody knows how long ago an entry was written
  DayEntry entry_;
};

Result<DayEntry> Day::say(const api::DayWord& word, const std::string& who, const std::string& via,
                          UtcTime now) const {
  if (const auto known = said_.find(word.key); known != said_.end()) {
    const DayEntry& entry = record_.entries[known->second - 1];
    if (entry.who == who) return entry;
    return fail(Errc::kConflict, "key: somebody else has used it on this game day");
  }
  return Hearing(*this, word, who, via, now).run();
}

}  // namespace faultline::controller::gameday
