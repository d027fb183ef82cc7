// SPDX-License-Identifier: Apache-2.0
#include "api/detail/instances.h"
#include "api/detail/rules_gameday.h"
#include "api/gameday_report.h"

namespace faultline::api {

FAULTLINE_CODEC(GameDayReport)
FAULTLINE_CODEC(std::vector<DayAction>)

std::string gameday_report_text(const GameDayReport& report) { return to_json_text(report); }

Result<GameDayReport> parse_gameday_report(std::string_view json) {
  return from_json_text<GameDayReport>(json);
}

}  // namespace faultline::api
