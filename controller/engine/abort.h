// SPDX-License-Identifier: Apache-2.0
// spec.abortWhen. Pure and thread-safe. `recent` is Run::recent(): conditions look at the last
// seconds of the fault, over all target and observed pods.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "api/run_record.h"
#include "base/clock.h"
#include "controller/observe/abort_answer.h"

namespace faultline::controller {

// The first condition that holds, in words: "abortWhen request.errors above 50 %: 73 %". What was
// not measured does not hold.
[[nodiscard]] std::optional<std::string> abort_reason(const api::RunRecord& recent);

// The conditions that cannot hold because what they rest on is not measured, as gaps of the moment
// `now`. None while the fault is younger than the seconds that conditions look at.
[[nodiscard]] std::vector<api::Gap> unmeasured_conditions(const api::RunRecord& recent,
                                                          UtcTime now);

// Without an answer for so long, nobody knows whether a condition on a query holds.
inline constexpr std::chrono::seconds kUnasked{5};

// The first condition on a query of the monitoring that holds by the newest answer, or of which no
// whole one arrived for kUnasked, in words. `answers` has the newest of each; `since` is when the
// fault began: what was asked before it does not hold, nor does an answer have to be there.
[[nodiscard]] std::optional<std::string> query_abort_reason(
    const std::vector<api::AbortCondition>& conditions,
    const std::vector<observe::AbortAnswer>& answers, SteadyTime since, SteadyTime now);

}  // namespace faultline::controller
