// SPDX-License-Identifier: Apache-2.0
// Programs in the background. Failures throw std::runtime_error.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "testbed/child.h"

namespace faultline::testbed {

// Where standard output and error of a program go.
struct Output {
  std::string file;  // empty: to where ours go
};

// Starts a program in a process group of its own, so that Ctrl-C reaches it through us and in
// order. It has no input, and is killed when we die.
[[nodiscard]] Child launch(std::vector<std::string> words, Output output = {});
// The same for use in a body of TestPod::start(): does not return. Exits with 127 when there is no
// such program.
[[noreturn]] void become(const std::vector<std::string>& words, const Output& output);

[[nodiscard]] bool has_ended(const Child& child);
// Asks every 10 ms until `done` or for `limit`; returns whether it was done.
bool wait_until(const std::function<bool()>& done, std::chrono::milliseconds limit);

}  // namespace faultline::testbed
