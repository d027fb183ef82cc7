// SPDX-License-Identifier: Apache-2.0
// Shows a game day while it goes on: on a terminal one page that is drawn again in place, else a
// line for each entry. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "api/gameday_record.h"
#include "cli/console.h"

namespace faultline::cli {

class DayDisplay {
 public:
  // What `out` is for: a page or lines for people, an entry a line for programs, or something else,
  // so that the lines go to `err`.
  enum class Form { kPeople, kEntries, kOther };

  DayDisplay(Console& console, Form form);

  void show(const api::GameDayView& view, const std::vector<const api::DayEntry*>& fresh,
            const std::vector<api::DayEntry>& all);
  // A line of its own.
  void say(const std::string& line);
  // Leaves the page as it is; what is written next stands below it.
  void finish();

 private:
  void take_away();

  Console& console_;
  Form form_;
  bool live_;
  std::size_t drawn_ = 0;  // lines of the page
  std::string next_;       // what it waited for when that was last told
};

}  // namespace faultline::cli
