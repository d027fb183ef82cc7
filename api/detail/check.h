// SPDX-License-Identifier: Apache-2.0
// The rules of an experiment that no single field can express.
#pragma once

#include <boost/json/value.hpp>
#include <vector>

#include "api/detail/problems.h"
#include "api/experiment.h"
#include "api/sweep.h"

namespace faultline::api::detail {

// Adds to `problems`, silent about what is already known to be wrong. Fields were decoded before.
void check_experiment(const Experiment& experiment, Problems& problems);
void check_fault(const Fault& fault, const std::string& path, Problems& problems);

// Of the JSON of a sweep's `spec`: the field that varies is not written, and the fault's own rules
// may require it, so that a value stands there until each cell writes its own. Returns for each row
// whether the document has written it.
[[nodiscard]] std::vector<bool> fill_place_holders(boost::json::value& sweep_spec);
// The rules of a sweep over several fields, and those of each of its cells.
void check_sweep(const Sweep& sweep, const std::vector<bool>& written, Problems& problems);

}  // namespace faultline::api::detail
