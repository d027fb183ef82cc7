// SPDX-License-Identifier: Apache-2.0
// Where a path of SyscallFilter is in a pod: the identity of a directory, as the kernel sees it.
#pragma once

#include <string>

#include "agent/targets/pod.h"
#include "base/result.h"
#include "syscall_abi.h"

namespace faultline::agent {

// Looks the path up as a process of the pod would, within its root: no link leads out of it. A file
// that is not there yet is found by the directory it would be in. Errors: kUnavailable when the pod
// has no process to look through, kNotFound when the directory does not exist in it, kInvalid for a
// pattern (api::parse_path_pattern).
Result<fl_path_filter> find_in_pod(const std::string& path, const Pod& pod);

}  // namespace faultline::agent
