// SPDX-License-Identifier: Apache-2.0
// One document of the language, with its lines for messages.
#pragma once

#include <boost/json/value.hpp>
#include <string_view>

#include "api/detail/problems.h"

namespace faultline::api::detail {

// One document. What is wrong with it as YAML is noted in `problems`, whose source map is filled
// through `map`. Returns false if there is no value, also when it was not read to its end.
bool read_yaml(std::string_view text, const document::Budget& budget, boost::json::value& value,
               SourceMap& map, Problems& problems);

}  // namespace faultline::api::detail
