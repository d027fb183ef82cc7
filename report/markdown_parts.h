// SPDX-License-Identifier: Apache-2.0
// Pieces of Markdown. Pure and thread-safe. All of them escape what they are given.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace faultline::report {

// Names come from clusters: nothing in them may end a cell or start markup, nor become a link that
// nobody meant. `text` is one line, see shown().
[[nodiscard]] std::string md_text(std::string_view text);

using MdRow = std::vector<std::string>;
// Columns whose head begins with '>' hold numbers and are set to the right. Heads are ours and stay
// as they are; rows are escaped.
void md_table(std::string& out, const MdRow& head, const std::vector<MdRow>& rows);

}  // namespace faultline::report
