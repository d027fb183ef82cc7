// SPDX-License-Identifier: Apache-2.0
// Rules of the status of a GameDay in a cluster.
#pragma once

#include "api/detail/rules_gameday.h"
#include "api/detail/rules_status.h"
#include "api/gameday_status.h"

namespace faultline::api::detail {

template <>
inline constexpr bool kLeavesOutEmpty<GameDayStatus> = true;
template <>
inline constexpr bool kLeavesOutEmpty<GameDayStepStatus> = true;

inline constexpr std::size_t kMostStatusRuns = 8;  // of one step

template <>
struct Rules<GameDayStatus> {
  static constexpr std::string_view help = "What became of the day; the controller writes it.";
  static constexpr FieldRule fields[] = {
      {.key = "phase", .help = "Where the day is."},
      {.key = "reason", .help = "Why it is there.", .max_length = kMostMessage},
      {.key = "day", .help = "Id of the day, for `faultline gameday`.", .max_length = 253},
      {.key = "observedGeneration",
       .help = "The generation of the spec that this is about.",
       .min = 0},
      {.key = "step", .help = "The steps that are under way.", .max_length = 1024},
      {.key = "next", .help = "What the day waits for.", .max_length = 2 * kMostDayText},
      {.key = "steps", .help = "How each step stands.", .max_items = kMostDaySteps},
      {.key = "word",
       .help =
           "The newest word of the annotation faultline.dev/gameday-do, and what became of it."},
      {.key = "verdict", .help = "The worst outcome of a step. Absent until the day is over."},
      {.key = "startedAt", .help = "When the first step could begin."},
      {.key = "completedAt", .help = "When the day was over."},
      {.key = "report", .help = "Where the controller has the report.", .max_length = 1024}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<GameDayStepStatus> {
  static constexpr std::string_view help = "How one step stands.";
  static constexpr FieldRule fields[] = {
      {.key = "name", .help = "The step.", .max_length = 40},
      {.key = "state", .help = "waiting, running or over.", .max_length = 16},
      {.key = "outcome", .help = "How it ended the last time."},
      {.key = "reason", .help = "Why.", .max_length = 1024},
      {.key = "runs",
       .help = "Its newest runs, for `faultline report`.",
       .max_items = kMostStatusRuns,
       .max_length = 253}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<GameDayWordStatus> {
  static constexpr std::string_view help = "What somebody said by an annotation.";
  static constexpr FieldRule fields[] = {
      {.key = "word", .help = "As it was written.", .max_length = 2 * kMostDayText},
      {.key = "by", .help = "Who wrote it, as the API server knows them.", .max_length = 1024},
      {.key = "at", .help = "When it was written."},
      {.key = "key", .help = "Of the word; another annotation has another one.", .max_length = 64},
      {.key = "taken", .help = "Whether it is in the timeline."},
      {.key = "answer", .help = "What became of it.", .max_length = kMostMessage}};
  static constexpr std::string_view schema{};
};

}  // namespace faultline::api::detail
