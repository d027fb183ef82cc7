// SPDX-License-Identifier: Apache-2.0
// What a chat's bridge posts: a line for the timeline of a game day. Pure and thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "api/gameday_record.h"
#include "base/result.h"

namespace faultline::controller {

inline constexpr std::size_t kLongestChatNote = 8 << 10;  // bytes of a body

struct ChatNote {
  std::string who;  // "jane (chat)", which is no user of the cluster and has no role
  api::DayWord word;
};

// {"user": "jane", "text": "...", "at": "...", "key": "..."}; `at` and `key` may be missing.
// `fresh_key`: of a note that has none. kInvalid: what is wrong, and what is expected.
[[nodiscard]] Result<ChatNote> parse_chat_note(std::string_view body, std::string fresh_key);

}  // namespace faultline::controller
