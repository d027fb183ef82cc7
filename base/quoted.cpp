// SPDX-License-Identifier: Apache-2.0
#include "base/quoted.h"

#include "base/printable.h"

namespace faultline {

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLimit = 60;
  std::string quotes_escaped;
  for (const char c : text.substr(0, kLimit + 1)) {  // what is cut is cut below
    if (c == '"' || c == '\\') quotes_escaped += '\\';
    quotes_escaped += c;
  }
  std::string out = "\"";
  out += printable(quotes_escaped, kLimit);
  return out += '"';
}

}  // namespace faultline
