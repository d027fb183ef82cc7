// SPDX-License-Identifier: Apache-2.0
// A text by which something is known that is asked for twice. Thread-safe.
#pragma once

#include <string>

#include "base/result.h"

namespace faultline::cli {

// 16 hexadecimal digits that nobody else has.
[[nodiscard]] Result<std::string> random_key();

}  // namespace faultline::cli
