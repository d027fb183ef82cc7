// SPDX-License-Identifier: Apache-2.0
// One process that uses the CPU while its lease is renewed: what runs in it. It has no descriptor,
// no capability and no heap of the agent, can make no system call but those that it works with, and
// ends by itself when the lease is over, when it is told to, and when the agent has ended.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "agent/kernel/helper_process.h"
#include "fault_abi.h"

namespace faultline::agent {

// How a worker is, as it says itself.
enum class WorkerState : std::uint32_t {
  kNew,        // gives up what it does not need
  kReady,      // waits for a lease, or works
  kLeaseOver,  // ends, or has ended: nobody renewed it
  kFailed,     // ended before it was ready: WorkerSlot::error
};

// Memory that a worker shares with the agent. All fields are read and written as atomics.
struct WorkerSlot {
  std::uint32_t state = 0;                  // WorkerState
  std::int32_t error = 0;                   // errno
  std::uint64_t first_ns = 0, last_ns = 0;  // CLOCK_MONOTONIC: first work, latest sign of life
};

struct WorkerTask {
  pid_t parent;
  WorkerSlot* slot;
  const fl_lease* lease;  // both in memory that is shared
  double share;           // of one CPU, above 0, up to 1
  const ProcessMemory* memory;
};

// A worker asks for its share in each slice of this length, which is how finely it is dosed, and
// looks at its lease once a slice at least.
inline constexpr std::uint64_t kSliceNs = 10'000'000;
// The lease's deadline before the first lease, and when the fault ends.
inline constexpr std::uint64_t kNoLeaseNs = 1;
// A worker that never had a lease ends after so long.
inline constexpr std::uint64_t kIdleNs = 60'000'000'000;

// In the child of a clone without shared memory. Async-signal-safe; does not return.
[[noreturn]] void run_worker(const WorkerTask& task);

}  // namespace faultline::agent
