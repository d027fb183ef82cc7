// SPDX-License-Identifier: Apache-2.0
// The programs of syscallError on this node, which all its armed faults share: one program a
// system call or security hook, however many pods.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/faults/syscalls/plan.h"
#include "agent/kernel/node_programs.h"
// Before the skeleton, which has the types of its globals.
#include "syscall_abi.h"
#include "syscall_error.skel.h"

namespace faultline::agent {

// Thread-safe.
class SyscallErrorNode : public NodePrograms<syscall_error_bpf, fl_call_fault> {
 public:
  // Has a program at each place that these calls need, and joins them; those that are there already
  // are used. `lsm`: security hooks by LSM programs, else by fmod_ret on security_*. Errors: with
  // the name of what could not be loaded or attached; then nothing has changed.
  Result<Places> join(const std::vector<PlannedCall>& calls, bool lsm);

 private:
  using Wanted = std::map<std::string, PlannedCall>;  // by place

  Result<> load(const Wanted& missing, bool lsm);
  Result<> load_calls(const std::vector<PlannedCall>& calls, bool lsm);

  // A program on a call, of which copies for the other calls are made; nullptr: none is loaded.
  const bpf_program* on_call_ = nullptr;
};

}  // namespace faultline::agent
