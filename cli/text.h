// SPDX-License-Identifier: Apache-2.0
// Text for a terminal. Pure and thread-safe but for print_json, which writes.
#pragma once

#include <boost/json/fwd.hpp>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::cli {

[[nodiscard]] std::vector<std::string> split_lines(std::string_view text);

// Columns that `text` takes: UTF-8 continuation bytes take none.
[[nodiscard]] std::size_t columns(std::string_view text);
[[nodiscard]] std::string padded(std::string_view text, std::size_t width);
// At most `width` columns; what was cut ends in "...".
[[nodiscard]] std::string cut(std::string_view text, std::size_t width);

// Breaks at blanks so that no line is wider than `width`, if words allow that; the second line and
// those after it begin with `indent` blanks. `used`: columns of the first line that are taken
// already. No line break at the end.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t width, std::size_t indent,
                                  std::size_t used = 0);

// Rows under a heading, each cell printable(), columns as wide as they must be, two blanks between;
// each line ends with a line break.
using Row = std::vector<std::string>;
[[nodiscard]] std::string table(const std::vector<Row>& rows, std::size_t indent = 0);

// Indented by two blanks a level, with a line break at the end; printable_json().
[[nodiscard]] std::string json_text(const boost::json::value& value);
void print_json(std::ostream& out, const boost::json::value& value);

}  // namespace faultline::cli
