// SPDX-License-Identifier: Apache-2.0
// A budget for values that came from elsewhere. Pure, thread-safe.
#pragma once

#include <boost/json/value.hpp>
#include <string>

#include "document/tree.h"

namespace faultline::document {

// Why a value that somebody else has read is beyond the budget, in words; empty: it is not. Bytes
// are those of its keys and texts, and eight of each value.
[[nodiscard]] std::string beyond(const boost::json::value& value, const Budget& budget);

}  // namespace faultline::document
