// SPDX-License-Identifier: Apache-2.0
// What a person sees of a game day: its steps as a tree, and its timeline. People are told by their
// roles. Knows no terminal and no clock; pure and thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/gameday_record.h"

namespace faultline::cli {

// "held", "step-begun", "commander": as the interface has it.
[[nodiscard]] std::string state_word(api::DayState state);
[[nodiscard]] std::string outcome_word(api::StepOutcome outcome);
[[nodiscard]] std::string role_word(api::DayRole role);

// "09:00:12Z" of a time; "-" where there is none.
[[nodiscard]] std::string clock_words(const api::Timestamp& time);

// "09:00:12Z  commander    ticks item 2 of mend: it worked": one printable line.
[[nodiscard]] std::string entry_line(const api::DayEntry& entry);

// "  [>] slow  experiment  running since 09:00:12Z": one printable line.
[[nodiscard]] std::string step_line(const api::StepView& step);

// Head, steps and the newest of `entries`, at most `height` lines of at most `width` columns. Where
// there is no room for all steps, those around the ones that are under way.
[[nodiscard]] std::vector<std::string> day_screen(const api::GameDayView& view,
                                                  std::span<const api::DayEntry> entries,
                                                  std::size_t width, std::size_t height);
// The same without a bound, for paper.
[[nodiscard]] std::string day_text(const api::GameDayView& view);

// The exit code of a day that is over: 0 all steps were met, done or left out; 2 something was
// missed, or real only in part; 4 aborted; 5 failed.
[[nodiscard]] int day_exit_code(const api::GameDayView& view,
                                std::span<const api::DayEntry> entries);

}  // namespace faultline::cli
