// SPDX-License-Identifier: Apache-2.0
// docs/what-is-measured.md: a run of these tests writes it, or is held against it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/protocols/figures.h"

namespace faultline::test {

class Page {
 public:
  static Page& instance();
  // From now on found() collects rows for write(), instead of comparing them.
  void collect() { collecting_ = true; }
  // Are these the words that the page has of this row? True while rows are collected.
  [[nodiscard]] bool agrees(const std::string& name, const Row& row) const;
  // Fails the running test when the page says other words of this row, or has no such row.
  void found(const std::string& name, const Row& row);
  void write(const std::string& path) const;

 private:
  Page();
  using Cells = std::vector<std::string>;
  [[nodiscard]] static Cells cells_of(const std::string& line);
  [[nodiscard]] const Cells* line_of(const std::string& name) const;  // null: there is none
  bool collecting_ = false;
  std::vector<Cells> lines_;  // as the page has them
  std::vector<std::pair<std::string, Row>> rows_;
};

}  // namespace faultline::test
