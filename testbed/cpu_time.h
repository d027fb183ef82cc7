// SPDX-License-Identifier: Apache-2.0
// What a process costs. Thread-safe.
#pragma once

#include <sys/types.h>

namespace faultline::testbed {

// CPU time that all threads of a process have used so far, in seconds; 0: there is no such process.
[[nodiscard]] double cpu_seconds(pid_t pid);

}  // namespace faultline::testbed
