// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "controller/engine/clock_estimate.h"
#include "fixtures.h"

namespace faultline::controller::test {
namespace {

api::SyncRequest measured(double offset, double round_trip) {
  api::SyncRequest request{.instance = "i"};
  request.clockOffset = offset;
  request.clockRoundTrip = round_trip;
  return request;
}

TEST(ClockEstimate, TheExchangeWithTheShortestRoundTripKnowsBest) {
  HandClock clock;
  ClockEstimate estimate;
  estimate.add(measured(0.520, 0.060), clock.now());
  estimate.add(measured(0.501, 0.002), clock.after(seconds(1)));
  estimate.add(measured(0.485, 0.040), clock.after(seconds(1)));
  const ClockOffset best = estimate.best(clock.now().steady);
  EXPECT_DOUBLE_EQ(best.offset, 0.501);
  EXPECT_NEAR(best.uncertainty, 0.001, 2e-5);
  EXPECT_DOUBLE_EQ(best.applied(), 0.501);
}

TEST(ClockEstimate, AnOffsetThatCannotBeToldFromZeroMovesNothing) {
  HandClock clock;
  ClockEstimate estimate;
  estimate.add(measured(-0.0004, 0.001), clock.now());
  EXPECT_EQ(estimate.best(clock.now().steady).applied(), 0);
}

TEST(ClockEstimate, AClockThatWasSetMakesOldSamplesWorthless) {
  HandClock clock;
  ClockEstimate estimate;
  estimate.add(measured(0, 0.0001), clock.now());
  estimate.add(measured(30, 0.010), clock.after(seconds(1)));
  EXPECT_DOUBLE_EQ(estimate.best(clock.now().steady).offset, 30);
}

TEST(ClockEstimate, SamplesAgeAndAreForgottenAfterAMinute) {
  HandClock clock;
  ClockEstimate estimate;
  estimate.add(measured(0.500, 0.001), clock.now());
  EXPECT_NEAR(estimate.best(clock.after(seconds(50)).steady).uncertainty, 0.0005 + 50 * 15e-6,
              1e-9);
  estimate.add(measured(0.502, 0.020), clock.after(seconds(20)));
  EXPECT_DOUBLE_EQ(estimate.best(clock.now().steady).offset, 0.502);
}

TEST(ClockEstimate, NonsenseOfAnAgentIsNotUsed) {
  HandClock clock;
  ClockEstimate estimate;
  estimate.add(measured(5, -1), clock.now());
  estimate.add(measured(5, 1e9), clock.now());
  estimate.add(measured(std::numeric_limits<double>::infinity(), 0.001), clock.now());
  EXPECT_EQ(estimate.best(clock.now().steady).applied(), 0);
}

TEST(ClockEstimate, WithoutMeasurementsOnlyALargeOffsetIsBelieved) {
  HandClock clock;
  ClockEstimate estimate;
  api::SyncRequest request{.instance = "i", .sentAt = {clock.now().utc - milliseconds(20)}};
  estimate.add(request, clock.now());
  EXPECT_EQ(estimate.best(clock.now().steady).applied(), 0);
  request.sentAt.value = clock.now().utc - seconds(60);
  estimate.add(request, clock.now());
  EXPECT_DOUBLE_EQ(estimate.best(clock.now().steady).applied(), -60);
}

TEST(ToOurClock, MovesEveryTimestampAndLeavesNeverAlone) {
  const UtcTime t(seconds(1000));
  const auto moved = t - milliseconds(1500);
  api::RunBatch batch;
  batch.injections = {{.armedAt = {t}, .firstInjectedAt = {t}, .lastInjectedAt = {t}}};
  batch.windows = {{.from = {t}, .to = {t}}};
  batch.gaps = {{.from = {t}, .to = {}}};
  batch.events = {{.at = {t}}};
  to_our_clock(batch, 1.5);
  EXPECT_EQ(batch.injections[0].armedAt.value, moved);
  EXPECT_EQ(batch.injections[0].firstInjectedAt.value, moved);
  EXPECT_EQ(batch.injections[0].lastInjectedAt.value, moved);
  EXPECT_FALSE(batch.injections[0].disarmedAt.set());
  EXPECT_EQ(batch.windows[0].from.value, moved);
  EXPECT_EQ(batch.windows[0].to.value, moved);
  EXPECT_EQ(batch.gaps[0].from.value, moved);
  EXPECT_FALSE(batch.gaps[0].to.set());
  EXPECT_EQ(batch.events[0].at.value, moved);
}

}  // namespace
}  // namespace faultline::controller::test
