// SPDX-License-Identifier: Apache-2.0
// A heading and labelled lines below it, as plans and explanations have them. Not thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace faultline::cli {

class Block {
 public:
  // Every line is at most `width` columns, if its words allow that, and printable().
  Block(const std::string& head, std::size_t width);
  // "  label     text", broken under the text.
  void line(std::string_view label, const std::string& text);
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  std::size_t width_;
  std::string out_;
};

// "a, b, c and 4 more".
[[nodiscard]] std::string some_of(const std::vector<std::string>& words, std::size_t limit = 5);

}  // namespace faultline::cli
