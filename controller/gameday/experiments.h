// SPDX-License-Identifier: Apache-2.0
// What a game day would run, as Experiments. Pure and thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "api/gameday.h"

namespace faultline::controller::gameday {

// What is run by a step that has an experiment, and by the first cell of each row of a sweep, with
// the step's name. `own_namespace`: as in_own_namespace() has it.
[[nodiscard]] std::vector<std::pair<std::string, api::Experiment>> experiments_of(
    const api::GameDay& day, bool own_namespace);

}  // namespace faultline::controller::gameday
