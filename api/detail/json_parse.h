// SPDX-License-Identifier: Apache-2.0
// JSON text to a value in which every number is the one that was written. Internal to api/.
#pragma once

#include <boost/json/value.hpp>
#include <string_view>

#include "base/result.h"

namespace faultline::api::detail {

// As boost::json::parse(), whose fractions may be one unit in the last place off (Boost 1.81): what
// goes through several programs would drift, and two prints of one report differ. kInvalid with the
// parser's words; an integer beyond 64 bits becomes a double, one beyond a double's range is
// refused. Thread-safe.
[[nodiscard]] Result<boost::json::value> parse_json(std::string_view text);

}  // namespace faultline::api::detail
