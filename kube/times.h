// SPDX-License-Identifier: Apache-2.0
// Timestamps of the API. Pure and thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace faultline::kube {

[[nodiscard]] std::string format_time(UtcTime time);  // metav1.Time: 2026-11-23T10:15:02Z
[[nodiscard]] std::string format_micro_time(
    UtcTime time);  // MicroTime: 2026-11-23T10:15:02.123456Z
// RFC 3339, any number of decimals, any offset. Nothing: it is no such
// time, or not of the years 1678 to 2261.
[[nodiscard]] std::optional<UtcTime> parse_time(std::string_view text);

}  // namespace faultline::kube
