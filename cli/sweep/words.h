// SPDX-License-Identifier: Apache-2.0
// What a sweep will do, in plain words. Pure and thread-safe.
#pragma once

#include <string>

#include "api/sweep.h"

namespace faultline::cli {

[[nodiscard]] std::size_t cells_of(const api::Sweep& sweep);

// "2 faults, 6 cells, at least 4 min 30 s".
[[nodiscard]] std::string sweep_size_words(const api::Sweep& sweep);

// name: "purpose", the rows with their severities, how long it takes; each line at most `width`
// columns. `cells`: how many are run at most.
[[nodiscard]] std::string sweep_text(const api::Sweep& sweep, std::size_t cells, std::size_t width);

}  // namespace faultline::cli
