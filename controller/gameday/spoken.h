// SPDX-License-Identifier: Apache-2.0
// What somebody says on a game day who has nothing but a line of text: the words of
// `faultline gameday`, without the day. Pure and thread-safe.
#pragma once

#include <string_view>

#include "api/gameday_record.h"
#include "base/result.h"

namespace faultline::controller::gameday {

// "tick mend 2 --failed the queue did not drain" to a word without key and time. kInvalid: which
// part is wrong, what is expected, and the nearest valid word.
[[nodiscard]] Result<api::DayWord> spoken_word(std::string_view line);

// "start, next [STEP], done STEP ..." for messages.
[[nodiscard]] std::string_view spoken_verbs();

inline constexpr std::size_t kLongestSpoken = 4096;  // bytes of a line

}  // namespace faultline::controller::gameday
