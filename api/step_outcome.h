// SPDX-License-Identifier: Apache-2.0
// Which of two ends of a step is the worse one.
#pragma once

#include "api/gameday.h"

namespace faultline::api {

// The worse of two: failed, aborted, missed, partial, met, done, skipped. Pure and thread-safe.
[[nodiscard]] StepOutcome worse(StepOutcome a, StepOutcome b);

}  // namespace faultline::api
