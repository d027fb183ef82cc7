// SPDX-License-Identifier: Apache-2.0
// Did the monitoring notice? From the stored record of what was seen of it to a verdict for each
// expected alert and each signal. docs/decisions/0030-did-anyone-notice.md says from what each time
// is taken. Pure and thread-safe.
#pragma once

#include <vector>

#include "api/detection.h"
#include "api/report.h"
#include "api/run_record.h"
#include "api/selector.h"

namespace faultline::report {

// Of the controller's clock. Not set: it did not come.
struct DetectionTimes {
  api::Timestamp first_injected;  // t2
  api::Timestamp last_injected;   // t9
  api::Timestamp end;             // up to here the monitoring was asked: measured_until()
  api::Timestamp begin{};         // the run was asked for
};

// The end of the last phase of a run that is over, whose agents and monitoring told of it for some
// seconds more; of one that is not over, the begin of its phase. Not set: there is no history.
[[nodiscard]] api::Timestamp measured_until(const api::RunRecord& record);

// The targets and observed pods of a run; empty: not known.
using RunPods = std::vector<api::PodRef>;

// One for each of `expect.alerts`, in their order, then one for each instance of an alert that
// fired after the first injected event and was not expected, at most kMostFalseAlarms. An empty
// `record` (nothing could be asked) makes all unknown; so does a run without an injected event.
// Where several instances meet an expectation, one of the run's own `pods` is taken before others;
// one of a namespace in which the run has none proves nothing unless the expectation names it.
[[nodiscard]] std::vector<api::DetectionReport> detections_of(const api::MonitoringRecord& record,
                                                              const api::Expect& expect,
                                                              const DetectionTimes& times,
                                                              const RunPods& pods = {});
inline constexpr std::size_t kMostFalseAlarms = 50;

// Whether an expectation of an alert is met: only by detected, flapping and still_firing, which
// fired in time and did not stay untold.
[[nodiscard]] bool noticed(api::DetectionVerdict verdict);

// Whether the report says what would have noticed: of late, missed and before_fault.
[[nodiscard]] bool wants_hints(api::DetectionVerdict verdict);
// Fills `hints` of the expected alerts that want them: for the three measured effects of `report`
// that moved most, a rule among the record's candidates, or why there is none.
void add_hints(const api::MonitoringRecord& record, const DetectionTimes& times,
               api::Report& report);
inline constexpr std::size_t kMostHints = 3;

// The kernel's measure and the monitoring's answers over the fault phase, for each of
// `expect.signals`, in their order. Without monitoring: no_data.
[[nodiscard]] std::vector<api::SignalReport> signals_of(const api::RunRecord& record,
                                                        const DetectionTimes& times);

}  // namespace faultline::report
