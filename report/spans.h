// SPDX-License-Identifier: Apache-2.0
// For how long the faults of a run acted on each pod. Pure and thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "api/run_record.h"

namespace faultline::report {

// The time in which every fault of a pod could act. `to` is max() while nothing has ended it.
struct FaultSpan {
  UtcTime from{};
  UtcTime to = UtcTime::max();
  std::string ended_by;  // what ended it before its time: "the pod was deleted"; else empty
  [[nodiscard]] double seconds() const { return std::chrono::duration<double>(to - from).count(); }
};

// Of each pod of the run, by id. A target has its own span: from when its last fault was armed to
// when the first of these ended it: the agent took the faults down, the lease ran out, the pod or
// its node was gone. Any other pod has the span of all targets together: from when the last was
// armed to when the last ended. A pod is left out when no fault was armed.
[[nodiscard]] std::map<std::string, FaultSpan> fault_spans(const api::RunRecord& record);

// The fault phase by the controller's marks: of pods on which nothing was armed. Empty when the run
// never got there.
[[nodiscard]] std::optional<FaultSpan> phase_span(const api::RunRecord& record);

// The length of the fault phase: as asked, or shorter when the run ended before. Empty when the run
// never got there.
[[nodiscard]] std::optional<double> fault_seconds(const api::RunRecord& record);

}  // namespace faultline::report
