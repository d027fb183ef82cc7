// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/selector.h"

namespace faultline::cli {

// Whether each pod that `narrow` matches is certainly matched by `wide`, whatever pods there are.
// Pure and thread-safe.
[[nodiscard]] bool covers(const api::Selector& wide, const api::Selector& narrow);

}  // namespace faultline::cli
