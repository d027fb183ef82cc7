// SPDX-License-Identifier: Apache-2.0
// The text of a PromQL expression as tokens that know where they stand, for whoever changes a part
// of it and leaves the rest as it is. Pure and thread-safe.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace faultline::report {

struct PromqlToken {
  // word: a name, a keyword, a function. matchers and range: the whole of `{...}` and `[...]`, with
  // what is inside. op: one of the operators, also `@` and `,`.
  enum class Kind { word, number, string, matchers, range, open, close, op };
  Kind kind = Kind::op;
  std::size_t at = 0;  // its first byte
  std::string_view text;
};

// In their order; blanks and comments are none. Never fails: a string or bracket that does not end
// reaches to the end of the text. `text` must outlive the tokens.
[[nodiscard]] std::vector<PromqlToken> promql_tokens(std::string_view text);

}  // namespace faultline::report
