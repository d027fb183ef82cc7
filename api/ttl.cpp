// SPDX-License-Identifier: Apache-2.0
// How long finished Experiments are kept.
#include <charconv>

#include "api/experiment.h"

namespace faultline::api {

std::optional<std::chrono::seconds> read_ttl(std::string_view text) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [unit, error] = std::from_chars(text.data(), end, number);
  constexpr std::int64_t kMost = 9'999'999;  // as the pattern of the language
  if (error != std::errc{} || unit + 1 != end || number < 0 || number > kMost) return std::nullopt;
  switch (*unit) {
    case 's':
      return std::chrono::seconds(number);
    case 'm':
      return std::chrono::minutes(number);
    case 'h':
      return std::chrono::hours(number);
    case 'd':
      return std::chrono::hours(24 * number);
    default:
      return std::nullopt;
  }
}

}  // namespace faultline::api
