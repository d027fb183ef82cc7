// SPDX-License-Identifier: Apache-2.0
// What follows from what is seen now: the entries of one call of advance().
#include <algorithm>
#include <charconv>

#include "controller/gameday/day.h"
#include "controller/gameday/words.h"
#include "report/alert_episodes.h"
#include "report/format.h"

namespace faultline::controller::gameday {

using api::DayEntry;
using api::DayState;
using api::EntryKind;
using api::Step;
using api::StepOutcome;
using report::has_labels;
using report::number_words;

namespace {

bool beyond(double value, const std::string& above, const std::string& below) {
  const std::string& text = above.empty() ? below : above;
  double bound = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bound);
  if (error != std::errc{} || end != text.data() + text.size()) return false;
  return above.empty() ? value < bound : value > bound;
}

}  // namespace

// Each function writes down what it sees, and nothing that follows from that: the next call does,
// when this one is applied.
class Day::Course {
 public:
  Course(const Day& day, const Seen& seen) : day_(day), seen_(seen) {}

  std::vector<DayEntry> run() {
    if (day_.over()) return {};
    if (seen_.now - day_.created_at_ > kLongestOpen && !day_.aborted_) {
      add(EntryKind::aborted).text = "the game day was open for 48 h";
      return std::move(entries_);
    }
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

 private:
  DayEntry& add(EntryKind kind) {
    DayEntry entry;
    entry.number = day_.record_.entries.size() + entries_.size() + 1;
    entry.kind = kind;
    // In the order of the timeline, also when the clock was set back.
    entry.at = entry.recordedAt = {std::max(seen_.now, day_.last_at_)};
    entries_.push_back(std::move(entry));
    return entries_.back();
  }
  const StepState& state(std::size_t i) const { return day_.steps_[i]; }

  // ---- before
  void checks() {
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
  [[nodiscard]] bool may_begin() const {
    const api::DayWindow& window = day_.record_.document.spec.window;
    return !window.notBefore.set() || seen_.now >= window.notBefore.value;
  }

  // ---- what runs, and what the monitoring says
  void runs() {
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
  [[nodiscard]] bool is_key_of(const StepState& step, const std::string& key) const {
    if (step.step->experiment) return key == day_.key_of(step);
    return step.step->sweep && key.starts_with(day_.key_of(step) + "/");
  }

  void alerts() {
    for (DayEntry& entry : day_.alert_entries(seen_)) {
      entry.number = day_.record_.entries.size() + entries_.size() + 1;
      entries_.push_back(std::move(entry));
    }
  }

  void conditions() {
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
        why =
            condition.promql + " is " + number_words(value->second) +
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

  // ---- the steps
  void steps() {
    for (std::size_t i = 0; i < day_.steps_.size(); ++i) {
      const StepState& step = state(i);
      if (step.begun)
        running(i);
      else if (!step.is_over && !day_.held_)
        begin(i);
      if (stopped_) return;
    }
  }

  // Whether everything that comes before it is over.
  [[nodiscard]] bool is_due(std::size_t index) const {
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

  void begin(std::size_t index) {
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

  void over(std::size_t index, StepOutcome outcome, std::string reason, bool last = false) {
    const StepState& step = state(index);
    // What is in a group that ends early ends with it.
    for (std::size_t i = index + 1; i < day_.steps_.size() && state(i).depth > step.depth; ++i)
      if (state(i).begun) {
        DayEntry& inner = add(EntryKind::step_over);
        inner.step = state(i).step->name;
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
    // What a hold ended is no miss, also when that is seen after the day was resumed.
    if (last || !is_miss(outcome) || day_.held_ || day_.excused(index)) return;
    const std::string why = "step " + step.step->name + " ended as " + word_of(outcome);
    if (step.step->onMiss == api::OnMiss::hold) {
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

  // How long it runs, without the time in which the day was held.
  [[nodiscard]] std::chrono::nanoseconds time_of(const StepState& step) const {
    const auto age = seen_.ages.find(step.step->name);
    return age != seen_.ages.end() ? age->second : day_.age_of(step.step->name, seen_.now);
  }

  void running(std::size_t index) {
    const StepState& step = state(index);
    const Step& what = *step.step;
    if (step.skip) return over(index, StepOutcome::skipped, "somebody skipped it", true);
    const auto since = time_of(step);
    // What is there by now counts, also when the deadline has passed meanwhile.
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

  bool all_runs_over(std::size_t index) {
    const StepState& step = state(index);
    const bool is_sweep = step.step->sweep.has_value();
    StepOutcome worst = StepOutcome::skipped;
    std::string reason;
    for (const std::string& key : day_.run_keys(step)) {
      const auto result = step.results.find(key);
      if (result == step.results.end()) {
        // A hold ended the cell before, and with it the sweep.
        const bool held = step.hold_ended || (day_.held_ && !day_.held_keeps_);
        if (held && !step.results.empty() && !has_open(step)) break;
        return false;
      }
      // A cell whose severity was not noticed is what a sweep wants to know, no miss.
      StepOutcome outcome = result->second.outcome;
      if (is_sweep && (outcome == StepOutcome::missed || outcome == StepOutcome::met))
        outcome = StepOutcome::done;
      if (worse(worst, outcome) == worst) continue;
      worst = outcome;
      reason = result->second.reason;
    }
    over(index, worst, std::move(reason));
    return true;
  }

  bool task(std::size_t index, std::chrono::nanoseconds since) {
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

  bool waited(std::size_t index) {
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

  bool group(std::size_t index) {
    const StepState& step = state(index);
    StepOutcome worst = StepOutcome::skipped;
    std::string reason;
    for (std::size_t i = index + 1; i < day_.steps_.size() && state(i).depth > step.depth; ++i) {
      if (state(i).parent != static_cast<int>(index)) continue;
      if (!state(i).is_over) return false;
      const StepOutcome outcome = state(i).outcome.value_or(StepOutcome::skipped);
      if (worse(worst, outcome) == worst) continue;
      worst = outcome;
      reason =
          is_miss(outcome) ? "step " + state(i).step->name + " ended as " + word_of(outcome) : "";
    }
    over(index, worst, std::move(reason));
    return true;
  }

  [[nodiscard]] bool has_beginning(const StepState& step) const {
    if (seen_.beginning.empty()) return false;
    const std::string prefix = day_.run_prefix(step);
    return std::ranges::any_of(seen_.beginning,
                               [&](const auto& key) { return key.starts_with(prefix); });
  }

  // ---- after
  void end_aborted() {
    // What may come up at any moment is ended, too, before the day is over.
    if (!seen_.beginning.empty()) return;
    for (const StepState& step : day_.steps_)
      if (has_open(step)) return;  // unwanted() stops them
    for (const StepState& step : day_.steps_)
      if (step.begun) {
        DayEntry& entry = add(EntryKind::step_over);
        entry.step = step.step->name;
        entry.outcome = StepOutcome::aborted;
        entry.text = "the game day was aborted";
        entry.good = true;
      }
    over(DayState::aborted, day_.abort_reason_);
  }

  void completed() {
    if (!seen_.beginning.empty()) return;
    std::size_t missed = 0, all = 0;
    std::string first;
    for (const StepState& step : day_.steps_) {
      if (step.parent < 0 && !step.is_over) return;
      if (!step.step->serial.empty() || !step.step->parallel.empty() || !step.outcome) continue;
      ++all;
      if (!is_miss(*step.outcome)) continue;
      if (missed++ == 0) first = step.step->name + " ended as " + word_of(*step.outcome);
    }
    for (const StepState& step : day_.steps_)
      if (has_open(step)) return;
    if (missed == 0) return over(DayState::completed, "");
    over(DayState::completed, std::to_string(missed) + " of " + std::to_string(all) +
                                  " steps missed; the first: " + first);
  }

  void over(DayState state, std::string reason) {
    DayEntry& entry = add(EntryKind::over);
    entry.word = word_of(state);
    entry.text = std::move(reason);
  }

  static constexpr std::chrono::hours kLongestOpen{48};  // started or not
  const Day& day_;
  const Seen& seen_;
  std::vector<DayEntry> entries_;
  bool stopped_ = false;
};

std::vector<DayEntry> Day::advance(const Seen& seen) const { return Course(*this, seen).run(); }

}  // namespace faultline::controller::gameday
