// SPDX-License-Identifier: Apache-2.0
// Values -> YAML text, by libyaml's emitter. Pure, thread-safe.
#pragma once

#include <boost/json/value.hpp>
#include <string>

namespace faultline::document {

// The document in block style, read back as the same value; what YAML 1.1 or 1.2 would read as
// something else than text is quoted, and what is not safe to show is an escape. Empty only where
// there is no memory.
[[nodiscard]] std::string write_yaml(const boost::json::value& value);

}  // namespace faultline::document
