// SPDX-License-Identifier: Apache-2.0
// Where something stands in a document, as messages show it: spec.faults[0].networkLatency. Pure,
// thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace faultline::document {

// ".key"; a key that is no plain word is in brackets and quotes: ["a/b"]. Keys longer than 60 bytes
// are cut.
void append_key(std::string& path, std::string_view key);
void append_index(std::string& path, std::size_t index);  // "[3]"

// The path of what is below `path`.
[[nodiscard]] std::string child_path(std::string_view path, std::string_view key);
[[nodiscard]] std::string child_path(std::string_view path, std::size_t index);

}  // namespace faultline::document
