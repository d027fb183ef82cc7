// SPDX-License-Identifier: Apache-2.0
// A program as a filter of the clsact qdisc, for kernels without tcx links.
//
// A filter belongs to its device, not to us, and would outlive a killed agent. So the filter is
// only a stub, which calls the program through an array of programs: a worker of the kernel empties
// such an array when the last descriptor of it is closed (prog_array_map_clear()), and so the
// program's effect ends within milliseconds of our process. The stub that is left lets everything
// pass; undo_journal.h removes it.
#pragma once

#include "agent/kernel/link.h"

namespace faultline::agent {

// First of pref 1 (kFirst, kHead) or of pref 2 (kBehindOurs): a filter of another owner that ends
// the chain at pref 1 hides those of pref 2. Adds the qdisc when the device has none. In the
// calling thread's network namespace, which need not be the one it is in when the link ends.
// Thread-safe. Errors: kNotFound for no such device; kUnsupported for egress where the device has
// the qdisc ingress; what the kernel said; no watchdog (undo_journal.h).
Result<Link> attach_clsact(int program_fd, IfIndex device, TcHook hook, TcPlace place);

}  // namespace faultline::agent
