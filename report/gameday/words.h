// SPDX-License-Identifier: Apache-2.0
// Internal to report/gameday/: words that the renderings share. Pure and thread-safe. What they
// return is one line and not yet escaped for a format.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/gameday_report.h"

namespace faultline::report::gameday {

// The report as its renderings show it: every text is printable(), one line and of at most `limit`
// bytes, whoever wrote it.
[[nodiscard]] api::GameDayReport shown(const api::GameDayReport& report, std::size_t limit);

inline constexpr std::size_t kMostShownText = 4000;  // bytes of one text on a page

// "10:15:02.123"; empty: not set.
[[nodiscard]] std::string clock_words(api::Timestamp at);
// "2026-11-23 10:15:02 UTC"; empty: not set.
[[nodiscard]] std::string date_words(api::Timestamp at);
// "41.2 s", or "-".
[[nodiscard]] std::string seconds_or_dash(const std::optional<double>& seconds);
// "41.2 s, from the first injected event until alert CheckoutSlow fired", or "not known: ...".
[[nodiscard]] std::string figure_words(const api::DayFigure& figure);
// "3.1 s scrape + 30 s for"; empty: there are none.
[[nodiscard]] std::string parts_words(const std::vector<api::DayPart>& parts);
// "12.1 s (2 of 3)".
[[nodiscard]] std::string mean_words(const api::DayMean& mean);
[[nodiscard]] std::string outcome_word(const std::optional<api::StepOutcome>& outcome);
[[nodiscard]] std::string state_word(api::DayState state);
[[nodiscard]] std::string_view lane_word(api::DayLane lane);
// "better", "not re-tested", ...
[[nodiscard]] std::string_view change_word(api::DayChange change);
// The surprise in a sentence without a full stop, with its seconds.
[[nodiscard]] std::string surprise_words(const api::DaySurprise& surprise);
// "Write the rule (the commander, by 2026-12-31, re-test: slow)"
[[nodiscard]] std::string action_words(const api::DayAction& action);
// "worked after 12 s", "did not work after 40 s", "untouched".
[[nodiscard]] std::string item_words(const api::DayItem& item);
// "2 of 3 targets, 1 of 1 observed": how many of the measured pods of each role moved.
[[nodiscard]] std::string spread_words(const api::DayRun& run);
[[nodiscard]] std::string late_words(const std::optional<double>& late);

// The lines that tell most, at most `limit`, in their order. Pointers into the report.
[[nodiscard]] std::vector<const api::DayLine*> telling_lines(const api::GameDayReport& report,
                                                             std::size_t limit);

}  // namespace faultline::report::gameday
