// SPDX-License-Identifier: Apache-2.0
#include "cli/text.h"

#include <algorithm>
#include <boost/json.hpp>
#include <ostream>

#include "base/printable.h"

namespace faultline::cli {
namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

void write_json(std::string& out, const boost::json::value& value, std::size_t depth) {
  const auto new_line = [&](std::size_t level) { out += '\n' + std::string(2 * level, ' '); };
  if (const auto* object = value.if_object(); object && !object->empty()) {
    out += '{';
    bool first = true;
    for (const auto& [key, item] : *object) {
      out += first ? "" : ",";
      first = false;
      new_line(depth + 1);
      out += boost::json::serialize(boost::json::string(key)) + ": ";
      write_json(out, item, depth + 1);
    }
    new_line(depth);
    out += '}';
  } else if (const auto* array = value.if_array(); array && !array->empty()) {
    out += '[';
    const bool flat = std::ranges::all_of(
        *array, [](const boost::json::value& item) { return !item.is_structured(); });
    for (std::size_t i = 0; i < array->size(); ++i) {
      if (i > 0) out += flat ? ", " : ",";
      if (!flat) new_line(depth + 1);
      write_json(out, (*array)[i], depth + 1);
    }
    if (!flat) new_line(depth);
    out += ']';
  } else {
    out += boost::json::serialize(value);
  }
}

}  // namespace

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return lines;
}

std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return !continues(c); }));
}

std::string padded(std::string_view text, std::size_t width) {
  std::string out(text);
  const std::size_t used = columns(text);
  if (used < width) out.append(width - used, ' ');
  return out;
}

std::string cut(std::string_view text, std::size_t width) {
  if (columns(text) <= width) return std::string(text);
  const std::size_t room = width > 3 ? width - 3 : 0;
  std::size_t bytes = 0;
  for (std::size_t used = 0; bytes < text.size(); ++bytes) {
    if (!continues(text[bytes]) && used++ == room) break;
  }
  return std::string(text.substr(0, bytes)) +
         std::string("...").substr(0, std::min<std::size_t>(width, 3));
}

std::string wrapped(std::string_view text, std::size_t width, std::size_t indent,
                    std::size_t used) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    if (!out.empty() && used + 1 + columns(word) > width) {
      out += '\n' + std::string(indent, ' ');
      used = indent;
    } else if (!out.empty()) {
      out += ' ';
      ++used;
    }
    out += word;
    used += columns(word);
  }
  return out;
}

std::string table(const std::vector<Row>& foreign, std::size_t indent) {
  std::vector<Row> rows = foreign;
  for (Row& row : rows)
    for (std::string& cell : row) cell = printable(cell);
  std::vector<std::size_t> width;
  for (const Row& row : rows) {
    width.resize(std::max(width.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], columns(row[i]));
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line(indent, ' ');
    for (std::size_t i = 0; i < row.size(); ++i)
      line += i + 1 == row.size() ? row[i] : padded(row[i], width[i] + 2);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string json_text(const boost::json::value& value) {
  std::string out;
  write_json(out, value, 0);
  return printable_json(std::move(out)) + "\n";
}

void print_json(std::ostream& out, const boost::json::value& value) {
  out << json_text(value) << std::flush;
}

}  // namespace faultline::cli
