// SPDX-License-Identifier: Apache-2.0
// Internal to report/gameday/: the day drawn on one axis. Pure and thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "api/gameday_report.h"

namespace faultline::report::gameday {

// The style that day_axis() needs beside the report's own.
extern const std::string_view kAxisStyle;

// An inline SVG: a lane each for steps, faults, effects, alerts and people over time in UTC, and a
// sentence on what is not drawn. `report` is shown(); texts are escaped here. Empty: nothing of the
// day has a time.
[[nodiscard]] std::string day_axis(const api::GameDayReport& report);

}  // namespace faultline::report::gameday
