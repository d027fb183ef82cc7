// SPDX-License-Identifier: Apache-2.0
// syscallLatency: a pod's system calls take longer by latency, jitter and distribution. The program
// waits without holding the CPU (agent/faults/page_delay/), can be killed meanwhile, and signals
// that do not kill it change nothing. Which calls wait where, and what the counters mean:
// docs/decisions/0009-delaying-system-calls.md.
//
// Counters: matched when the call begins, injected when its wait is over; errors are calls that
// were to wait and went on at once.
#pragma once

#include "agent/faults/fault.h"

namespace faultline::agent {

extern const FaultType kSyscallLatency;

}  // namespace faultline::agent
