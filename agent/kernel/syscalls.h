// SPDX-License-Identifier: Apache-2.0
// What the system calls of api/syscalls.h are in this kernel: their number, their function, and the
// security hook that serves them. No state, thread-safe.
#pragma once

#include <optional>
#include <string>

#include "api/syscalls.h"
#include "syscall_abi.h"

namespace faultline::agent {

// What a security hook is given to filter by.
enum class HookSees { kNothing, kFile, kPath };

struct SecurityHook {
  fl_hook_number number;
  std::string_view name;  // file_open: bpf_lsm_file_open, security_file_open
  HookSees sees;
  // A lock for which others would wait if a program slept there ("the directory's lock"); empty:
  // the kernel holds none, but for the opens that fl_open_holds_lock() tells.
  std::string_view held{};
};

// Which way a call moves data between a program and a file: what the mask of file_permission says.
enum class Transfer { kNone, kReads, kWrites };

// -1: this architecture has no such call.
[[nodiscard]] int syscall_number(const api::Syscall& call);
// The function whose return value is the call's: __x64_sys_openat.
[[nodiscard]] std::string syscall_function(const api::Syscall& call);
// nullptr: no security hook stands in the way of this call.
[[nodiscard]] const SecurityHook* security_hook(const api::Syscall& call);
[[nodiscard]] const SecurityHook& security_hook(fl_hook_number number);
[[nodiscard]] Transfer transfer(const api::Syscall& call);

}  // namespace faultline::agent
