// SPDX-License-Identifier: Apache-2.0
// What an experiment will do, in plain words, before it does it. Pure and thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/experiment.h"
#include "api/node_status.h"
#include "api/plan.h"
#include "api/pods.h"
#include "base/result.h"

namespace faultline::cli {

// How many of the pods that match: "all of them", "2 of them, by chance".
[[nodiscard]] std::string mode_words(const api::Target& target);

// name: "purpose", then hits / does / feels / ends / measures, each line at most `width` columns.
// `nodes` tell by which mechanism; may be empty.
[[nodiscard]] std::string plan_text(const api::Experiment& experiment, const api::RunPlan& plan,
                                    const std::vector<api::NodeStatus>& nodes, std::size_t width);

// Why the plan cannot run: a fault that no agent can arm (kUnsupported), no pod to hit (kNotFound),
// and unless it runs `anyway` an expected alert that could not be noticed (kInvalid).
[[nodiscard]] Result<> plan_problem(const api::RunPlan& plan, bool anyway = false);

// Without a controller: who would be hit according to a pods file, if one is given.
[[nodiscard]] std::string explain_text(const api::Experiment& experiment,
                                       const std::optional<api::PodsFile>& pods, std::size_t width);

}  // namespace faultline::cli
