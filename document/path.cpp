// SPDX-License-Identifier: Apache-2.0
#include "document/path.h"

#include <algorithm>
#include <cctype>

#include "base/quoted.h"

namespace faultline::document {

void append_key(std::string& path, std::string_view key) {
  const bool plain = !key.empty() && std::ranges::all_of(key, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
  if (!plain) {
    path += "[" + in_quotes(key) + "]";
    return;
  }
  if (!path.empty()) path += '.';
  path += key.substr(0, 60);
  if (key.size() > 60) path += "...";
}

void append_index(std::string& path, std::size_t index) {
  path += "[" + std::to_string(index) + "]";
}

std::string child_path(std::string_view path, std::string_view key) {
  std::string out(path);
  append_key(out, key);
  return out;
}

std::string child_path(std::string_view path, std::size_t index) {
  std::string out(path);
  append_index(out, index);
  return out;
}

}  // namespace faultline::document
