// SPDX-License-Identifier: Apache-2.0
// What the demo says, and how. Writes to standard output; for the main thread only.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::demo {

// "1. Payments answers late", set apart.
void heading(const std::string& text);
void blank();
// Wrapped and indented.
void paragraph(const std::string& text);
// "$ faultline run ...", as a person would type it.
void typed(const std::string& command);
// Columns under each other; the first is left-aligned, the others right.
void table(const std::vector<std::vector<std::string>>& rows);
// "ok" or "NOT SHOWN" before the text. Returns `shown`.
bool claim(bool shown, const std::string& text);

// As claim(), without a judgement.
void note(const std::string& text);

[[nodiscard]] std::string ms_words(std::chrono::nanoseconds time);  // "0.84 ms", "101 ms"
[[nodiscard]] std::string percent_words(double share);              // "49.6 %"

}  // namespace faultline::demo
