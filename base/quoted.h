// SPDX-License-Identifier: Apache-2.0
// A word of others inside a message of ours.
#pragma once

#include <string>
#include <string_view>

namespace faultline {

// `text` in double quotes, quotes and backslashes in it escaped, made printable(), cut with "..."
// after 60 bytes: always one short line that is safe to show. Pure, thread-safe.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace faultline
