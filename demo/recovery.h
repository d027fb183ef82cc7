// SPDX-License-Identifier: Apache-2.0
// What a stopwatch sees of a delay that comes, and that ends with a kill -9.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "demo/prober.h"

namespace faultline::demo {

// Waits until the stopwatch's answers take more than 80 ms, and a second longer. Returns the median
// since `start` before that; nothing when it does not come within 20 s, or `ended` comes true.
// Throws Interrupted.
std::optional<std::chrono::nanoseconds> wait_until_slow(const Prober& prober,
                                                        const std::function<bool()>& ended,
                                                        Steady::time_point start);

// Says how soon after the kill checkout was fast again; whether that was at once. `step`: how often
// the stopwatch asks. Call it some seconds after the kill.
bool fast_again(const Prober& checkout, Steady::time_point kill, std::chrono::milliseconds step);

}  // namespace faultline::demo
