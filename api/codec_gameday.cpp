// SPDX-License-Identifier: Apache-2.0
#include "api/detail/instances.h"
#include "api/detail/rules_gameday.h"
#include "api/gameday_plan.h"

FAULTLINE_CODEC_STRUCT(, GameDay)
FAULTLINE_CODEC_STRUCT(, DayEntry)

namespace faultline::api {

namespace detail {
template <>
inline constexpr document::Budget kBudgetOf<DayWord>{64 << 10, 1000, 8};
}  // namespace detail

FAULTLINE_CODEC(GameDay)
FAULTLINE_CODEC(GameDayRecord)
FAULTLINE_CODEC(GameDayView)
FAULTLINE_CODEC(DayEntry)
FAULTLINE_CODEC(DayWord)
FAULTLINE_CODEC(GameDayPlan)
FAULTLINE_CODEC(std::vector<GameDaySummary>)
FAULTLINE_CODEC(std::vector<ActionItem>)

}  // namespace faultline::api
