// SPDX-License-Identifier: Apache-2.0
// A process that undoes what its owner wrote into the undo journal, when the owner has ended by any
// means. It runs our own program anew, so that it shares no memory and no descriptor with it.
#pragma once

#include <sys/types.h>

#include <optional>

#include "base/result.h"

namespace faultline::agent {

// First in main() of every program that arms: the exit code when this process was started as a
// watchdog. A program that has not called it cannot have one, and attaches nothing that needs it.
std::optional<int> run_as_watchdog(int argc, char** argv);

// Unless this process has one that runs: sweeps the journal, starts one, and waits until it is
// ready. Takes some milliseconds. Thread-safe. Errors: it did not start.
Result<> ensure_watchdog();

// 0: this process has started none.
pid_t watchdog_pid();

}  // namespace faultline::agent
