// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "report/analysis.h"
#include "report/report.h"
#include "tests/unit/report/synthetic.h"

namespace faultline::report {
namespace {

using api::InjectionVerdict;
using synthetic::at;

const api::EffectReport* find(const api::Report& report, const std::string& pod,
                              const std::string& metric, const std::string& side = "") {
  for (const api::EffectReport& e : report.effects) {
    const auto found = e.labels.find("side");
    if (e.pod == pod && e.metric == metric &&
        (side.empty() || (found != e.labels.end() && found->second == side)))
      return &e;
  }
  return nullptr;
}

const api::TimelineEntry* entry(const api::Report& report, const std::string& key) {
  const auto found = std::ranges::find(report.timeline, key, &api::TimelineEntry::key);
  return found == report.timeline.end() ? nullptr : &*found;
}

TEST(Build, AHealthyRunIsConfirmedAndMet) {
  const api::Report report = build(synthetic::slow_payments());
  ASSERT_EQ(report.injections.size(), 1u);
  EXPECT_EQ(report.injections[0].verdict, InjectionVerdict::confirmed)
      << report.injections[0].reason;
  EXPECT_EQ(report.verdict, api::RunVerdict::met);
  EXPECT_EQ(exit_code(report), 0);
  ASSERT_EQ(report.expectations.size(), 1u);
  EXPECT_EQ(report.expectations[0].text, "request.latency p99 of app=checkout below 1 s");
  EXPECT_TRUE(report.expectations[0].met);
  ASSERT_TRUE(report.residue);
  EXPECT_TRUE(report.residue->empty());
}

TEST(Build, WhatWasAskedNamesTheContainers) {
  auto record = synthetic::slow_payments();
  const std::string whole = build(record).injections.at(0).asked;
  record.experiment.spec.target.containerNames = {"app", "log"};
  EXPECT_EQ(build(record).injections.at(0).asked, whole + ", only in containers app, log");
}

TEST(Build, ChangeIsOfTheMedianWithAnIntervalAroundIt) {
  const api::Report report = build(synthetic::slow_payments());
  const api::EffectReport* e = find(report, "shop/checkout-0", "request.latency", "server");
  ASSERT_TRUE(e && e->change && e->ci95 && e->baseline && e->recovery);
  EXPECT_NEAR(*e->change, 0.0502, 0.001);
  EXPECT_LE(e->ci95->low, *e->change);
  EXPECT_GE(e->ci95->high, *e->change);
  EXPECT_LT(e->ci95->high - e->ci95->low, 0.004);
  EXPECT_NEAR(*e->recovery->p50, *e->baseline->p50, 0.0002);
  EXPECT_GT(*e->fault->p99, *e->fault->p50);
}

TEST(Build, TheControlPodDidNotMove) {
  const api::Report report = build(synthetic::slow_payments());
  const api::EffectReport* e = find(report, "shop/catalog-0", "request.latency");
  ASSERT_TRUE(e && e->ci95);
  EXPECT_LE(e->ci95->low, 0);
  EXPECT_GE(e->ci95->high, 0);
}

TEST(Build, RatesAreOverTheTimeThatWasMeasured) {
  api::RunRecord record = synthetic::slow_payments();
  const double whole = *find(build(record), "shop/payments-0", "request.rate")->fault->rate;
  auto& windows = record.nodes[0].windows;
  // Twenty seconds of the fault were not measured: the rate stays, the gap is told.
  std::erase_if(windows, [](const api::EffectWindow& w) {
    return w.pod.name == "payments-0" && w.from >= at(12) && w.to <= at(32.5);
  });
  const api::Report report = build(record);
  EXPECT_NEAR(*find(report, "shop/payments-0", "request.rate")->fault->rate, whole, whole * 0.05);
  const auto gap = std::ranges::find_if(report.gaps, [](const api::Gap& g) {
    return g.pod == "shop/payments-0" && g.reason == "no window covers this time";
  });
  ASSERT_NE(gap, report.gaps.end());
  EXPECT_GT(gap->to.value - gap->from.value, std::chrono::seconds(19));
}

TEST(Build, ACounterMissingFromAWindowCountedNothingThere) {
  const api::Report report = build(synthetic::refused_connects());
  const api::EffectReport* e = find(report, "shop/checkout-0", "connect.failures");
  ASSERT_TRUE(e && e->baseline && e->fault && e->ci95);
  EXPECT_EQ(*e->baseline->rate, 0);  // the sample exists only in windows with a failure
  EXPECT_NEAR(*e->fault->rate, 20, 2);
  EXPECT_GT(e->ci95->low, 15);
}

TEST(Build, ACounterInsideAGapIsNotZeroButUnknown) {
  api::RunRecord record = synthetic::refused_connects();
  record.nodes[0].gaps.push_back({"node-1", "shop/checkout-0", "connect.failures", at(0), at(10.2),
                                  "the ring buffer was full"});
  const api::Report report = build(record);
  const api::EffectReport* e = find(report, "shop/checkout-0", "connect.failures");
  ASSERT_TRUE(e);
  EXPECT_FALSE(e->baseline);
  EXPECT_FALSE(e->change);
}

TEST(Build, WindowsBeforeTheFaultWasArmedAreNotInjected) {
  api::RunRecord record = synthetic::slow_payments();
  // Arming took until 13.3 s; the agent was told at 10.21 s and measured healthy windows meanwhile.
  record.nodes[0].injections[0].armedAt = at(13.3);
  for (api::EffectWindow& w : record.nodes[0].windows)
    if (w.phase == api::RunPhase::fault && w.to <= at(13.3))
      for (api::EffectSample& s : w.samples)
        if (s.histogram && w.pod.name == "payments-0") {
          s.histogram = api::Histogram{};
          s.histogram->add(0.0001, 1);
        }
  const api::Report report = build(record);
  const api::EffectReport* e = find(report, "shop/payments-0", "request.latency");
  std::uint64_t injected_windows = 0;
  for (const Series& series : all_series(record))
    if (series.key.pod == "shop/payments-0" && series.key.metric == "request.latency")
      for (const Point& point : series.in(api::RunPhase::fault)) {
        ++injected_windows;
        EXPECT_GT(point.to, at(13.3).value);
      }
  EXPECT_EQ(injected_windows, 26u);  // 30, less three that ended before and one across the edge
  EXPECT_GT(*e->fault->p50, 0.045);
}

TEST(Timeline, KnownTimesAreInOrderAndUnknownOnesLeftOut) {
  const api::Report report = build(synthetic::slow_payments());
  double last = -1;
  for (const char* key : {"t0", "t1", "t2", "t3", "t9", "t10"}) {
    const api::TimelineEntry* e = entry(report, key);
    ASSERT_NE(e, nullptr) << key;
    ASSERT_TRUE(e->monotonic);
    EXPECT_GE(*e->monotonic, last) << key;
    last = *e->monotonic;
  }
  EXPECT_EQ(*entry(report, "t0")->monotonic, 0);
  for (const char* key : {"t4", "t5", "t6", "t7", "t8", "t11"})
    EXPECT_EQ(entry(report, key), nullptr);
}

TEST(Timeline, NoEffectHasNoT3) {
  api::RunRecord record = synthetic::slow_payments();
  // Nothing but the first window of each pod, again and again.
  std::map<std::string, std::vector<api::EffectSample>> first;
  for (api::EffectWindow& w : record.nodes[0].windows)
    w.samples = first.try_emplace(w.pod.id(), w.samples).first->second;
  const api::Report report = build(record);
  EXPECT_EQ(entry(report, "t3"), nullptr);
  EXPECT_EQ(entry(report, "t10"), nullptr);
  EXPECT_FALSE(report.recovery.seconds);
}

// Puts the windows of the fault phase into the first `n` of the recovery.
void slow_recovery(api::RunRecord& record, int n) {
  for (const char* name : {"payments-0", "checkout-0"}) {
    const api::EffectWindow* slow = nullptr;
    int done = 0;
    for (api::EffectWindow& w : record.nodes[0].windows) {
      if (w.pod.name != name) continue;
      if (w.phase == api::RunPhase::fault) slow = &w;
      if (w.phase == api::RunPhase::recovery && done++ < n) w.samples = slow->samples;
    }
  }
}

TEST(Recovery, CountsUntilTheLastEffectIsBackForGood) {
  api::RunRecord record = synthetic::slow_payments();
  slow_recovery(record, 3);
  const api::Report report = build(record);
  ASSERT_TRUE(report.recovery.seconds);
  EXPECT_NEAR(*report.recovery.seconds, 3.0, 0.05);
  EXPECT_EQ(report.recovery.recoveredAt, entry(report, "t10")->at);
}

TEST(Recovery, IsUnknownWhenItWasNotSeen) {
  api::RunRecord record = synthetic::slow_payments();
  slow_recovery(record, 100);
  const api::Report report = build(record);
  EXPECT_FALSE(report.recovery.seconds);
  EXPECT_NE(report.recovery.text.find("was not back"), std::string::npos) << report.recovery.text;
}

TEST(Recovery, OneStrayWindowIsNotARelapse) {
  api::RunRecord record = synthetic::slow_payments();
  const api::EffectWindow* slow = nullptr;
  for (api::EffectWindow& w : record.nodes[0].windows) {
    if (w.pod.name != "checkout-0") continue;
    if (w.phase == api::RunPhase::fault) slow = &w;
    if (w.phase == api::RunPhase::recovery && w.from > at(44) && w.to < at(45.5))
      w.samples = slow->samples;
  }
  EXPECT_LT(build(record).recovery.seconds.value_or(99), 0.1);
}

TEST(Residue, IsTakenFromEveryNode) {
  api::RunRecord record = synthetic::slow_payments();
  record.nodes[0].events.back().residue = {"TAP device fl-1a"};
  EXPECT_EQ(build(record).residue.value(), std::vector<std::string>{"node-1: TAP device fl-1a"});
}

TEST(Residue, IsNullAndAGapWhenANodeNeverClosed) {
  api::RunRecord record = synthetic::slow_payments();
  record.nodes[0].closed = false;
  const api::Report report = build(record);
  EXPECT_FALSE(report.residue);
  EXPECT_TRUE(std::ranges::any_of(report.gaps, [](const api::Gap& g) {
    return g.reason.find("never reported the end") != std::string::npos;
  }));
}

TEST(Gaps, OfNodesControllerAndWindowsAreJoined) {
  api::RunRecord record = synthetic::slow_payments();
  record.gaps.push_back({"", "", "", at(20), at(21), "the controller was restarted"});
  record.pods.push_back({synthetic::pod("payments-1", "node-2"), api::PodRole::target});
  const api::Report report = build(record);
  const auto told = [&](std::string_view words) {
    return std::ranges::any_of(
        report.gaps, [&](const api::Gap& g) { return g.reason.find(words) != std::string::npos; });
  };
  EXPECT_TRUE(told("cpu.stat could not be read"));
  EXPECT_TRUE(told("the controller was restarted"));
  EXPECT_TRUE(told("nothing was measured on this pod"));
  EXPECT_TRUE(told("the node sent nothing"));
  EXPECT_FALSE(report.residue);  // node-2 was never heard of
}

TEST(Gaps, AWellMeasuredRunHasNone) {
  api::RunRecord record = synthetic::refused_connects();
  EXPECT_TRUE(build(record).gaps.empty());
}

TEST(Verdict, FollowsState) {
  api::RunRecord record = synthetic::slow_payments();
  record.state = api::RunState::Aborted;
  EXPECT_EQ(exit_code(build(record)), 4);
  record.state = api::RunState::Failed;
  EXPECT_EQ(exit_code(build(record)), 5);
}

TEST(Verdict, AMissedExpectationIsExitOne) {
  const api::Report report = build(synthetic::refused_connects());
  EXPECT_EQ(report.verdict, api::RunVerdict::missed);
  EXPECT_EQ(exit_code(report), 1);
}

TEST(Verdict, NoTrafficIsNotRealWhateverWasExpected) {
  api::RunRecord record = synthetic::slow_payments();
  record.nodes[0].injections[0].matched = record.nodes[0].injections[0].injected = 0;
  const api::Report report = build(record);
  EXPECT_EQ(report.injections[0].verdict, InjectionVerdict::no_traffic);
  EXPECT_EQ(exit_code(report), 2);
}

TEST(Verdict, AFaultThatWasNeverReportedIsBlocked) {
  api::RunRecord record = synthetic::slow_payments();
  record.nodes[0].injections.clear();
  const api::Report report = build(record);
  ASSERT_EQ(report.injections.size(), 1u);
  EXPECT_EQ(report.injections[0].verdict, InjectionVerdict::blocked);
  EXPECT_FALSE(report.injections[0].reason.empty());
  EXPECT_EQ(exit_code(report), 2);
}

TEST(Verdict, ARunThatEndedBecauseEveryFaultWasBlockedIsNotReal) {
  api::RunRecord record = synthetic::slow_payments();
  record.state = api::RunState::Failed;
  EXPECT_EQ(build(record).verdict, api::RunVerdict::failed);
  record.nodes[0].injections[0].state = api::InjectionState::blocked;
  EXPECT_EQ(build(record).verdict, api::RunVerdict::not_real);
  record.nodes[0].injections.clear();  // nobody said so: the run broke before
  EXPECT_EQ(build(record).verdict, api::RunVerdict::failed);
}

TEST(Verdict, OnePodWithoutTrafficMakesTheRunPartial) {
  api::RunRecord record = synthetic::slow_payments();
  record.pods.push_back({synthetic::pod("payments-1"), api::PodRole::target});
  api::InjectionStatus idle = record.nodes[0].injections[0];
  idle.pod = synthetic::pod("payments-1");
  idle.matched = idle.injected = 0;
  record.nodes[0].injections.push_back(idle);
  EXPECT_EQ(build(record).verdict, api::RunVerdict::partial);
}

TEST(Verdict, ARunWithoutFaultsIsMetWhenMeasured) {
  api::RunRecord record = synthetic::slow_payments();
  record.experiment.spec.faults.clear();
  record.nodes[0].injections.clear();
  EXPECT_EQ(build(record).verdict, api::RunVerdict::met);
  record.experiment.spec.expect.effects.clear();
  record.nodes[0].windows.clear();
  EXPECT_EQ(build(record).verdict, api::RunVerdict::failed);
}

TEST(Verdict, AnExpectedAlertNobodyWatchedIsNotMet) {
  api::RunRecord record = synthetic::slow_payments();
  record.experiment.spec.expect.alerts = {{"CheckoutSlow", {std::chrono::seconds(60)}}};
  EXPECT_EQ(build(record).verdict, api::RunVerdict::missed);
}

TEST(Build, NothingAtAllIsStillAReport) {
  const api::Report report = build(api::RunRecord{});
  EXPECT_EQ(report.verdict, api::RunVerdict::failed);
  EXPECT_FALSE(to_markdown(report).empty());
  EXPECT_FALSE(to_terminal(report, true).empty());
  EXPECT_FALSE(to_html(report, {}).empty());
}

TEST(Build, IsTheSameEveryTime) {
  const api::RunRecord record = synthetic::slow_payments();
  EXPECT_EQ(to_markdown(build(record)), to_markdown(build(record)));
}

}  // namespace
}  // namespace faultline::report
