// SPDX-License-Identifier: Apache-2.0
// Waiting until the BPF programs that run now have ended. No state, thread-safe.
#pragma once

#include "base/result.h"

namespace faultline::agent {

// Returns when every program that does not sleep and that ran when this was called has ended, so
// that none of them still reads a map as it was. Takes some ten milliseconds. Errors: what the
// kernel said.
Result<> wait_for_programs();

}  // namespace faultline::agent
