// SPDX-License-Identifier: Apache-2.0
// The target of a request line, taken apart. Pure and thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace faultline::http {

struct Target {
  std::string path;                          // decoded
  std::vector<std::string> segments;         // decoded one by one: %2F inside a segment stays in it
  std::map<std::string, std::string> query;  // decoded; of a repeated key the last
};

// Origin form ("/a/b?c=d") and absolute form ("http://host/a/b"). kInvalid: anything else, a broken
// percent escape, an encoded NUL, or bytes that are no UTF-8.
[[nodiscard]] Result<Target> parse_target(std::string_view target);

// "%41+b" -> "A b" (`plus_is_blank`) or "A+b".
[[nodiscard]] Result<std::string> percent_decode(std::string_view text, bool plus_is_blank);

// Escapes everything but letters, digits and "-._~", so that the result can stand anywhere in a
// target.
[[nodiscard]] std::string percent_encode(std::string_view text);

}  // namespace faultline::http
