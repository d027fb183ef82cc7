// SPDX-License-Identifier: Apache-2.0
// Internal to report/gameday/: people as words of their role. Thread-safe once made.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "api/gameday_record.h"
#include "report/gameday/gameday.h"

namespace faultline::report::gameday {

// Whether the entry is something that people say, not the course of the day.
[[nodiscard]] bool said_by_people(api::EntryKind kind);
// Whether nobody said it: the course of the day, and the note of a step, which is read out.
[[nodiscard]] bool by_controller(const api::DayEntry& entry);

class People {
 public:
  People(const api::GameDayRecord& record, Names names);

  // Who an entry is of: "the commander", "an observer", "somebody"; with names "jane (commander)".
  // Empty: the controller.
  [[nodiscard]] std::string who(const api::DayEntry& entry) const;
  // "the commander", "anybody": whose a task is.
  [[nodiscard]] static std::string whose(api::DayRole role);
  // A field that is a person or a team: a person of the day becomes their role word.
  [[nodiscard]] std::string owner(const std::string& text) const;
  // Words that the controller wrote, without names of people of the day.
  [[nodiscard]] std::string tame(std::string text) const;

 private:
  std::map<std::string, api::DayRole> known_;  // every name of the day
  bool shown_;
};

}  // namespace faultline::report::gameday
