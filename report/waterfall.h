// SPDX-License-Identifier: Apache-2.0
// The steps between the first injected event and the notification. Internal to report/detections.
// Pure and thread-safe.
#pragma once

#include <optional>
#include <string>

#include "api/detection.h"
#include "report/alert_episodes.h"
#include "report/detections.h"

namespace faultline::report {

// The evaluations that count for one expectation and rule.
struct Evaluated {
  std::size_t asked = 0;    // on the rule's own grid after the first injected event, with an answer
  std::size_t unknown = 0;  // the same without an answer
  std::size_t held = 0;     // of `asked`, the expression was true
  std::size_t times_true = 0;   // how often it became true on the grid
  double longest = 0;           // seconds for which it was true on end, on the grid
  api::Timestamp true_at;       // first on the grid after the first injected event
  std::optional<double> floor;  // seconds, as earliest_firing() gives it
};
[[nodiscard]] Evaluated evaluated(const api::MonitoringRecord& record, const api::AlertRule& rule,
                                  std::int64_t expected, const DetectionTimes& times,
                                  api::Timestamp first_scrape);

// The first scrape after the first injected event of the targets that the instance's labels name
// (all that the record has, where they name none), not later than `before`. One that failed counts
// only where none was good. Not set: there is none.
[[nodiscard]] api::Timestamp first_scrape(const api::MonitoringRecord& record,
                                          const std::string& source, const AlertLabels& labels,
                                          const DetectionTimes& times, api::Timestamp before);

// "the fault itself broke 9 of 12 scrapes of payments"; empty: none failed while it lasted.
[[nodiscard]] std::string broken_scrapes(const api::MonitoringRecord& record,
                                         const std::string& source, const AlertLabels& labels,
                                         const DetectionTimes& times);

// Fills `steps` and `floor` from the times that `report` has. No step's floor is above what was
// measured.
void add_steps(api::DetectionReport& report, const api::AlertRule* rule,
               const api::AlertRoute* route, const Evaluated& seen, const DetectionTimes& times);

}  // namespace faultline::report
