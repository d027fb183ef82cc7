// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <limits>

#include "controller/engine/abort.h"
#include "fixtures.h"

namespace faultline::controller::test {
namespace {

using testing::HasSubstr;

const SteadyTime kSince = SteadyTime(seconds(100'000));

SteadyTime after(double at) {
  return kSince +
         std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(at));
}

// Asked for at `at`; it took `took` seconds.
observe::AbortAnswer answer(double at, double value, double took = 0) {
  return {1, value, after(at), after(at + took)};
}

std::optional<std::string> reason(const std::vector<observe::AbortAnswer>& answers, double now,
                                  const std::string& above = "5") {
  const std::vector<api::AbortCondition> conditions = {{.effect = "request.errors", .above = "50%"},
                                                       {.promql = "errors", .above = above}};
  return query_abort_reason(conditions, answers, kSince, after(now));
}

TEST(QueryAbort, HoldsByTheNewestAnswerOfTheFault) {
  EXPECT_EQ(reason({answer(1, 4.9)}, 2), std::nullopt);
  EXPECT_THAT(*reason({answer(2, 6)}, 2.5), HasSubstr("errors above 5: it was 6"));
  EXPECT_EQ(reason({answer(-1, 6)}, 1), std::nullopt) << "what was before the fault does not";
  EXPECT_EQ(reason({answer(-1, 6, 2)}, 2), std::nullopt) << "also where it arrived in the fault";
  EXPECT_EQ(reason({{0, 6, after(1), after(1)}}, 2), std::nullopt) << "of another condition";
}

TEST(QueryAbort, NoAnswerForFiveSecondsAborts) {
  EXPECT_EQ(reason({}, 4.9), std::nullopt);
  EXPECT_THAT(*reason({}, 5), HasSubstr("no answer to it for 5 s"));
  EXPECT_EQ(reason({answer(3, 1)}, 7.9), std::nullopt);
  EXPECT_THAT(*reason({answer(3, 1)}, 8), HasSubstr("no answer"));
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(*reason({answer(4, kNan)}, 5), HasSubstr("no answer"))
      << "what is no number is no data";
}

TEST(QueryAbort, AnAnswerIsAsOldAsItsArrival) {
  EXPECT_EQ(reason({answer(3, 1, 3)}, 8.5), std::nullopt) << "asked 5.5 s ago, there since 2.5 s";
  EXPECT_EQ(reason({answer(3, 1, 3)}, 10.9), std::nullopt);
  EXPECT_THAT(*reason({answer(3, 1, 3)}, 11), HasSubstr("no answer"));
  EXPECT_EQ(reason({answer(-2, 9, 4)}, 6.9), std::nullopt) << "the monitoring answered at 2 s";
  EXPECT_THAT(*reason({answer(-2, 9, 4)}, 7), HasSubstr("no answer"));
}

TEST(QueryAbort, AnAnswerOfAPartEndsAFaultAndLetsNoneGoOn) {
  const auto part = [](double asked, double value, SteadyTime whole = {}) {
    return observe::AbortAnswer{1, value, after(asked), whole};
  };
  EXPECT_THAT(*reason({part(2, 6)}, 2.5), HasSubstr("errors above 5: it was 6"));
  EXPECT_EQ(reason({part(4, 4)}, 4.9), std::nullopt);
  EXPECT_THAT(*reason({part(4, 4)}, 5), HasSubstr("no whole answer to it for 5 s"));
  EXPECT_EQ(reason({part(7, 4, after(3))}, 7.9), std::nullopt) << "one was whole";
  EXPECT_THAT(*reason({part(7, 4, after(3))}, 8), HasSubstr("no whole answer to it for 5 s"));
}

TEST(QueryAbort, ABoundMayBeNegativeAndOneThatIsNoNumberNeverHolds) {
  EXPECT_THAT(*reason({answer(1, -2)}, 2, "-3"), HasSubstr("above -3: it was -2"));
  EXPECT_EQ(reason({answer(1, 100)}, 2, "many"), std::nullopt);
}

}  // namespace
}  // namespace faultline::controller::test
