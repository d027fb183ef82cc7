// SPDX-License-Identifier: Apache-2.0
#include "api/step_outcome.h"

namespace faultline::api {

StepOutcome worse(StepOutcome a, StepOutcome b) {
  using enum StepOutcome;
  for (const StepOutcome outcome : {failed, aborted, missed, partial, met, done})
    if (outcome == a || outcome == b) return outcome;
  return skipped;
}

}  // namespace faultline::api
