// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace faultline::testbed {

struct CommandResult {
  int status = -1;     // exit code; 128 + signal when killed
  std::string output;  // stdout and stderr
};

// Runs a program found in PATH and waits. Never through a shell. Reads `input`, or what the test
// reads.
CommandResult command(const std::vector<std::string>& words, const std::string& input = {});

// As command(); throws std::runtime_error with the output unless the program succeeds.
void must(const std::vector<std::string>& words, const std::string& input = {});

}  // namespace faultline::testbed
