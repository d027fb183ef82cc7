// SPDX-License-Identifier: Apache-2.0
// Loading and attaching the programs of a system-call fault as its plan says: one program for the
// calls' own functions, loaded once a call, and one program a security hook, in section
// "lsm/<hook>" or "lsm.s/<hook>".
#pragma once

#include <vector>

#include "agent/faults/fault.h"
#include "agent/faults/syscalls/plan.h"
#include "agent/kernel/cgroup2.h"
#include "agent/kernel/link.h"

struct bpf_object;
struct bpf_program;

namespace faultline::agent {

// Before load: only what the plan needs is loaded. `lsm`: security hooks as LSM programs, else by
// fmod_ret on security_*.
void choose_programs(bpf_object* object, bpf_program* on_call,
                     const std::vector<PlannedCall>& calls, bool lsm);

// After load. Errors: with the name of what could not be attached.
Result<std::vector<Link>> attach_programs(bpf_object* object, const bpf_program* on_call,
                                          const std::vector<PlannedCall>& calls);

// The maps fl_counters and fl_calls, with by_call by name.
Result<FaultCounters> read_call_counters(int counters_fd, int calls_fd,
                                         const std::vector<PlannedCall>& calls);

}  // namespace faultline::agent
