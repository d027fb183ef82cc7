// SPDX-License-Identifier: Apache-2.0
// syscallError: system calls of a pod fail with an errno. By fmod_ret on the system call, by a
// security hook (LSM, or fmod_ret on security_*), or by socketError's cgroup hooks: one rung a
// call. On a security hook also io_uring and 32-bit programs are hit, as the first call asked for
// that the hook serves. What the container runtime does in the pod's cgroup is left alone.
#pragma once

#include "agent/faults/fault.h"

namespace faultline::agent {

extern const FaultType kSyscallError;

}  // namespace faultline::agent
