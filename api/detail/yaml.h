// SPDX-License-Identifier: Apache-2.0
// YAML text -> boost::json::value and the lines of everything in it. yaml-cpp stays in yaml.cpp.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "api/detail/problems.h"

namespace faultline::api::detail {

// Plain scalars become null, bool and numbers by YAML's core schema (only true and false are bools;
// what looks like no such thing is text); quoted ones are text. Duplicate keys, a second document
// and syntax errors are noted in `problems`, whose source map is filled through `map`. Text is
// limited to 1 MiB, 64 levels and 100 000 nodes after aliases. Returns false if there is no value.
bool read_yaml(std::string_view text, boost::json::value& value, SourceMap& map,
               Problems& problems);

// In block style; text that YAML 1.1 or 1.2 would read as something else is quoted.
[[nodiscard]] std::string write_yaml(const boost::json::value& value);

}  // namespace faultline::api::detail
