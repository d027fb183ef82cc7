// SPDX-License-Identifier: Apache-2.0
#include "tests/protocols/page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <regex>
#include <sstream>

#include "tests/places.h"

namespace faultline::test {
namespace {

constexpr const char* kPage = "docs/what-is-measured.md";
constexpr const char* kAbove =
    R"(# What is measured

Each row is a test of `tests/protocols/`: real programs in two pods, without and with 50 ms of `networkLatency` on the server, seen by the
collectors of the server's pod and of the client's. The words are of such a run; `scripts/test protocols` fails where it finds others.

- **right**: quantiles within 5 % or 0.2 ms of the client's own stopwatch, counts within 1 % of what client and server counted, no error of a
  healthy service. On both sides, with and without the fault.
- **gap**: the report has a gap for it, with the reason below; the figure is of what remains, or missing.
- **-**: the protocol has no such figure, or its client has no stopwatch for it.
- **by the calls**: the figures of `tls.request.*`, seen where programs call OpenSSL ([0037](decisions/0037-plain-bytes-of-tls.md)). A server's
  are how long its program took, without the way to the client, so that their quantiles are held against the stopwatch on the client's side only. Other rows are of `request.*`, seen in packets.
- **WRONG**: told wrongly and without a gap. The test of the row fails until it is mended.

)";
constexpr const char* kBelow = R"(
This file is written by `sudo build/release/bin/protocols --page=docs/what-is-measured.md`; it is not edited by hand.
)";

// A reason without what varies from run to run.
std::string without_numbers(const std::string& reason) {
  static const std::regex kShare("^[0-9 ]+ of [0-9 ]+ (requests|connections|packets): "),
      kNumber("(^| )[0-9]+([ .][0-9]+)*");
  return std::regex_replace(std::regex_replace(reason, kShare, ""), kNumber, "$1n");
}

}  // namespace

Page& Page::instance() {
  static Page page;
  return page;
}

Page::Page() {
  std::ifstream in(source_dir() / kPage);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("| ")) lines_.push_back(cells_of(line));
}

Page::Cells Page::cells_of(const std::string& line) {
  Cells cells;
  std::istringstream in(line.substr(1));
  for (std::string cell; std::getline(in, cell, '|');) {
    const auto first = cell.find_first_not_of(' ');
    if (first == std::string::npos) continue;
    cells.push_back(cell.substr(first, cell.find_last_not_of(' ') - first + 1));
  }
  return cells;
}

const Page::Cells* Page::line_of(const std::string& name) const {
  const auto line = std::ranges::find_if(lines_, [&](const Cells& cells) {
    return cells.size() > kFigures.size() && cells[0] == name;
  });
  return line == lines_.end() ? nullptr : &*line;
}

bool Page::misses_for_segments(const std::string& name, const Row& row) const {
  const Cells* line = line_of(name);
  if (line == nullptr) return false;
  for (std::size_t i = 0; i < row.size(); ++i)
    if (row[i].word == Word::kGap && row[i].why.ends_with("of which segments were lost") &&
        (*line)[i + 1] == text_of(Word::kRight))
      return true;
  return false;
}

bool Page::agrees(const std::string& name, const Row& row) const {
  const Cells* line = line_of(name);
  if (collecting_ || line == nullptr) return true;
  for (std::size_t i = 0; i < row.size(); ++i)
    if ((*line)[i + 1] != text_of(row[i].word)) return false;
  return true;
}

Page::Cells Page::cells_of(const std::string& name, const Row& row) {
  Cells cells{name};
  std::vector<std::string> reasons;
  for (const Judged& judged : row) {
    cells.emplace_back(text_of(judged.word));
    const std::string why = without_numbers(judged.why);
    if (judged.word == Word::kGap && std::ranges::find(reasons, why) == reasons.end())
      reasons.push_back(why);
  }
  cells.emplace_back();
  for (const std::string& reason : reasons)
    cells.back() += (cells.back().empty() ? "" : "; ") + reason;
  return cells;
}

void Page::found(const std::string& name, const Row& row) {
  if (collecting_) {
    rows_.push_back(cells_of(name, row));
    return;
  }
  const Cells* line = line_of(name);
  if (line == nullptr) {
    ADD_FAILURE() << kPage << " has no row '" << name << "'";
    return;
  }
  for (std::size_t i = 0; i < row.size(); ++i)
    EXPECT_EQ((*line)[i + 1], text_of(row[i].word))
        << kPage << " says otherwise of " << name << ", " << kFigures[i] << ": " << row[i].why;
}

void Page::not_found_now(const std::string& name) {
  const Cells* line = line_of(name);
  if (!collecting_ || line == nullptr) return;
  rows_.push_back(*line);
  rows_.back().resize(kFigures.size() + 2);  // the last one is empty where all is right
}

void Page::write(const std::string& path) const {
  std::ofstream out(path);
  out << kAbove << "| traffic |";
  for (const char* figure : kFigures) out << " " << figure << " |";
  out << " why |\n|---|";
  for (std::size_t i = 0; i <= kFigures.size(); ++i) out << "---|";
  out << "\n";
  for (const Cells& row : rows_) {
    out << "|";
    for (const std::string& cell : row) out << (cell.empty() ? "" : " ") << cell << " |";
    out << "\n";
  }
  out << kBelow;
}

}  // namespace faultline::test
