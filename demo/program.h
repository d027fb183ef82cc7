// SPDX-License-Identifier: Apache-2.0
// How the demo is interrupted, and waits. For the main thread only.
#pragma once

#include <chrono>
#include <functional>
#include <stdexcept>

#include "testbed/program.h"

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

// Waits for its end: exit code, or 128 + signal. A signal to the demo is handed on (as is a second
// one); once the program has ended, Interrupted is thrown.
int finish(testbed::Child& child);
// Waits until `done` or for `limit`; returns whether it was done. Throws Interrupted.
bool wait_for(const std::function<bool()>& done, std::chrono::milliseconds limit);
void pause(std::chrono::milliseconds time);

}  // namespace faultline::demo
