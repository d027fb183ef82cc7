// SPDX-License-Identifier: Apache-2.0
// A process of ours that begins inside a cgroup, so that the limits there act on it from its first
// moment, and in no namespace but the agent's own.
#pragma once

#include <sys/types.h>

#include <functional>

#include "agent/kernel/fd.h"
#include "agent/targets/controller_dirs.h"
#include "base/result.h"

namespace faultline::agent {

struct StartedProcess {
  pid_t pid = -1;        // a child of this process: to be waited for
  Fd process;            // pidfd
  bool by_clone = true;  // false: the kernel cannot, and it was moved there
};

// `body` runs in the child, which has a copy of our memory: only what is async-signal-safe, and it
// does not return. The child is entered into OwnProcesses. It ends with the thread that calls this
// if its body asks for that. In hierarchies of cgroup v1 it is moved to its place before this
// returns. Errors: what the kernel said, with the limit that it may have been; kUnavailable and
// EBUSY where the cgroup may hold no process; then there is no child.
Result<StartedProcess> start_in_cgroup(const ControllerDirs& place,
                                       const std::function<void()>& body);

// Was killed and has not ended yet: whoever starts the next one waits for it.
void reap_later(pid_t pid);

}  // namespace faultline::agent
