// SPDX-License-Identifier: Apache-2.0
// What is left of a game day, as files.
#pragma once

#include <string>
#include <vector>

#include "cli/gameday/day_api.h"

namespace faultline::cli {

// Writes report.json, report.md and report.html into `folder`, which is made if need be. `json` is
// the text of the first; `names` and `as`: see DayApi::report(). Returns the path of the page.
[[nodiscard]] Result<std::string> write_day_report(const DayApi& days, const std::string& id,
                                                   const std::string& folder, bool names,
                                                   const std::string& json,
                                                   const std::string& as = "");

// Whether a name that a controller chose is a path of plain words below a folder.
[[nodiscard]] bool is_path_below(std::string_view name);

// Writes the files of an incident into `folder`. A name that leads elsewhere is refused before
// anything is written.
[[nodiscard]] Result<> write_incident(const std::vector<IncidentFile>& files,
                                      const std::string& folder);

}  // namespace faultline::cli
