// SPDX-License-Identifier: Apache-2.0
// The process that owns a private controller and agent. `faultline run --pods` forks it so that
// they end in order and their folder is removed even if the command itself is killed with SIGKILL:
// the guardian sees the control pipe close, ends the agent (its faults with it), then the
// controller, removes the folder and goes. Should the guardian be killed, the kernel kills both
// (PR_SET_PDEATHSIG) and the faults end with the agent; only the folder is left.
#pragma once

#include <string>
#include <vector>

namespace faultline::cli {

struct GuardianPlan {
  std::string folder;      // of the run, made by the caller; removed at the end
  std::string controller;  // paths of the programs
  std::string agent;
  std::string node;                             // name of the node
  std::string pods;                             // the pods file, absolute
  std::vector<std::string> controller_options;  // more of the controller's, e.g. --prometheus URL
};

// Runs in the forked child and never returns. `control`: the end is wanted once it is readable or
// closed. `status`: lines for the command:
//   controller PORT      it listens
//   agent                started
//   failed WHAT          could not be started
//   exited PROGRAM HOW   without being asked to
[[noreturn]] void guard(const GuardianPlan& plan, int control, int status);

// The log that a program writes into the folder.
[[nodiscard]] std::string log_of(const std::string& folder, const std::string& program);

}  // namespace faultline::cli
