// SPDX-License-Identifier: Apache-2.0
// The rules of an experiment that no single field can express.
#pragma once

#include "api/detail/problems.h"
#include "api/experiment.h"

namespace faultline::api::detail {

// Adds to `problems`, silent about what is already known to be wrong. Fields were decoded before.
void check_experiment(const Experiment& experiment, Problems& problems);
void check_fault(const Fault& fault, const std::string& path, Problems& problems);

}  // namespace faultline::api::detail
