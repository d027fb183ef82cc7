// SPDX-License-Identifier: Apache-2.0
// What of a run is told to the cluster: the status of its Experiment. Pure and thread-safe.
#pragma once

#include <optional>
#include <string>

#include "api/experiment_status.h"
#include "api/report.h"
#include "api/run_record.h"
#include "base/result.h"

namespace faultline::controller {

// Of an experiment that was not started: which rule or which missing thing, as `error` says.
[[nodiscard]] api::ExperimentStatus refused_status(const Error& error,
                                                   const api::ExperimentStatus& before,
                                                   std::int64_t generation, UtcTime now);

// Of one whose run this controller knows. `head` has the newest injections (Run::recent(), or a
// stored run); `report` when the run is over. Conditions keep their time of transition from
// `before` while their status is the same.
[[nodiscard]] api::ExperimentStatus run_status(const api::RunRecord& head,
                                               const api::Report* report,
                                               const api::ExperimentStatus& before,
                                               std::int64_t generation, UtcTime now);

// Of one that says it has a run which no store knows: truthful, and final.
[[nodiscard]] api::ExperimentStatus lost_status(const api::ExperimentStatus& before,
                                                std::int64_t generation, UtcTime now);

// Of one whose status, which nobody but a controller should have written, says that it has begun,
// and names another's run. Nothing of that is kept. Final.
[[nodiscard]] api::ExperimentStatus forged_status(std::int64_t generation, UtcTime now);

// Nothing happens any more.
[[nodiscard]] bool is_final(api::RunState phase);

// The word of an error as a condition's reason: "Denied".
[[nodiscard]] std::string reason_word(Errc code);

// Targets and injections that a status lists; counts are of all.
inline constexpr std::size_t kMostListed = 50;

}  // namespace faultline::controller
