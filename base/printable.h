// SPDX-License-Identifier: Apache-2.0
// The one function that words of others (names, labels, reasons, documents, answers) go through
// before they are written for people: terminal, log, Markdown, messages. Without it a pod's name
// could clear the terminal of whoever reads about it, or add a line to the log that nobody wrote.
// Pure and thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace faultline {

// `text` as one line that is safe to show. Written as a visible escape is:
//   \n \r \t         line breaks and tabs
//   \x1b             other control characters below 0x20, DEL, and bytes that are not UTF-8
//   \u009b \u202e    control characters of U+0080-009F; what changes the direction of writing,
//   breaks
//                    lines or shows nothing (bidi controls, zero-width characters, U+2028, BOM,
//                    ...)
//   \U000e0041       the same above U+FFFF (tag characters)
// Everything else stays, a backslash too: so what is printable is not changed by a second call, and
// a writer need not know whether its caller was careful.
// `limit`: the most bytes of the result; what is longer is cut between characters and ends in
// "...".
inline constexpr std::size_t kNoLimit = static_cast<std::size_t>(-1);
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = kNoLimit);

// As printable(), for text of several lines that its reader expects to be such (a YAML document, a
// page of help): line feeds and tabs stay. Never for a single message or name.
[[nodiscard]] std::string printable_lines(std::string_view text);

// As printable(), for prose that somebody may have written over several lines (a purpose): line
// breaks and tabs become blanks, and those at the end are dropped. It is one line, too.
[[nodiscard]] std::string printable_prose(std::string_view text);

// JSON text that means the same and is safe to show: what printable() escapes inside of strings is
// written as \u escapes, which every reader of JSON understands. A byte that is not UTF-8 becomes
// U+FFFD. `text` is JSON as a serializer wrote it: characters below 0x20 are its layout and stay.
[[nodiscard]] std::string printable_json(std::string text);

// Whether printable() would return `text` as it is.
[[nodiscard]] bool is_printable(std::string_view text);

// Whether `text` is well-formed UTF-8: no bytes out of place, no overlong forms, no surrogates,
// nothing above U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace faultline
