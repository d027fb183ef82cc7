// SPDX-License-Identifier: Apache-2.0
// Words of which what a run tells is put together.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

namespace faultline::agent {

// "1 pod", "2 pods".
[[nodiscard]] inline std::string counted(std::size_t n, std::string_view word) {
  return std::to_string(n) + " " + std::string(word) + (n == 1 ? "" : "s");
}

// "2.5 s".
[[nodiscard]] inline std::string seconds_words(std::chrono::nanoseconds t) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", std::chrono::duration<double>(t).count());
  return std::string(text) + " s";
}

}  // namespace faultline::agent
