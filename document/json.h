// SPDX-License-Identifier: Apache-2.0
// JSON text -> a value in which every number is the one that was written, within a budget.
#pragma once

#include <boost/json/value.hpp>
#include <string_view>

#include "base/result.h"
#include "document/tree.h"

namespace faultline::document {

// As boost::json::parse(), whose fractions may be one unit in the last place off (Boost 1.81): what
// goes through several programs would drift, and two prints of one report differ; and which takes
// the last of two values of one key without a word. kInvalid, one line: the parser's words, a key
// given twice, more than the budget. An integer beyond 64 bits becomes a double, one beyond a
// double's range is refused. Pure, thread-safe.
[[nodiscard]] Result<boost::json::value> parse_json(std::string_view text, const Budget& budget);

}  // namespace faultline::document
