// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <limits>

#include "controller/engine/abort.h"
#include "fixtures.h"

namespace faultline::controller::test {
namespace {

using testing::HasSubstr;

const UtcTime kSince = UtcTime(seconds(1795428900));

api::SignalSample sample(double at, std::optional<double> value, bool abort = true) {
  api::SignalSample out{.index = 1, .abortWhen = abort};
  out.at = {kSince + std::chrono::duration_cast<std::chrono::nanoseconds>(
                         std::chrono::duration<double>(at))};
  out.value = value;
  return out;
}

std::optional<std::string> reason(std::vector<api::SignalSample> samples, double now,
                                  const std::string& above = "5") {
  const std::vector<api::AbortCondition> conditions = {{.effect = "request.errors", .above = "50%"},
                                                       {.promql = "errors", .above = above}};
  return query_abort_reason(conditions, samples, kSince,
                            kSince + std::chrono::duration_cast<std::chrono::nanoseconds>(
                                         std::chrono::duration<double>(now)));
}

TEST(QueryAbort, HoldsByTheNewestAnswerOfTheFault) {
  EXPECT_EQ(reason({sample(1, 4.9)}, 2), std::nullopt);
  EXPECT_THAT(*reason({sample(1, 4.9), sample(2, 6)}, 2.5), HasSubstr("errors above 5: it was 6"));
  EXPECT_EQ(reason({sample(1, 6), sample(2, 4)}, 2.5), std::nullopt) << "the newest counts";
  EXPECT_EQ(reason({sample(-1, 6)}, 1), std::nullopt) << "what was before the fault does not";
  EXPECT_EQ(reason({sample(1, 6, false)}, 2), std::nullopt) << "a signal is no condition";
}

TEST(QueryAbort, NoAnswerForFiveSecondsAborts) {
  EXPECT_EQ(reason({}, 4.9), std::nullopt);
  EXPECT_THAT(*reason({}, 5), HasSubstr("no answer to it for 5 s"));
  EXPECT_EQ(reason({sample(3, 1)}, 7.9), std::nullopt);
  EXPECT_THAT(*reason({sample(3, 1), sample(6, std::nullopt)}, 8), HasSubstr("no answer"));
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(*reason({sample(1, kNan), sample(4, kNan)}, 5), HasSubstr("no answer"))
      << "what is no number is no data";
}

TEST(QueryAbort, ABoundMayBeNegativeAndOneThatIsNoNumberNeverHolds) {
  EXPECT_THAT(*reason({sample(1, -2)}, 2, "-3"), HasSubstr("above -3: it was -2"));
  EXPECT_EQ(reason({sample(1, 100)}, 2, "many"), std::nullopt);
}

}  // namespace
}  // namespace faultline::controller::test
