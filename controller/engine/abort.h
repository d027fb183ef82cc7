// SPDX-License-Identifier: Apache-2.0
// spec.abortWhen. Pure and thread-safe.
#pragma once

#include <optional>
#include <string>

#include "api/run_record.h"

namespace faultline::controller {

// The first condition that holds, in words: "abortWhen request.errors above 50 %: 73 %". `recent`
// is Run::recent(): conditions look at the last seconds of the fault, over all target and observed
// pods; what was not measured does not hold.
[[nodiscard]] std::optional<std::string> abort_reason(const api::RunRecord& recent);

}  // namespace faultline::controller
