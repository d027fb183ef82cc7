// SPDX-License-Identifier: Apache-2.0
// spec.abortWhen. Pure and thread-safe. `recent` is Run::recent(): conditions look at the last
// seconds of the fault, over all target and observed pods.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/run_record.h"

namespace faultline::controller {

// The first condition that holds, in words: "abortWhen request.errors above 50 %: 73 %". What was
// not measured does not hold.
[[nodiscard]] std::optional<std::string> abort_reason(const api::RunRecord& recent);

// The conditions that cannot hold because what they rest on is not measured, as gaps of the moment
// `now`. None while the fault is younger than the seconds that conditions look at.
[[nodiscard]] std::vector<api::Gap> unmeasured_conditions(const api::RunRecord& recent,
                                                          UtcTime now);

}  // namespace faultline::controller
