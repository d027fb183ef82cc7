// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace faultline::controller::observe {

// The newest answer to the query of spec.abortWhen[index] that is a number, whole or not: what a
// part of the stores has is enough to end a fault, and not enough to let it go on.
struct AbortAnswer {
  std::int64_t index = 0;
  double value = 0;      // of the time at which it was asked for
  SteadyTime asked{};    // so that a wall clock that is set moves nothing
  SteadyTime arrived{};  // the newest that was whole; the clock's own begin: none was
};

}  // namespace faultline::controller::observe
