// SPDX-License-Identifier: Apache-2.0
// Programs that the demo starts, and how it is interrupted. For the main thread only.
#pragma once

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "testbed/child.h"

namespace faultline::demo {

// A person (Ctrl-C) or the system wants the demo to end.
struct Interrupted : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return "interrupted"; }
};

// From now on SIGINT, SIGTERM and SIGHUP are remembered.
void watch_signals();
// The first of them, or 0.
[[nodiscard]] int signal_seen();
// Throws Interrupted after one.
void check_signals();

// Where standard output and error of a program go.
struct Output {
  std::string file;  // empty: to where the demo's go
};

// Starts a program in a process group of its own, so that Ctrl-C reaches it through the demo and
// in order. It has no input, and is killed when the demo dies.
[[nodiscard]] testbed::Child launch(std::vector<std::string> words, Output output = {});
// The same for use in a body of testbed::TestPod::start(): does not return. Exits with 127 when
// there is no such program.
[[noreturn]] void become(const std::vector<std::string>& words, const Output& output);

[[nodiscard]] bool has_ended(const testbed::Child& child);
// Waits for its end: exit code, or 128 + signal. A signal to the demo is handed on (as is a second
// one); once the program has ended, Interrupted is thrown.
int finish(testbed::Child& child);
// Waits until `done` or for `limit`; returns whether it was done. Throws Interrupted.
bool wait_for(const std::function<bool()>& done, std::chrono::milliseconds limit);
void pause(std::chrono::milliseconds time);

}  // namespace faultline::demo
