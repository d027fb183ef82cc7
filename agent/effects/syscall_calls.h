// SPDX-License-Identifier: Apache-2.0
// syscall.latency, syscall.rate {call} and syscall.failures {call, errno} of the calls that the
// faults of the run name, by fentry and fexit on the calls' own functions. 64-bit calls only: a
// 32-bit program and io_uring are not seen. What a fault changed is seen as the program sees it.
#pragma once

#include "agent/effects/effect.h"

namespace faultline::agent {

extern const CollectorType kSyscallCalls;

}  // namespace faultline::agent
