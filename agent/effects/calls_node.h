// SPDX-License-Identifier: Apache-2.0
// The programs that measure system calls on this node, which all measured pods share: one pair of
// programs a call, however many pods.
#pragma once

#include <vector>

#include "agent/kernel/mapped_array.h"
#include "agent/kernel/node_programs.h"
#include "agent/kernel/syscalls.h"
#include "syscall_calls_abi.h"
// After the types of its globals.
#include "syscall_calls.skel.h"

namespace faultline::agent {

struct WatchedCall {
  const api::Syscall* call;
  int function_id;  // BTF id
};

// Thread-safe.
class CallsNode : public NodePrograms<syscall_calls_bpf, fl_call_watch> {
 public:
  // Has a pair of programs at each of these calls, and joins them, as run_first() leaves them.
  // Errors: with the name of what could not be loaded or attached; then nothing has changed.
  Result<Places> join(const std::vector<WatchedCall>& calls);
  // The programs at the beginning of these calls run before those of faults, which may have come
  // since. Errors: ProgramPlaces::run_first().
  Result<> run_first(const std::vector<WatchedCall>& calls);
  // What is counted for the slot goes to this map. The second: no longer, and no program is within
  // it when this returns. Errors: what the kernel said. An object is loaded.
  Result<> count_into(std::uint32_t slot, int effects_fd);
  Result<> count_no_more(std::uint32_t slot);

 private:
  Result<> load(const WatchedCall& call);
};

// A map for the effects of so many calls: FL_BANKS entries each. Errors: what the kernel said.
Result<Fd> make_effects(std::size_t calls);

}  // namespace faultline::agent
