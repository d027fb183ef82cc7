// SPDX-License-Identifier: Apache-2.0
// A game day in plain words, before it begins. Pure and thread-safe.
#pragma once

#include <optional>
#include <string>

#include "api/gameday.h"
#include "api/gameday_plan.h"
#include "api/pods.h"

namespace faultline::cli {

[[nodiscard]] std::size_t steps_of(const api::GameDay& day);

// "12 steps, at least 3 min 20 s".
[[nodiscard]] std::string gameday_size_words(const api::GameDay& day);

// What is believed, who does what, the steps as a tree, what they hit in all and how long they
// take. With `pods` also which of them. `planned`: what a controller says of it follows.
[[nodiscard]] std::string gameday_text(const api::GameDay& day,
                                       const std::optional<api::PodsFile>& pods, bool planned,
                                       std::size_t width);

// What a controller says of it now: who would be hit, the alerts of each step, what stands in the
// way.
[[nodiscard]] std::string day_plan_text(const api::GameDayPlan& plan, std::size_t width);

// Why the day cannot begin as it is: a step that could not run, or unless `anyway` an expected
// alert that could not be noticed (kInvalid). One line each.
[[nodiscard]] Result<> day_plan_problem(const api::GameDayPlan& plan, bool anyway);

}  // namespace faultline::cli
