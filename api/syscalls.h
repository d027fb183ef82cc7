// SPDX-License-Identifier: Apache-2.0
// The system calls that syscallError and syscallLatency know by name, and the groups of them. One
// table; validation, the agent and `faultline explain` read it. No state, thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace faultline::api {

enum class SyscallGroup { file, io, memory, network, process };

// What the call names its object by.
enum class SyscallObject { none, path, fd };

struct Syscall {
  std::string_view name;
  SyscallGroup group;
  SyscallObject object = SyscallObject::none;
  std::int8_t fd_arg = -1;  // number of the argument with the descriptor; only with object fd
};

// In the order of the table, which is that of the groups.
[[nodiscard]] std::span<const Syscall> syscall_table();
// nullptr: not in the table.
[[nodiscard]] const Syscall* find_syscall(std::string_view name);
[[nodiscard]] std::string_view group_name(SyscallGroup group);

// Names and groups to calls, each once, in the order of the table. Errors: kInvalid for a word that
// is neither, with the nearest that is; for a call that must not fail, with the reason.
[[nodiscard]] Result<std::vector<const Syscall*>> expand_syscalls(
    const std::vector<std::string>& words);

// A path of SyscallFilter: one directory or file, and in its last part at most one *.
struct PathPattern {
  std::string directory;    // absolute, without a slash at its end but for "/" itself
  std::string name_begins;  // of what is right below it; both empty: the directory itself and all
  std::string name_ends;    // below it
  bool wildcard = false;    // false: the name is exactly name_begins
};
// Errors: kInvalid, in words that follow "path".
[[nodiscard]] Result<PathPattern> parse_path_pattern(std::string_view text);

}  // namespace faultline::api
