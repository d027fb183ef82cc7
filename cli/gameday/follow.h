// SPDX-License-Identifier: Apache-2.0
// Watches one game day, by questions that the controller answers when there is something new. What
// becomes visible later (a surprise that was found) is told then.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/gameday/day_api.h"
#include "cli/interrupt.h"

namespace faultline::cli {

struct DayFollowOptions {
  std::string as;  // who looks, where nobody knows users
  // Said when the person interrupts, and the day is ended; empty: an interrupt only ends the
  // watching.
  std::string abort_reason;
  // How long a controller may be out of reach before we give up.
  std::chrono::milliseconds patience{15'000};
  std::chrono::seconds wait{20};    // of one question
  std::function<Result<>()> alive;  // asked when there was no answer; an Error ends the patience
  // Ends the following besides the end of the day; empty: nothing does.
  std::function<bool(const api::GameDayView&)> until;
};

struct FollowedDay {
  api::GameDayView last;               // without entries
  std::vector<api::DayEntry> entries;  // all that were seen, in their order
  bool interrupted = false;            // by the person
};

// `from`: what is known already; its entries are not told again. `on_view` is called for each
// answer, with the entries that are new in it and all that are known; `say` gets lines for the
// person. kUnavailable: the controller did not come back.
using OnDay =
    std::function<void(const api::GameDayView& view, const std::vector<const api::DayEntry*>& fresh,
                       const std::vector<api::DayEntry>& all)>;
[[nodiscard]] Result<FollowedDay> follow_day(const ControllerApi& api, const std::string& id,
                                             FollowedDay from, const Interrupt& interrupt,
                                             const DayFollowOptions& options, const OnDay& on_view,
                                             const std::function<void(const std::string&)>& say);

}  // namespace faultline::cli
