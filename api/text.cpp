// SPDX-License-Identifier: Apache-2.0
#include "api/detail/text.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <numeric>
#include <vector>

#include "api/codec.h"
#include "base/printable.h"

namespace faultline::api {
namespace detail {

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLimit = 60;
  std::string quotes_escaped;
  for (const char c : text.substr(0, kLimit + 1)) {  // what is cut is cut below
    if (c == '"' || c == '\\') quotes_escaped += '\\';
    quotes_escaped += c;
  }
  std::string out = "\"";
  out += printable(quotes_escaped, kLimit);
  return out += '"';
}

bool starts_with_digit(std::string_view text) {
  return !text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) != 0;
}

std::string number_text(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, end.ptr};
}

std::span<const std::pair<std::string_view, int>> errno_names() {
  static const auto table = [] {
    std::vector<std::pair<std::string_view, int>> names;
    for (int value = 1; value < 4096; ++value)
      if (const char* name = strerrorname_np(value)) names.emplace_back(name, value);
    for (const auto& alias : {std::pair<std::string_view, int>{"EWOULDBLOCK", EWOULDBLOCK},
                              {"ENOTSUP", ENOTSUP},
                              {"EDEADLOCK", EDEADLOCK}})
      if (std::ranges::find(names, alias.first, &std::pair<std::string_view, int>::first) ==
          names.end())
        names.push_back(alias);
    return names;
  }();
  return table;
}

}  // namespace detail

namespace {

// Edits (insert, delete, replace, swap neighbours) from a to b, letter case aside.
std::size_t distance(std::string_view a, std::string_view b) {
  const auto low = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  const std::size_t width = b.size() + 1;
  std::vector<std::size_t> before(width), above(width), row(width);
  std::iota(above.begin(), above.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j < width; ++j) {
      const bool same = low(a[i - 1]) == low(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && low(a[i - 1]) == low(b[j - 2]) && low(a[i - 2]) == low(b[j - 1]))
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

}  // namespace

std::string nearest_word(std::string_view word, const std::vector<std::string_view>& valid) {
  // A third of the letters may be wrong; a word of another length by far is another word. The cap
  // keeps hostile input cheap.
  if (word.empty() || word.size() > 100) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string_view candidate : valid) {
    const std::size_t d = distance(word, candidate);
    if (d < best_distance && d < std::max<std::size_t>(candidate.size(), 1)) {
      best = candidate;
      best_distance = d;
    }
  }
  return std::string(best);
}

}  // namespace faultline::api
