// SPDX-License-Identifier: Apache-2.0
// What a game day would run, as Experiments. Pure and thread-safe.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/gameday.h"

namespace faultline::controller::gameday {

// What one step of the day runs: its experiment, or the first cell of each row of its sweep; none
// of other steps. `own_namespace`: as in_own_namespace() has it.
[[nodiscard]] std::vector<api::Experiment> experiments_of(const api::GameDay& day,
                                                          const api::Step& step,
                                                          bool own_namespace);
// The same of all steps, with their names. That may be thousands: who has others waiting goes step
// by step.
[[nodiscard]] std::vector<std::pair<std::string, api::Experiment>> experiments_of(
    const api::GameDay& day, bool own_namespace);

// All steps, groups before what is in them. Good as long as the day.
[[nodiscard]] std::vector<const api::Step*> steps_of(const api::GameDay& day);

// Names of the alerts that the day is about: which its runs expect, and its steps wait for.
[[nodiscard]] std::set<std::string> expected_alerts(const api::GameDay& day);

}  // namespace faultline::controller::gameday
