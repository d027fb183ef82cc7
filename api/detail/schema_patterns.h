// SPDX-License-Identifier: Apache-2.0
// How the scalar values are written, as regular expressions that ECMAScript (JSON Schema) and RE2
// (Kubernetes) both read: what both schemas of an experiment are made of. The parsers of values.h
// say it exactly.
#pragma once

#include <string_view>

namespace faultline::api::detail {

inline constexpr std::string_view kDurationPattern =
    "^(0|(([0-9]+\\.?[0-9]*|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";
inline constexpr std::string_view kProbabilityPattern =
    "^((100(\\.0*)?|[0-9]{1,2}(\\.[0-9]*)?)%|[01]|0?\\.[0-9]+|"
    "0\\.|1\\.0*|[0-9](\\.[0-9]+)?[eE]-[0-9]+)$";
inline constexpr std::string_view kRatePattern = "^[0-9]+(\\.[0-9]*)?([kmgt]?bit|[kmgt]?bps)$";
inline constexpr std::string_view kSizePattern = "^[0-9]+(\\.[0-9]*)?(k|[MGTP]|[KMGTP]i)?$";
inline constexpr std::string_view kTimePattern =
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})$";
inline constexpr std::string_view kCidrPattern = "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$";

}  // namespace faultline::api::detail
