// SPDX-License-Identifier: Apache-2.0
// A report never says more than its weakest part: faults that ended early or acted on some targets
// only, what was not measured, and changes that chance could have made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "report/analysis.h"
#include "report/report.h"
#include "report/story.h"
#include "tests/unit/report/synthetic.h"

namespace faultline::report {
namespace {

using synthetic::at;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

api::InjectionStatus& injection(api::RunRecord& record) { return record.nodes[0].injections[0]; }

void expect_effect(api::RunRecord& record, const std::string& metric,
                   std::optional<double> quantile, const std::string& below,
                   const std::string& app = "checkout") {
  api::ExpectEffect expect{.metric = metric, .quantile = quantile, .below = below};
  expect.selector.labelSelectors = {{"app", app}};
  record.experiment.spec.expect.effects = {expect};
}

api::Gap gap(const std::string& pod, const std::string& metric, double from, double to) {
  return {"node-1", pod, metric, at(from), at(to), "several requests at once"};
}

const api::EffectReport& latency_of(const api::Report& report, const std::string& pod) {
  return *std::ranges::find_if(report.effects, [&](const api::EffectReport& e) {
    return e.pod == pod && e.metric == "request.latency" && e.labels.at("side") == "server";
  });
}

// ---- the run's verdict

TEST(WeakestPart, OneOfTwoTargetsWithoutTrafficMakesTheRunPartial) {
  api::RunRecord record = synthetic::slow_payments();
  record.pods.push_back({synthetic::pod("payments-1"), api::PodRole::target});
  api::InjectionStatus idle = injection(record);
  idle.pod = synthetic::pod("payments-1");
  idle.matched = idle.injected = 0;
  record.nodes[0].injections.push_back(idle);
  const api::Report report = build(record);
  EXPECT_EQ(report.verdict, api::RunVerdict::partial);
  EXPECT_EQ(exit_code(report), 2);
  EXPECT_THAT(verdict_reason(report), StartsWith("networkLatency on shop/payments-1 was without"));
  EXPECT_THAT(to_markdown(report), Not(HasSubstr("very fault was real")));
}

TEST(WeakestPart, AFaultBlockedOnOneTargetMakesTheRunPartial) {
  api::RunRecord record = synthetic::slow_payments();
  record.pods.push_back({synthetic::pod("payments-1"), api::PodRole::target});
  record.nodes[0].injections.push_back({.pod = synthetic::pod("payments-1"),
                                        .fault = "networkLatency",
                                        .state = api::InjectionState::blocked,
                                        .reason = "no interface"});
  const api::Report report = build(record);
  EXPECT_EQ(report.verdict, api::RunVerdict::partial);
  EXPECT_THAT(verdict_reason(report), HasSubstr("not armed (no interface)"));
}

TEST(WeakestPart, APartialRowIsNeverARunThatIsMet) {
  api::RunRecord record = synthetic::slow_payments();
  injection(record).lost = 5;
  const api::Report report = build(record);
  EXPECT_EQ(report.verdict, api::RunVerdict::partial);
  EXPECT_THAT(to_terminal(report, false), HasSubstr("verdict      partial"));
}

TEST(WeakestPart, ATargetThatWasDeletedEarlyIsNotMet) {
  api::RunRecord record = synthetic::slow_payments();
  record.nodes[0].events.push_back(
      {api::RunEventKind::pod_gone, at(13.7), "shop/payments-0", "gone", {}});
  injection(record).disarmedAt = at(13.7);
  injection(record).lastInjectedAt = at(13.69);
  const api::Report report = build(record);
  EXPECT_EQ(report.verdict, api::RunVerdict::partial);
  EXPECT_THAT(report.injections[0].reason, HasSubstr("3.5 s of 30 s"));
}

TEST(WeakestPart, ALeaseThatRanOutEarlyIsNotMet) {
  api::RunRecord record = synthetic::slow_payments();
  record.nodes[0].events.push_back({api::RunEventKind::lease_expired, at(17.6), "", "", {}});
  const api::Report report = build(record);
  EXPECT_EQ(report.verdict, api::RunVerdict::partial);
  EXPECT_THAT(report.injections[0].reason, HasSubstr("the agent's lease ran out"));
}

TEST(WeakestPart, ExpectationsHeldOnlyWhereThereAreSome) {
  api::RunRecord record = synthetic::slow_payments();
  EXPECT_THAT(verdict_reason(build(record)), HasSubstr("every expectation held"));
  record.experiment.spec.expect.effects.clear();
  EXPECT_EQ(verdict_reason(build(record)),
            "Every fault was real; nothing was expected of the effects.");
}

TEST(WeakestPart, WhoStopsARunDoesNotMakeItsFaultPartial) {
  api::RunRecord record = synthetic::slow_payments();
  record.state = api::RunState::Aborted;
  injection(record).disarmedAt = at(15);
  const api::Report report = build(record);
  EXPECT_EQ(report.verdict, api::RunVerdict::aborted);
  EXPECT_EQ(report.injections[0].verdict, api::InjectionVerdict::confirmed);
}

// ---- the fault phase of a pod

TEST(FaultSpan, WindowsAfterTheEndOfThePodsFaultDoNotCount) {
  api::RunRecord record = synthetic::slow_payments();
  injection(record).disarmedAt = at(20);
  for (api::EffectWindow& w : record.nodes[0].windows)
    if (w.phase == api::RunPhase::fault && w.from >= at(20))
      for (api::EffectSample& s : w.samples)
        if (s.histogram) s.histogram->add(0.0001, 100'000);
  EXPECT_GT(*latency_of(build(record), "shop/payments-0").fault->p50, 0.045);
  EXPECT_GT(*latency_of(build(record), "shop/checkout-0").fault->p50, 0.045);
}

// Three callers that wait for their answers send a thousand times as many requests as soon as the
// fault is gone: 65 ms of that outnumber the whole phase.
TEST(FaultSpan, WhatFollowsAtFullSpeedDoesNotOutnumberThePhase) {
  api::RunRecord record = synthetic::slow_payments();
  for (double end : {10.21, 40.21}) {
    api::EffectWindow w{synthetic::pod("payments-0"),
                        api::PodRole::target,
                        api::RunPhase::fault,
                        at(end - 0.03),
                        at(end + 0.1),
                        {}};
    api::Histogram fast;
    fast.add(0.00002, 1'000'000);
    w.samples.push_back(
        synthetic::histogram("request.latency", {{"port", "8080"}, {"side", "server"}}, fast));
    record.nodes[0].windows.push_back(w);
  }
  injection(record).armedAt = at(10.209);
  injection(record).disarmedAt = at(40.22);
  EXPECT_GT(*latency_of(build(record), "shop/payments-0").fault->p50, 0.045);
}

// ---- what was not measured

TEST(NotMeasured, WhatIsMissingCountsAsTheWorst) {
  api::RunRecord record = synthetic::slow_payments();
  api::Gap some = gap("shop/checkout-0", "request.latency", 12, 13);
  some.missed = 300;
  some.of = 4800;
  record.nodes[0].gaps.push_back(some);
  expect_effect(record, "request.latency", 0.5, "1s");
  EXPECT_TRUE(build(record).expectations[0].met) << "half of the requests are well known";
  expect_effect(record, "request.latency", 0.99, "1s");
  const api::ExpectationReport p99 = build(record).expectations[0];
  EXPECT_FALSE(p99.met) << "one in sixteen may have been slower";
  EXPECT_THAT(p99.measured, StartsWith("300 of 4 800 not measured on shop/checkout-0: several"));
  EXPECT_EQ(build(record).verdict, api::RunVerdict::missed);
}

TEST(NotMeasured, HowMuchIsMissingIsTold) {
  api::RunRecord record = synthetic::slow_payments();
  for (const double from : {12.0, 13.0}) {
    api::Gap some = gap("shop/checkout-0", "request.latency", from, from + 1);
    some.missed = 150;
    some.of = 2000;
    record.nodes[0].gaps.push_back(some);
  }
  const api::Report report = build(record);
  EXPECT_THAT(to_terminal(report, false), HasSubstr("several requests at once (300 of 4 000)"));
  EXPECT_THAT(to_markdown(report), HasSubstr("several requests at once (150 of 2 000)"));
}

TEST(NotMeasured, AShareCountsWhatIsMissingAsFailed) {
  api::RunRecord record = synthetic::slow_payments();
  api::Gap some = gap("shop/checkout-0", "request.errors", 12, 13);
  some.missed = 30;
  some.of = 4800;
  record.nodes[0].gaps.push_back(some);
  expect_effect(record, "request.errors", {}, "1%");
  EXPECT_TRUE(build(record).expectations[0].met);
  record.nodes[0].gaps.back().missed = 100;
  EXPECT_FALSE(build(record).expectations[0].met);
}

TEST(NotMeasured, AGapWithoutNumbersIsNeverAPass) {
  api::RunRecord record = synthetic::slow_payments();
  record.nodes[0].gaps.push_back(gap("shop/checkout-0", "request.latency", 12, 13));
  const api::ExpectationReport expected = build(record).expectations[0];
  EXPECT_FALSE(expected.met);
  EXPECT_THAT(expected.measured,
              StartsWith("not measured on shop/checkout-0: several requests at once"));
}

TEST(NotMeasured, AGapElsewhereChangesNothing) {
  for (const api::Gap& harmless : {gap("shop/checkout-0", "cpu.usage", 12, 13),
                                   gap("shop/checkout-0", "request.latency", 2, 3),
                                   gap("shop/catalog-0", "request.latency", 12, 13),
                                   // Said of the whole pod, and all its windows are there.
                                   gap("shop/checkout-0", "", 12, 13)}) {
    api::RunRecord record = synthetic::slow_payments();
    record.nodes[0].gaps.push_back(harmless);
    EXPECT_TRUE(build(record).expectations[0].met) << harmless.pod << harmless.metric;
  }
}

TEST(NotMeasured, ANodeThatWasCutOffMakesNoExpectationMet) {
  api::RunRecord record = synthetic::slow_payments();
  std::erase_if(record.nodes[0].windows, [](const api::EffectWindow& w) {
    return w.pod.name == "checkout-0" && w.from > at(17);
  });
  const api::Report report = build(record);
  EXPECT_FALSE(report.expectations[0].met);
  EXPECT_THAT(report.expectations[0].measured, StartsWith("not measured on shop/checkout-0"));
}

TEST(NotMeasured, NothingToRecoverFromIsNotSaidWhereItIsNotKnown) {
  api::RunRecord record = synthetic::slow_payments();
  std::map<std::string, std::vector<api::EffectSample>> first;
  for (api::EffectWindow& w : record.nodes[0].windows)
    w.samples = first.try_emplace(w.pod.id(), w.samples).first->second;
  EXPECT_THAT(build(record).recovery.text, HasSubstr("nothing to recover from"));
  record.nodes[0].gaps.push_back(gap("shop/checkout-0", "request.latency", 12, 13));
  EXPECT_THAT(build(record).recovery.text, StartsWith("not known"));
}

// ---- what may be called a change

TEST(Changes, TheSlowEndOfAControlPodIsSeen) {
  api::RunRecord record = synthetic::slow_payments();
  synthetic::Dice dice(7);
  for (api::EffectWindow& w : record.nodes[0].windows)
    if (w.pod.name == "catalog-0" && w.phase == api::RunPhase::fault)
      for (api::EffectSample& s : w.samples)
        if (s.histogram)
          for (int i = 0; i < 4; ++i) s.histogram->add(dice.lognormal(0.1, 0.1));
  const api::Report report = build(record);
  const api::EffectReport& catalog = latency_of(report, "shop/catalog-0");
  EXPECT_NE(catalog.significant, true) << "its median is as it was";
  EXPECT_EQ(catalog.significantTail, true);
  const std::string text = to_terminal(report, false);
  EXPECT_THAT(text, HasSubstr("control      changed     Control pod shop/catalog-0 changed "
                              "(request.latency p"));
  EXPECT_THAT(to_markdown(report), Not(HasSubstr("did not change")));
}

TEST(Changes, AStillControlPodIsCalledSo) {
  EXPECT_THAT(summary(build(synthetic::slow_payments())),
              HasSubstr("Requests of 1 control pod did not change beyond chance"));
}

TEST(Changes, AControlPodThatTalksWithATargetIsNone) {
  api::RunRecord record = synthetic::slow_payments();
  const api::Report before = build(record);
  EXPECT_TRUE(latency_of(before, "shop/payments-0").changeAgainstControls);
  api::RunEvent event;
  event.kind = api::RunEventKind::connected;
  event.at = record.nodes[0].windows[0].to;
  event.pod = "shop/catalog-0";
  event.text = "shop/payments-0";
  record.nodes[0].events.push_back(event);
  const api::Report report = build(record);
  EXPECT_EQ(latency_of(report, "shop/catalog-0").role, api::PodRole::connected);
  EXPECT_FALSE(latency_of(report, "shop/payments-0").changeAgainstControls);
  EXPECT_THAT(summary(report), Not(HasSubstr("control pod")));
  EXPECT_THAT(to_markdown(report), HasSubstr("control pod is connected with shop/payments-0"));
}

TEST(Changes, TheHeadlineIsWhatCallersFeel) {
  api::RunRecord record = synthetic::slow_payments();
  for (api::EffectWindow& w : record.nodes[0].windows)
    if (w.phase == api::RunPhase::fault)
      for (api::EffectSample& s : w.samples)
        if (s.metric == "cpu.usage" || s.metric == "net.packets") s.value *= 1e6;
  EXPECT_THAT(summary(build(record)), HasSubstr("The clearest effect: request.latency"));
  const api::Report report = build(record);
  EXPECT_EQ(ranked_effects(report).front()->metric, "request.latency");
}

TEST(Changes, PhasesThatAreTooShortCallNothingAChange) {
  api::RunRecord record = synthetic::slow_payments();
  std::erase_if(record.nodes[0].windows, [](const api::EffectWindow& w) { return w.from < at(5); });
  const api::Report report = build(record);
  for (const api::EffectReport& e : report.effects) {
    EXPECT_FALSE(e.significant) << e.pod << e.metric;
    EXPECT_FALSE(e.significantTail);
  }
  EXPECT_THAT(summary(report), HasSubstr("too short to tell a change from chance"));
  EXPECT_THAT(summary(report), Not(HasSubstr("did not change")));
  api::Phases phases{.baseline = {std::chrono::seconds(5)}};
  EXPECT_THAT(too_short_words(phases), StartsWith("5 s before: too short"));
  phases.baseline = {std::chrono::seconds(8)};
  EXPECT_EQ(too_short_words(phases), "");
}

TEST(Changes, WhatControlsChangedTooIsTakenOff) {
  api::RunRecord record = synthetic::slow_payments();
  for (api::EffectWindow& w : record.nodes[0].windows)
    if (w.pod.name == "catalog-0" && w.phase == api::RunPhase::fault)
      for (api::EffectSample& s : w.samples)
        if (s.histogram) {
          api::Histogram slower;
          for (const auto& [bucket, n] : s.histogram->buckets)
            slower.add(api::Histogram::bucket_mid(bucket) + 0.02, n);
          s.histogram = slower;
        }
  const api::Report report = build(record);
  const api::EffectReport& checkout = latency_of(report, "shop/checkout-0");
  ASSERT_TRUE(checkout.changeAgainstControls && checkout.ci95AgainstControls);
  EXPECT_NEAR(*checkout.changeAgainstControls, *checkout.change - 0.02, 0.001);
  EXPECT_LT(checkout.ci95AgainstControls->low, *checkout.changeAgainstControls);
  EXPECT_FALSE(latency_of(report, "shop/catalog-0").changeAgainstControls);
}

// Of runs in which nothing happens few may say that something changed.
TEST(Changes, ARunWithoutAnEffectSeldomCallsAnythingAChange) {
  int runs_with_a_change = 0;
  constexpr int kRuns = 40;
  for (int seed = 1; seed <= kRuns; ++seed) {
    api::RunRecord record = synthetic::empty_record("still", "");
    const auto phases = synthetic::usual_phases();
    synthetic::add_history(record, phases);
    api::NodeRecord node = synthetic::node();
    synthetic::Dice dice(static_cast<std::uint64_t>(seed));
    for (const char* name : {"a-0", "b-0", "c-0"}) {
      record.pods.push_back({synthetic::pod(name), api::PodRole::observed});
      synthetic::add_windows(node, synthetic::pod(name), api::PodRole::observed, phases,
                             [&](api::EffectWindow& w, double from, double to) {
                               synthetic::add_service(dice, w, to - from,
                                                      {.median = 0.003, .rps = 80, .errors = 0.01},
                                                      "server", "80");
                             });
    }
    record.nodes.push_back(std::move(node));
    const api::Report report = build(record);
    runs_with_a_change += std::ranges::any_of(report.effects, [](const api::EffectReport& e) {
      return e.significant == true || e.significantTail == true;
    });
  }
  EXPECT_LE(runs_with_a_change, kRuns / 8);
}

TEST(Recovery, IsToldAsWellAsWindowsOfOneSecondCanTell) {
  const api::Report report = build(synthetic::slow_payments());
  EXPECT_EQ(recovery_words(report), "under 1 s");
  EXPECT_THAT(to_terminal(report, false), HasSubstr("recovery     under 1 s   from"));
}

}  // namespace
}  // namespace faultline::report
