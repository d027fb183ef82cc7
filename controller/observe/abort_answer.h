// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace faultline::controller::observe {

// An answer to the query of spec.abortWhen[index] that is a number.
struct AbortAnswer {
  std::int64_t index = 0;
  double value = 0;    // of the time at which it was asked for
  SteadyTime asked{};  // so that a wall clock that is set moves nothing
  SteadyTime arrived{};
};

}  // namespace faultline::controller::observe
