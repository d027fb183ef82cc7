// SPDX-License-Identifier: Apache-2.0
// YAML of the language: read with document/yaml.h, written in block style.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "api/detail/problems.h"

namespace faultline::api::detail {

// One document. What is wrong with it as YAML is noted in `problems`, whose source map is filled
// through `map`. Returns false if there is no value, also when it was not read to its end.
bool read_yaml(std::string_view text, const document::Budget& budget, boost::json::value& value,
               SourceMap& map, Problems& problems);

// In block style; text that YAML 1.1 or 1.2 would read as something else is quoted.
[[nodiscard]] std::string write_yaml(const boost::json::value& value);

}  // namespace faultline::api::detail
