// SPDX-License-Identifier: Apache-2.0
// Could it fire at all? What the rules and routes of the monitoring say of the alerts that an
// experiment expects, before anything is hit. Pure and thread-safe.
#pragma once

#include <vector>

#include "api/experiment.h"
#include "api/monitoring_record.h"
#include "api/plan.h"
#include "base/result.h"

namespace faultline::controller {

// One for each of spec.expect.alerts, in their order. `known`: what a watcher saw before the run.
// Where several rules have the alert's name, that of the earliest floor is told. An alert is called
// impossible only where its settings leave no way: a scrape and an evaluation may come at the best
// moment, and a range window may hold what the fault did for its whole length.
[[nodiscard]] std::vector<api::PlannedAlert> planned_alerts(const api::Experiment& experiment,
                                                            const api::MonitoringRecord& known);

// kInvalid, a line for each alert that is not possible, unless the experiment has kAnywayNote. What
// is not known is no reason to refuse.
[[nodiscard]] Result<> require_possible(const api::Experiment& experiment,
                                        const std::vector<api::PlannedAlert>& alerts);

}  // namespace faultline::controller
