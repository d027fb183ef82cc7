// SPDX-License-Identifier: Apache-2.0
#include "cli/block.h"

#include <algorithm>

#include "base/printable.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

constexpr std::size_t kIndent = 12;

}  // namespace

Block::Block(const std::string& head, std::size_t width)
    : width_(std::max(width, kIndent + 20)), out_(wrapped(printable(head), width_, 2) + "\n") {}

void Block::line(std::string_view label, const std::string& text) {
  out_ +=
      "  " + padded(label, kIndent - 2) + wrapped(printable(text), width_, kIndent, kIndent) + "\n";
}

std::string some_of(const std::vector<std::string>& words, std::size_t limit) {
  std::string out;
  for (std::size_t i = 0; i < words.size() && i < limit; ++i) out += (i ? ", " : "") + words[i];
  if (words.size() > limit) out += " and " + std::to_string(words.size() - limit) + " more";
  return out;
}

}  // namespace faultline::cli
