// SPDX-License-Identifier: Apache-2.0
// The name of a struct as the compiler spells it, for words that derive from it (networkLatency).
#pragma once

#include <array>
#include <string_view>

namespace faultline::api::detail {

// "NetworkLatency", without namespaces.
template <class T>
consteval std::string_view type_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  text = text.substr(text.find("T = ") + 4);
  text = text.substr(0, text.find_first_of(";]"));
  return text.substr(text.rfind(':') + 1);
}

// "networkLatency": a fault's word.
template <class T>
inline constexpr auto kFaultNameChars = [] {
  std::array<char, type_name<T>().size()> chars{};
  for (std::size_t i = 0; i < chars.size(); ++i) chars[i] = type_name<T>()[i];
  chars[0] = static_cast<char>(chars[0] - 'A' + 'a');
  return chars;
}();
template <class T>
inline constexpr std::string_view kFaultName{kFaultNameChars<T>.data(), kFaultNameChars<T>.size()};

}  // namespace faultline::api::detail
