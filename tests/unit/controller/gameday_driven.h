// SPDX-License-Identifier: Apache-2.0
// A game day that is driven by hand. For tests only.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "controller/gameday/day.h"
#include "controller/gameday/words.h"

namespace faultline::controller::gameday {

using api::EntryKind;
using api::StepOutcome;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

inline const UtcTime kBegin = UtcTime(std::chrono::sys_days(std::chrono::year(2026) / 11 / 29));

inline constexpr const char* kExperiment =
    "{spec: {target: {selector: {namespaces: [shop]}}, faults: [{networkLoss: {loss: 10%}}]}}";

inline std::string document(const std::string& steps, const std::string& more = {}) {
  return "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: day, namespace: "
         "shop}\nspec:\n  title: Payments is slow\n  preChecks: []\n" +
         more + "  steps:\n" + steps;
}

// Drives a day as the controller does: what advance() wants is applied until it wants nothing.
class Driven {
 public:
  explicit Driven(const std::string& steps, const std::string& more = {}, bool unattended = true)
      : day_(Day::create(parsed(steps, more), "day-1", "jane", unattended, kBegin)) {
    seen.now = kBegin;
    settle();
  }
  static api::GameDay parsed(const std::string& steps, const std::string& more) {
    auto day = api::parse_gameday(document(steps, more), "day.yaml");
    if (!day) throw std::runtime_error(day.error().message);
    return *day;
  }

  void settle() {
    for (int i = 0; i < 1000; ++i) {
      const auto entries = day_.advance(seen);
      if (entries.empty()) return;
      day_.apply(entries);
    }
    FAIL() << "the day never comes to rest";
  }
  void pass(seconds time) {
    seen.now += time;
    settle();
  }
  Result<api::DayEntry> say(api::DayWord word, const std::string& who = "jane") {
    if (word.key.empty()) word.key = "key-" + std::to_string(++keys_) + "-of-a-word";
    auto entry = day_.say(word, who, "cli", seen.now);
    if (entry && entry->number > day_.record().entries.size()) day_.apply({*entry});
    settle();
    return entry;
  }
  // Begins what is wanted, as runs called "r1", "r2" ...
  std::vector<std::string> begin_runs() {
    std::vector<std::string> begun;
    for (const WantedRun& run : day_.wanted().runs) {
      seen.runs[run.key].run = "r" + std::to_string(++runs_);
      begun.push_back(seen.runs[run.key].run);
    }
    settle();
    return begun;
  }
  void end_run(const std::string& run, api::RunVerdict verdict,
               api::RunState state = api::RunState::Completed) {
    for (auto& [key, seen_run] : seen.runs)
      if (seen_run.run == run) {
        seen_run.over = true;
        seen_run.state = state;
        seen_run.verdict = verdict;
      }
    settle();
  }
  std::vector<std::string> course() const {
    std::vector<std::string> words;
    for (const api::DayEntry& entry : day_.record().entries) {
      std::string text = word_of(entry.kind);
      if (!entry.step.empty()) text += " " + entry.step;
      if (entry.outcome) text += " " + word_of(*entry.outcome);
      words.push_back(std::move(text));
    }
    return words;
  }
  std::optional<StepOutcome> outcome(const std::string& step) const {
    for (const api::StepView& view : day_.view("", 0).steps)
      if (view.name == step && view.state == "over") return view.outcome;
    return std::nullopt;
  }
  Day& day() { return day_; }
  api::DayState state() const { return day_.record().state; }

  Seen seen;

 private:
  Day day_;
  int keys_ = 0, runs_ = 0;
};

}  // namespace faultline::controller::gameday
