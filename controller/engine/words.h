// SPDX-License-Identifier: Apache-2.0
// Words of runs. Internal to engine/; pure.
#pragma once

#include <chrono>
#include <string>

namespace faultline::controller {

// "3 s", "12.3 s": without the zeros that a measured value would have.
[[nodiscard]] std::string span_words(std::chrono::nanoseconds d);

}  // namespace faultline::controller
