// SPDX-License-Identifier: Apache-2.0
// What is done to whom, and when: all of it from one seed, so that a finding can be done again.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/kills/probes.h"

namespace faultline::kills {

using std::chrono::milliseconds;

enum class Victim { kAgent, kController, kWatchdog, kPageHelper, kCommand };
enum class Deed {
  kNothing,       // a run that nobody disturbs: what the checks say of it must be that it is whole
  kKill,          // SIGKILL
  kStop,          // SIGSTOP, and SIGCONT after 1 to 10 s
  kDiskFull,      // ENOSPC: the tmpfs of the controller's state is filled, then emptied
  kDiskBad,       // EIO: writes and syncs of the store fail for a while
  kClock,         // the wall clock of one program jumps an hour, and back when the round is over
  kClockAndKill,  // the same, and that program is killed
};

struct FaultKind {
  std::string name, yaml;  // "networkLoss", "networkLoss: {loss: 100%}"
  Feels felt_by;
  std::string needs;  // a feature of the kernel (api::Feature::name) beside the fault itself
};
[[nodiscard]] const std::vector<FaultKind>& fault_kinds();

struct Round {
  FaultKind fault;
  milliseconds baseline, fault_length, recovery;
  Deed deed = Deed::kNothing;
  Victim victim = Victim::kAgent;
  milliseconds when;    // after the run was asked for
  milliseconds lasts;   // of what ends by itself
  milliseconds away;    // how long what was killed is not started again
  int clock_hours = 0;  // -1 or 1
  [[nodiscard]] std::string words() const;
};

// Thread-compatible.
class Schedule {
 public:
  // Of the faults, those named in `possible` are used.
  Schedule(std::uint64_t seed, std::vector<FaultKind> possible);
  [[nodiscard]] Round next();

 private:
  milliseconds between(int low_ms, int high_ms);
  int dice(int sides);  // 0 .. sides - 1
  std::mt19937_64 random_;
  std::vector<FaultKind> possible_;
};

}  // namespace faultline::kills
