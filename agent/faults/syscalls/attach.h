// SPDX-License-Identifier: Apache-2.0
// Loading the programs of a system-call fault as its plan says: one program for the calls' own
// functions, loaded once a call, and one program a security hook, in section "lsm/<hook>".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/faults/fault.h"
#include "agent/faults/syscalls/plan.h"
#include "agent/kernel/cgroup2.h"

struct bpf_object;
struct bpf_program;

namespace faultline::agent {

// Of a program in section "lsm/<hook>"; empty: it is none.
[[nodiscard]] std::string_view hook_of(const bpf_program* program);

// How security hooks are reached on this kernel, for the report; why not at all, or empty.
[[nodiscard]] const char* security_word(const FeatureProbe& features);
[[nodiscard]] std::string security_reason(const FeatureProbe& features);

// Where such a program is attached: "file_open" as LSM program, else "security_file_open".
[[nodiscard]] std::string place_of_hook(std::string_view hook, bool lsm);

// Before load, of a program on a hook: it stays an LSM program, or becomes fmod_ret on
// security_<hook>.
void choose_kind(bpf_program* program, bool lsm);

// Before load: only what the plan needs is loaded. `lsm`: security hooks as LSM programs, else by
// fmod_ret on security_*.
void choose_programs(bpf_object* object, bpf_program* on_call,
                     const std::vector<PlannedCall>& calls, bool lsm);

// What programs count in a slot, while they do.
FaultCounters counted_in_slot(fl_counters& counters);

// What the programs counted for this fault, with by_call by name.
FaultCounters read_call_counters(fl_call_fault& fault, const std::vector<PlannedCall>& calls);

}  // namespace faultline::agent
