// SPDX-License-Identifier: Apache-2.0
// HTTP statuses, in words and as Errc. Pure and thread-safe.
#pragma once

#include <string_view>

#include "base/result.h"

namespace faultline::http {

[[nodiscard]] int status_of(Errc code);
[[nodiscard]] Errc errc_of(int status);                   // of a status >= 400
[[nodiscard]] std::string_view status_words(int status);  // "Not Found"

}  // namespace faultline::http
