// SPDX-License-Identifier: Apache-2.0
// When a fault counts as the one that was asked.
#include <gtest/gtest.h>

#include "report/analysis.h"
#include "report/stats.h"
#include "tests/unit/report/synthetic.h"

namespace faultline::report {
namespace {

using api::InjectionVerdict;
using std::chrono::milliseconds;
using synthetic::at;
using synthetic::Dice;

api::InjectionStatus status(std::uint64_t matched, std::uint64_t injected) {
  return {.pod = synthetic::pod("payments-0"),
          .state = api::InjectionState::disarmed,
          .matched = matched,
          .injected = injected,
          .armedAt = at(10),
          .firstInjectedAt = at(10),
          .lastInjectedAt = at(40)};
}

api::InjectionReport judged(const api::FaultSpec& spec, const api::InjectionStatus& s) {
  api::InjectionReport row;
  judge({spec}, s, row);
  return row;
}

api::NetworkLoss loss(double rate) {
  api::NetworkLoss f;
  f.loss = {rate};
  return f;
}

TEST(Judge, BlockedAndNeverArmedSayWhy) {
  api::InjectionStatus s = status(10, 10);
  s.state = api::InjectionState::blocked;
  s.reason = "tcx is missing";
  EXPECT_EQ(judged(loss(0.1), s).verdict, InjectionVerdict::blocked);
  EXPECT_EQ(judged(loss(0.1), s).reason, "tcx is missing");
  api::InjectionStatus never = status(0, 0);
  never.armedAt = {};
  EXPECT_EQ(judged(loss(0.1), never).verdict, InjectionVerdict::blocked);
}

TEST(Judge, NothingMatchedIsNoTraffic) {
  const api::InjectionReport row = judged(loss(0.1), status(0, 0));
  EXPECT_EQ(row.verdict, InjectionVerdict::no_traffic);
  EXPECT_FALSE(row.rate);
  EXPECT_FALSE(row.rateCi95);
}

// Milliseconds of CPU time: fewer than asked is what a limit does, which is the pressure.
TEST(Judge, PressureThatThePodsLimitHoldsBackIsConfirmed) {
  const api::InjectionReport row = judged(api::CpuPressure{}, status(30'000, 6'000));
  EXPECT_EQ(row.verdict, InjectionVerdict::confirmed);
  EXPECT_EQ(row.rate, 0.2);
  EXPECT_FALSE(row.rateCi95) << "it is no chance";
  EXPECT_EQ(judged(api::CpuPressure{}, status(30'000, 0)).reason,
            "none of 30 000 ms of CPU time were got");
}

TEST(Judge, PressureThatNobodyAskedForIsPartial) {
  api::InjectionStatus s = status(30'000, 20'000);
  s.lost = 10'000;
  EXPECT_EQ(judged(api::CpuPressure{}, s).verdict, InjectionVerdict::partial);
  EXPECT_EQ(judged(api::CpuPressure{}, s).reason,
            "10 000 of 30 000 ms of CPU time were not asked for, since a worker had been killed");
  s.lost = 0;
  s.stalled = 2'000;
  EXPECT_EQ(judged(api::CpuPressure{}, s).verdict, InjectionVerdict::confirmed);
  s.stalled = 5'000;
  EXPECT_EQ(judged(api::CpuPressure{}, s).verdict, InjectionVerdict::partial);
}

TEST(Judge, ARateWithinChanceIsConfirmedAndReportedAt95) {
  const api::InjectionReport row = judged(loss(0.1), status(48210, 4836));
  EXPECT_EQ(row.verdict, InjectionVerdict::confirmed);
  EXPECT_NEAR(*row.rate, 0.10031, 1e-5);
  EXPECT_NEAR(row.rateCi95->low, 0.0977, 1e-3);
  EXPECT_NEAR(row.rateCi95->high, 0.1030, 1e-3);
}

// Of a loss: packets of pieces that should have lost some, and passed whole.
TEST(Judge, PiecesThatPassedALossArePartialByTheLossThatIsMissing) {
  api::InjectionStatus s = status(1'000'000, 1'000);
  s.stalled = 4;
  EXPECT_EQ(judged(loss(0.001), s).verdict, InjectionVerdict::confirmed);
  s.stalled = 44;
  EXPECT_EQ(judged(loss(0.001), s).verdict, InjectionVerdict::partial);
  EXPECT_EQ(judged(loss(0.001), s).reason,
            "44 packets passed in pieces that should have lost some: too many were being cut");
  s.stalled = 0;
  s.lost = 2;
  EXPECT_EQ(judged(loss(0.001), s).reason,
            "2 packets were lost beside those that were asked: the kernel had no room for them "
            "while pieces were cut");
}

TEST(Judge, ARateBeyondChanceIsPartialWithBothFigures) {
  const api::InjectionReport row = judged(loss(0.1), status(48210, 5400));
  EXPECT_EQ(row.verdict, InjectionVerdict::partial);
  EXPECT_NE(row.reason.find("asked 10 %"), std::string::npos) << row.reason;
  EXPECT_NE(row.reason.find("11.2 %"), std::string::npos) << row.reason;
}

TEST(Judge, AlmostNoHonestRunIsCalledPartial) {
  Dice dice(23);
  int partial = 0;
  constexpr int kRuns = 2000;
  for (int run = 0; run < kRuns; ++run) {
    std::uint64_t hit = 0;
    for (int i = 0; i < 2000; ++i) hit += dice.chance(0.1) ? 1 : 0;
    partial += judged(loss(0.1), status(2000, hit)).verdict == InjectionVerdict::partial ? 1 : 0;
  }
  EXPECT_LE(partial, 8);  // 1 in 1 000, where 95 % would call 100 of them partial
}

TEST(Judge, BurstsWidenTheInterval) {
  api::NetworkLoss bursty = loss(0.1);
  bursty.burst = api::LossBurst{.length = 10};
  // 0.9 points off: six deviations for single losses, one and a half in bursts of ten.
  EXPECT_EQ(judged(loss(0.1), status(40000, 4360)).verdict, InjectionVerdict::partial);
  const api::InjectionReport row = judged(bursty, status(40000, 4360));
  EXPECT_EQ(row.verdict, InjectionVerdict::confirmed) << row.reason;
  EXPECT_GT(row.rateCi95->high - row.rateCi95->low, 0.02);
}

TEST(Judge, AMatchThatWasNeverHitIsNotASuccess) {
  const api::InjectionReport row = judged(loss(0.01), status(20, 0));
  EXPECT_EQ(row.verdict, InjectionVerdict::partial);
  EXPECT_NE(row.reason.find("none was hit"), std::string::npos);
}

TEST(Judge, ACertainFaultMustHitEveryEvent) {
  api::SocketError f;
  f.operations = {api::SocketOperation::connect};
  f.errno_ = {ETIMEDOUT};
  EXPECT_EQ(judged(f, status(1000, 1000)).verdict, InjectionVerdict::confirmed);
  EXPECT_EQ(judged(f, status(1000, 950)).verdict, InjectionVerdict::partial);
}

TEST(Judge, SocketErrorsAtHalf) {
  api::SocketError f;
  f.operations = {api::SocketOperation::connect};
  f.errno_ = {ECONNREFUSED};
  f.probability = {0.5};
  EXPECT_EQ(judged(f, status(1182, 602)).verdict, InjectionVerdict::confirmed);
  EXPECT_EQ(judged(f, status(1182, 900)).verdict, InjectionVerdict::partial);
}

api::NetworkLatency latency(int ms, int jitter_ms = 0) {
  api::NetworkLatency f;
  f.latency = {milliseconds(ms)};
  f.jitter = {milliseconds(jitter_ms)};
  return f;
}

api::InjectionStatus delayed(std::uint64_t n, double seconds) {
  api::InjectionStatus s = status(n, n);
  s.addedLatency.add(seconds, n);
  return s;
}

TEST(Judge, LatencyIsHeldToHalfAMillisecondOrFivePercent) {
  EXPECT_EQ(judged(latency(2), delayed(1000, 0.0024)).verdict, InjectionVerdict::confirmed);
  EXPECT_EQ(judged(latency(2), delayed(1000, 0.0027)).verdict, InjectionVerdict::partial);
  EXPECT_EQ(judged(latency(200), delayed(1000, 0.208)).verdict, InjectionVerdict::confirmed);
  const api::InjectionReport late = judged(latency(200), delayed(1000, 0.22));
  EXPECT_EQ(late.verdict, InjectionVerdict::partial);
  EXPECT_NE(late.reason.find("asked 200.0 ms"), std::string::npos) << late.reason;
}

TEST(Judge, FewPacketsWithMuchJitterMayMissByChance) {
  // Median of 9 packets of 20 ms +- 15 ms: 5 ms off is one deviation.
  EXPECT_EQ(judged(latency(20, 15), delayed(9, 0.025)).verdict, InjectionVerdict::confirmed);
  EXPECT_EQ(judged(latency(20, 15), delayed(9000, 0.025)).verdict, InjectionVerdict::partial);
}

TEST(Judge, ADelayThatLosesIsNeverConfirmed) {
  api::InjectionStatus s = delayed(1000, 0.050);
  s.lost = 3;
  EXPECT_EQ(judged(latency(50), s).verdict, InjectionVerdict::partial);
  s.lost = 0;
  s.errors = 1;
  EXPECT_EQ(judged(latency(50), s).verdict, InjectionVerdict::partial);
}

TEST(Judge, PacketsInTheLineWhenItEndsAreNotAMiss) {
  api::InjectionStatus s = delayed(3000, 1.0);  // 100 a second, 1 s: about 100 are waiting
  s.injected = 2900;
  EXPECT_EQ(judged(latency(1000), s).verdict, InjectionVerdict::confirmed);
  s.injected = 2000;
  EXPECT_EQ(judged(latency(1000), s).verdict, InjectionVerdict::partial);
}

api::InjectionReport judged_at(const api::FaultSpec& spec, const api::InjectionStatus& s,
                               const JudgedPlace& place) {
  api::InjectionReport row;
  judge({spec}, s, row, place);
  return row;
}

TEST(Judge, AFaultThatWasArmedForAPartOfItsPhaseIsPartialAndSaysWhy) {
  api::InjectionStatus s = status(48210, 4836);
  s.armedSeconds = 9.2;
  EXPECT_EQ(judged_at(loss(0.1), s, {.phase_seconds = 10}).verdict, InjectionVerdict::confirmed);
  s.armedSeconds = 4.3;
  s.reason = "the pod went away";
  const api::InjectionReport row = judged_at(loss(0.1), s, {.phase_seconds = 10});
  EXPECT_EQ(row.verdict, InjectionVerdict::partial);
  EXPECT_NE(row.reason.find("armed 4.30 s of 10.0 s: the pod went away"), std::string::npos)
      << row.reason;
  // A short phase: arming takes its time.
  s.armedSeconds = 0.7;
  EXPECT_EQ(judged_at(loss(0.1), s, {.phase_seconds = 1}).verdict, InjectionVerdict::confirmed);
  // An agent that does not tell it.
  s.armedSeconds.reset();
  EXPECT_EQ(judged_at(loss(0.1), s, {.phase_seconds = 10}).verdict, InjectionVerdict::confirmed);
}

TEST(Judge, WhatAKilledAgentHeldIsNotConfirmed) {
  api::InjectionStatus s = delayed(1000, 0.050);
  s.state = api::InjectionState::armed;
  s.held = 83;
  const api::InjectionReport row =
      judged_at(latency(50), s, {.phase_seconds = {}, .end_untold = true});
  EXPECT_EQ(row.verdict, InjectionVerdict::partial);
  EXPECT_NE(row.reason.find("up to 83 packets were in the line when the agent ended"),
            std::string::npos)
      << row.reason;
  s.held = 0;
  EXPECT_EQ(judged_at(latency(50), s, {.phase_seconds = {}, .end_untold = true}).verdict,
            InjectionVerdict::partial);
}

TEST(Judge, AParetoIsHeldToItsMean) {
  api::NetworkLatency f = latency(50, 20);
  f.distribution = api::Distribution::pareto;
  api::InjectionStatus s = status(1000, 1000);
  s.addedLatency.add(0.040, 800);  // the median is below the mean
  s.addedLatency.add(0.090, 200);
  EXPECT_EQ(judged(f, s).verdict, InjectionVerdict::confirmed);
}

TEST(Judge, LatencyThatWasNotMeasuredIsNotConfirmed) {
  EXPECT_EQ(judged(latency(50), status(10, 10)).verdict, InjectionVerdict::partial);
}

api::NetworkBandwidth ten_megabits() {
  api::NetworkBandwidth f;
  f.rate.bits_per_second = 10'000'000;
  return f;
}

// 9 000 of 10 000 packets waited, and while they did `megabits` passed for `seconds`.
api::InjectionStatus waited(double megabits, double seconds) {
  api::InjectionStatus s = status(10'000, 9'000);
  s.link = api::LinkUse{.dropped = 70,
                        .bytes = static_cast<std::uint64_t>(megabits * 1e6 / 8 * seconds),
                        .seconds = seconds};
  return s;
}

TEST(Judge, ABandwidthIsHeldToWhatPassedWhilePacketsWaited) {
  const api::InjectionReport row = judged(ten_megabits(), waited(9.96, 20));
  EXPECT_EQ(row.verdict, InjectionVerdict::confirmed) << row.reason;
  ASSERT_TRUE(row.link);
  EXPECT_NEAR(row.link->measured.value_or(0), 9.96e6, 1);
  EXPECT_EQ(row.link->asked, 10e6);
  EXPECT_EQ(row.link->dropped, 70U) << "a narrow link drops; that spoils nothing";
  EXPECT_FALSE(row.rateCi95);
  for (const double megabits : {9.4, 10.6}) {
    const api::InjectionReport wrong = judged(ten_megabits(), waited(megabits, 20));
    EXPECT_EQ(wrong.verdict, InjectionVerdict::partial);
    EXPECT_NE(wrong.reason.find("Mbit/s passed while packets waited, asked 10.00"),
              std::string::npos)
        << wrong.reason;
  }
}

TEST(Judge, ABandwidthThatNobodyReachedIsNotConfirmed) {
  api::InjectionStatus s = status(10'000, 0);
  s.link = api::LinkUse{};
  const api::InjectionReport row = judged(ten_megabits(), s);
  EXPECT_EQ(row.verdict, InjectionVerdict::partial);
  EXPECT_EQ(row.reason,
            "none of 10 000 packets had to wait: the pod's traffic stayed below the limit");
}

TEST(Judge, AShortWaitSaysNothingOfARate) {
  const api::InjectionReport row = judged(ten_megabits(), waited(20, 0.05));
  EXPECT_EQ(row.verdict, InjectionVerdict::confirmed) << row.reason;
  EXPECT_FALSE(row.link->measured);
}

TEST(Judge, ABandwidthThatLosesBesideItsQueueIsNotConfirmed) {
  api::InjectionStatus s = waited(10, 20);
  s.lost = 1;
  EXPECT_EQ(judged(ten_megabits(), s).verdict, InjectionVerdict::partial);
}

}  // namespace
}  // namespace faultline::report
