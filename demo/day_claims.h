// SPDX-License-Identifier: Apache-2.0
// What is claimed of a game day, each against somebody who is not Faultline. They say what they
// found and return whether it is as it should be.
#pragma once

#include <string>

#include "demo/day.h"

namespace faultline::demo {

// Whether the fault of the step hit anything; says it only if not.
bool has_acted(const DayLeft& left, const std::string& step);
// Throws std::runtime_error when there is none.
const api::DayRun& run_of(const DayLeft& left, const std::string& step);
// On the stopwatch's clock.
Steady::time_point steady_of(const api::Timestamp& at);

// Exit code and state of the day.
bool ended_as(const DayLeft& left, int status, api::DayState state, const std::string& words);
bool step_was(const DayLeft& left, const std::string& step, api::StepOutcome outcome);
// The alert fired after the fault, once or more often, and Prometheus itself has stored that it did
// then.
bool alert_told_truly(const DayGround& ground, const DayLeft& left, const std::string& step,
                      const std::string& alert);
// No step was begun twice, and no experiment.
bool nothing_twice(const DayLeft& left);
// gameday_figures.py finds the same figures in the raw timeline.
bool figures_are_of_the_timeline(const std::string& folder);

}  // namespace faultline::demo
