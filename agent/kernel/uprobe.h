// SPDX-License-Identifier: Apache-2.0
// Programs at functions of user space (uprobes). What is attached is a descriptor and is in no list
// of tracefs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/kernel/link.h"
#include "base/result.h"

namespace faultline::agent {

enum class UprobeAt { kEntry, kReturn };

struct UprobePlace {
  std::uint64_t offset = 0;  // of the function's first instruction in the file
  std::uint64_t cookie = 0;  // what bpf_get_attach_cookie() gives the program there
};

// BPF_TRACE_UPROBE_MULTI, Linux 6.6 (commit 89ae89f53d20 "bpf: Add multi uprobe link"): what a
// program must be loaded for, where uprobes_by_one_link(). Debian 12's headers are those of 6.1.
inline constexpr std::uint32_t kUprobeMulti = 48;

// Whether this kernel attaches a program to many places by one link. Detaching waits for a grace
// period of the kernel a link, 100 ms and more on some. Tried once. Thread-safe.
[[nodiscard]] bool uprobes_by_one_link();

// At all `places` of the file, in every process that has it mapped, now or later; the kernel keeps
// the file, so its name may go. One link, or, for a program that was not loaded for kUprobeMulti,
// one a place. Errors: kUnsupported where the kernel has no uprobes; what it said.
Result<std::vector<Link>> attach_uprobes(int program_fd, const std::string& path, UprobeAt at,
                                         const std::vector<UprobePlace>& places, bool by_one_link);

}  // namespace faultline::agent
