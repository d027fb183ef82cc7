// SPDX-License-Identifier: Apache-2.0
// docs/what-is-measured.md: a run of these tests writes it, or is held against it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/protocols/figures.h"

namespace faultline::test {

class Page {
 public:
  static Page& instance();
  // From now on found() collects rows for write(), instead of comparing them.
  void collect() { collecting_ = true; }
  // Does the page call a figure right that is a gap of lost or overtaking segments in this row?
  [[nodiscard]] bool misses_for_segments(const std::string& name, const Row& row) const;
  // Does the page say the same words of this row? True while rows are collected.
  [[nodiscard]] bool agrees(const std::string& name, const Row& row) const;
  // Fails the running test when the page says other words of this row, or has no such row.
  void found(const std::string& name, const Row& row);
  // This run could not tell: the row stays as the page has it.
  void not_found_now(const std::string& name);
  void write(const std::string& path) const;

 private:
  Page();
  using Cells = std::vector<std::string>;
  [[nodiscard]] static Cells cells_of(const std::string& line);
  [[nodiscard]] static Cells cells_of(const std::string& name, const Row& row);
  // Null: the page has no such row.
  [[nodiscard]] const Cells* line_of(const std::string& name) const;
  bool collecting_ = false;
  std::vector<Cells> lines_;  // as the page has them
  std::vector<Cells> rows_;   // as found
};

}  // namespace faultline::test
