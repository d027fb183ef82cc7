// SPDX-License-Identifier: Apache-2.0
// What a person agreed to when they saw a plan: these pods and no others. Pure and thread-safe.
#pragma once

#include <string>
#include <vector>

#include "api/plan.h"
#include "base/result.h"

namespace faultline::controller {

// RunPlan::choice of these targets, which are in order.
[[nodiscard]] std::string choice_of(const std::vector<api::PodRef>& targets);

// kConflict: a plan was agreed to (the annotation api::kChoiceNote), and `plan` hits other pods.
[[nodiscard]] Result<> as_agreed(const api::Experiment& experiment, const api::RunPlan& plan);

}  // namespace faultline::controller
