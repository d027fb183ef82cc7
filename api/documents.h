// SPDX-License-Identifier: Apache-2.0
// YAML of others, several documents a file, with the line of every key. Pure, thread-safe.
#pragma once

#include <boost/json/value.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace faultline::api {

struct YamlDocument {
  boost::json::value value;
  std::map<std::string, int, std::less<>> lines;  // of keys and items, by path; 1-based
  // 0: unknown.
  [[nodiscard]] int line(std::string_view path) const;
};

// Empty documents are left out. Errors: kInvalid with file and line: no YAML, keys given twice,
// more than 1 MiB, nothing but empty documents. `file` is only used in messages.
[[nodiscard]] Result<std::vector<YamlDocument>> read_documents(std::string_view text,
                                                               std::string_view file);

// "spec" and "mode" give "spec.mode"; odd keys are in brackets and quotes: spec.labels["a/b"].
[[nodiscard]] std::string child_path(std::string_view path, std::string_view key);
[[nodiscard]] std::string child_path(std::string_view path, std::size_t index);

}  // namespace faultline::api
