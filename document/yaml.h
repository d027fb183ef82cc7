// SPDX-License-Identifier: Apache-2.0
// YAML text -> values, by the events of libyaml, in one pass and within a budget. The only reader
// of YAML in the project; libyaml stays in yaml.cpp. Pure, thread-safe.
//
// What it takes is YAML as people write it by hand. Plain scalars become null, bool and numbers by
// YAML's core schema (only true and false are bools; what looks like no such thing is text); quoted
// ones are text. Refused, each with its line: aliases (a short text could stand for a huge one),
// tags that are not YAML's own, keys that are no scalars, keys given twice, bytes that are no UTF-8
// or control characters, and whatever is beyond the budget.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "document/tree.h"

namespace faultline::document {

struct YamlOptions {
  Budget budget{};
  std::size_t documents = 1;  // the most there may be; one more is a problem
  bool texts = false;         // every scalar but null is its text, also 1.10 and true
};

struct YamlDocument {
  boost::json::value value;
  LineMap lines;
  // Of the key or the item at `path`, of the document itself at ""; 0: there is none.
  [[nodiscard]] int line(std::string_view path) const { return lines.find(path).key; }
};

struct YamlContent {
  std::vector<YamlDocument> documents;  // without empty ones
  std::vector<Problem> problems;        // in the order of the text, at most about twenty
  bool complete = true;                 // false: it was not read to its end
};

[[nodiscard]] YamlContent read_yaml(std::string_view text, const YamlOptions& options);

// The same for who wants all or nothing. `file` is only used in messages. Errors: kInvalid, one
// line for each problem, with file and line. No document at all is an empty list.
[[nodiscard]] Result<std::vector<YamlDocument>> read_documents(std::string_view text,
                                                               std::string_view file,
                                                               const YamlOptions& options);

}  // namespace faultline::document
