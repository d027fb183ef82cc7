// SPDX-License-Identifier: Apache-2.0
// Internal to report/gameday/: the files of a labelled incident. Pure and thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "api/gameday_report.h"
#include "api/report.h"
#include "api/run_record.h"

namespace faultline::report::gameday {

inline constexpr std::string_view kIncidentVersion = "faultline.dev/incident/v1";

// The windows of all pods of all runs as OpenMetrics with times. Of a run without a record, the
// figures of its report's phases, at the end of each, with the label `phase`.
[[nodiscard]] std::string open_metrics(const api::GameDayReport& report,
                                       const std::map<std::string, api::Report>& runs,
                                       const std::map<std::string, api::RunRecord>& records);

// JSON Schema (draft 2020-12): one of incident.json, alerts.json and timeline.json.
[[nodiscard]] std::string_view incident_schema();
[[nodiscard]] std::string_view incident_readme();

}  // namespace faultline::report::gameday
