// SPDX-License-Identifier: Apache-2.0
// The door of report/gameday/: what a game day showed, from its timeline and the reports of its
// runs, and how it is shown. Pure and thread-safe; nothing here fails: what is missing is a gap of
// the report. docs/gameday-report.md has the definition of each figure.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "api/gameday_record.h"
#include "api/gameday_report.h"
#include "api/report.h"
#include "api/run_record.h"

namespace faultline::report {

// Whether people are named. kHidden: each is a word of their role ("the commander", "an observer",
// "somebody"), in every output. What people wrote stays as they wrote it.
enum class Names { kHidden, kShown };

// `runs`: the reports of the day's runs by their id; one that is not there is a gap. `earlier`: the
// reports of days of the same name, oldest first; those of another name are left out. `not_read`:
// why a report that is there is not in `runs`, by the run's id. Seconds.
[[nodiscard]] api::GameDayReport gameday_report(
    const api::GameDayRecord& record, const std::map<std::string, api::Report>& runs,
    const std::vector<api::GameDayReport>& earlier, Names names = Names::kHidden,
    const std::map<std::string, std::string>& not_read = {});
// What a day takes of the report of a run: the rest is left out, so that many of them have room.
[[nodiscard]] api::Report for_gameday(api::Report report);

// Lines of at most `width` columns, if words allow that.
[[nodiscard]] std::string gameday_terminal(const api::GameDayReport& report,
                                           std::size_t width = 100);
// To paste: the longest timelines are shortened to the entries that tell most, and say so.
[[nodiscard]] std::string gameday_markdown(const api::GameDayReport& report);
// One self-contained page without a script; the day is drawn on one time axis in UTC.
[[nodiscard]] std::string gameday_html(const api::GameDayReport& report);
// report.json of the day, whole; parse_gameday_report() reads it.
[[nodiscard]] std::string gameday_json(const api::GameDayReport& report);
// Action items alone: a list with boxes to tick, and the array `actions` of report.json.
[[nodiscard]] std::string gameday_actions_markdown(const api::GameDayReport& report);
[[nodiscard]] std::string gameday_actions_json(const api::GameDayReport& report);

struct IncidentFile {
  std::string name;  // a plain file name
  std::string content;
};
// The day as a labelled incident: README.md, schema.json, incident.json (topology as measured and
// ground truth), alerts.json, timeline.json and metrics.prom (OpenMetrics). `records`: what is
// stored of the runs; of a run that is not in it, the metrics are the figures of its report's
// phases.
[[nodiscard]] std::vector<IncidentFile> gameday_incident(
    const api::GameDayReport& report, const std::map<std::string, api::Report>& runs,
    const std::map<std::string, api::RunRecord>& records = {});

}  // namespace faultline::report
