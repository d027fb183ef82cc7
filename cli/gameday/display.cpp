// SPDX-License-Identifier: Apache-2.0
#include "cli/gameday/display.h"

#include <algorithm>
#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/gameday/view.h"

namespace faultline::cli {
namespace {

constexpr int kNarrowest = 40, kLowest = 10;

}  // namespace

DayDisplay::DayDisplay(Console& console, Form form)
    : console_(console), form_(form), live_(console.out_is_terminal && form == Form::kPeople) {}

void DayDisplay::take_away() {
  if (drawn_ > 0) console_.out << "\033[" << drawn_ << "A\r\033[J";
  drawn_ = 0;
}

void DayDisplay::show(const api::GameDayView& view, const std::vector<const api::DayEntry*>& fresh,
                      const std::vector<api::DayEntry>& all) {
  if (live_) {
    // A column and a line are left free: a full one would wrap, or move the page.
    const auto width = static_cast<std::size_t>(std::max(console_.width(), kNarrowest) - 1);
    const auto height = static_cast<std::size_t>(std::max(console_.height(), kLowest) - 1);
    const auto lines = day_screen(view, all, width, height);
    take_away();
    for (const std::string& line : lines) console_.out << line << "\n";
    drawn_ = lines.size();
    console_.out << std::flush;
    return;
  }
  if (form_ == Form::kEntries) {
    for (const api::DayEntry* entry : fresh) console_.out << api::to_json_text(*entry) << "\n";
    console_.out << std::flush;
    return;
  }
  std::ostream& out = form_ == Form::kPeople ? console_.out : console_.err;
  for (const api::DayEntry* entry : fresh) out << "  " << entry_line(*entry) << "\n";
  if (view.next != next_ && !view.next.empty())
    out << "  waits for  " << printable_prose(view.next) << "\n";
  next_ = view.next;
  out << std::flush;
}

void DayDisplay::finish() { drawn_ = 0; }

void DayDisplay::say(const std::string& line) {
  take_away();
  console_.err << "  " << printable(line) << "\n" << std::flush;
}

}  // namespace faultline::cli
