// SPDX-License-Identifier: Apache-2.0
// Each verdict from a record that deserves it. The records are made up; that real programs give
// such ones is shown by tests/unit/observe and tests/e2e.
#include "report/detections.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "api/gap_words.h"
#include "report/alert_episodes.h"
#include "report/floor.h"
#include "report/promql.h"
#include "report/report.h"
#include "tests/unit/report/synthetic.h"

namespace faultline::report {
namespace {

using api::AlertState;
using api::DetectionVerdict;
using synthetic::at;
using testing::HasSubstr;

// Scrapes and evaluations each second, `for` 3 s, first injected event at 10 s, last at 40 s.
struct Made {
  api::MonitoringRecord record;
  api::Expect expect;
  DetectionTimes times{at(10), at(40), at(60)};
  RunPods pods;  // empty: not known

  Made() {
    record.sources.push_back({.name = "main", .kind = "prometheus"});
    api::AlertRule rule{.source = "main", .group = "shop", .alert = "Slow", .expr = "slow > 0"};
    rule.forSeconds = 3;
    rule.evaluationInterval = 1;
    rule.scrapeInterval = 1;
    rule.labels = {{"severity", "page"}};
    rule.lastEvaluation = at(0.2);
    rule.routes.push_back({.receiver = "pager", .integrations = {"webhook"}, .observed = true});
    rule.routes.back().groupWait = 2;
    rule.routes.back().groupInterval = 10;
    record.rules.push_back(rule);
    record.ruleNames = {"Slow", "Errors"};
    for (int i = 0; i < 60; ++i) scrape(i + 0.7, true);
    api::ExpectAlert alert;
    alert.name = "Slow";
    alert.within.value = std::chrono::seconds(20);
    expect.alerts.push_back(alert);
  }
  void scrape(double t, bool up) {
    record.scrapes.push_back({"main", "payments", "10.0.0.5:80", "shop/payments-0", at(t), up});
  }
  static AlertLabels labels(const std::string& pod = "payments-0") {
    return {{"pod", pod}, {"severity", "page"}};
  }
  void change(double t, AlertState state, const std::string& pod = "payments-0") {
    record.changes.push_back({"main", "Slow", labels(pod), state, at(t)});
  }
  void evaluate(double from, double to, const std::function<bool(double)>& holds) {
    for (double t = from; t <= to; t += 1)
      record.evaluations.push_back({"main", "shop", "Slow", 0, at(t), true, holds(t) ? 1U : 0U});
  }
  void notify(double t, bool resolved = false, const std::string& pod = "payments-0") {
    record.notifications.push_back({"pager", "Slow", labels(pod), resolved, at(t), at(14.2)});
  }
  // Pending at 11.2, firing at 14.2, told at 16.3, over at 42.2.
  void fires() {
    change(11.2, AlertState::pending);
    change(14.2, AlertState::firing);
    change(42.2, AlertState::inactive);
    evaluate(9.2, 59.2, [](double t) { return t > 11 && t < 42; });
    notify(16.3);
    notify(52.3, true);
  }
  [[nodiscard]] std::vector<api::DetectionReport> all() const {
    return detections_of(record, expect, times, pods);
  }
  [[nodiscard]] api::DetectionReport first() const { return all().front(); }
};

TEST(Detections, EachStepHasItsLengthItsFloorAndItsSetting) {
  Made made;
  made.fires();
  const auto found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::detected) << found.reason;
  EXPECT_EQ(found.reason, "");
  EXPECT_EQ(found.group, "shop");
  EXPECT_EQ(found.firstScrapeAt, at(10.7));
  EXPECT_EQ(found.trueAt, at(11.2));
  EXPECT_EQ(found.firingAt, at(14.2));
  EXPECT_EQ(found.notifiedAt, at(16.3));
  EXPECT_EQ(found.resolvedNotifiedAt, at(52.3));
  EXPECT_EQ(found.receivers, std::vector<std::string>{"pager"});
  EXPECT_NEAR(*found.seconds, 4.2, 1e-6);
  ASSERT_EQ(found.steps.size(), 4U);
  double sum = 0;
  for (const auto& step : found.steps) {
    ASSERT_TRUE(step.seconds.has_value()) << step.name;
    ASSERT_TRUE(step.floor.has_value()) << step.name;
    EXPECT_LE(*step.floor, *step.seconds + 1e-9) << step.name;
    sum += *step.seconds;
  }
  EXPECT_NEAR(sum, 6.3, 1e-6);  // from the first injected event to the notification
  EXPECT_EQ(found.steps[0].cause, "scrape_interval 1s");
  EXPECT_EQ(found.steps[1].cause, "evaluation interval 1s");
  EXPECT_EQ(found.steps[2].cause, "for 3s, evaluation interval 1s");
  EXPECT_NEAR(*found.steps[2].floor, 3, 1e-6);
  EXPECT_EQ(found.steps[3].cause, "group_wait 2s");
  EXPECT_NEAR(*found.floor, 3.5, 1e-6);  // true 0.5 s after the scrape that showed it, and `for`
}

TEST(Detections, WhatLooksBetweenTheEvaluationsLowersTheFloor) {
  Made made;
  made.fires();
  made.record.evaluations.push_back({"main", "shop", "Slow", 0, at(10), false, 0U});
  made.record.evaluations.push_back({"main", "shop", "Slow", 0, at(10.8), false, 1U});
  EXPECT_NEAR(*made.first().floor, 3.1, 1e-6);
}

TEST(Detections, AfterTheTimeAskedIsLate) {
  Made made;
  made.fires();
  made.expect.alerts[0].within.value = std::chrono::seconds(4);
  const auto found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::late);
  EXPECT_THAT(found.reason, HasSubstr("fired after 4.20 s, expected within 4 s"));
  EXPECT_THAT(found.reason, HasSubstr("for 3s"));
  EXPECT_FALSE(noticed(found.verdict));
}

TEST(Detections, NeverTrueIsMissedAndSaysSo) {
  Made made;
  made.evaluate(9.2, 59.2, [](double) { return false; });
  const auto found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::missed);
  EXPECT_EQ(found.reason, "its expression was true at none of 50 evaluations");
  EXPECT_FALSE(found.firingAt.set());
}

TEST(Detections, TooShortForItsForIsMissed) {
  Made made;
  made.change(11.2, AlertState::pending);
  made.change(13.2, AlertState::inactive);
  made.evaluate(9.2, 59.2, [](double t) { return t > 11 && t < 13; });
  const auto found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::missed);
  EXPECT_THAT(found.reason, HasSubstr("its expression was true for 1"));
  EXPECT_THAT(found.reason, HasSubstr("it needs 3"));
  EXPECT_EQ(found.pendingAt, at(11.2));
}

TEST(Detections, ScrapesThatTheFaultBrokeAreTheReason) {
  Made made;
  for (auto& scrape : made.record.scrapes)
    if (at(12) < scrape.at && scrape.at < at(38)) scrape.up = false;
  made.change(11.2, AlertState::pending);
  made.change(12.2, AlertState::inactive);
  made.change(38.2, AlertState::pending);
  made.change(40.2, AlertState::inactive);
  made.evaluate(9.2, 59.2, [](double t) { return (t > 11 && t < 12) || (t > 38 && t < 40); });
  const auto found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::missed);
  EXPECT_THAT(found.reason, HasSubstr("`for` began anew 2 times: the fault itself broke 26 of 30 "
                                      "scrapes of payments"));
}

TEST(Detections, ANotificationThatShouldHaveComeAndDidNot) {
  Made made;
  made.fires();
  made.record.notifications.clear();
  auto found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::not_notified);
  EXPECT_EQ(found.reason, "no notification of pager arrived");

  made.record.rules[0].routes[0].integrations.clear();
  made.record.rules[0].routes[0].receiver = "Default";
  EXPECT_EQ(made.first().verdict, DetectionVerdict::not_notified);
  EXPECT_EQ(made.first().reason, "routed to nobody: receiver Default has no integration");
}

TEST(Detections, WhatWasLeftOutOfNotificationsMayHaveBeenIt) {
  Made made;
  made.fires();
  made.record.notifications.clear();
  const std::string words = "Alertmanager left off 12 alerts of this notification: max_alerts";
  made.record.gaps.push_back({api::gap_of_receiver("tickets"), at(16), at(16), words});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::not_notified) << "of another receiver";
  made.record.gaps.push_back({api::gap_of_receiver("pager"), at(13), at(13), words});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::not_notified) << "before it fired";
  made.record.gaps.push_back({api::gap_of_receiver("pager"), at(16), at(16), words});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown);
  EXPECT_THAT(made.first().reason, HasSubstr(words + ": whether this alert was among them"));
}

TEST(Detections, ARuleThatWasChangedMeanwhileExplainsNothing) {
  Made made;
  made.fires();
  made.record.rules[0].changed = "for is 30s, was 3s";
  const auto found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::detected);
  EXPECT_EQ(found.reason, "the rule was changed during the run: for is 30s, was 3s");
  EXPECT_FALSE(found.floor.has_value());
  for (const auto& step : found.steps) {
    if (step.name != "for") continue;
    EXPECT_EQ(step.cause, "");
  }

  Made silent;
  silent.record.rules[0].changed = "it was removed";
  silent.record.evaluations.push_back({"main", "shop", "Slow", 0, at(10), true, std::nullopt});
  EXPECT_EQ(silent.first().verdict, DetectionVerdict::unknown);
  EXPECT_EQ(silent.first().reason, "the rule was changed during the run: it was removed");
}

TEST(Detections, SilencedAndInhibitedByWhom) {
  Made made;
  made.fires();
  made.record.notifications.clear();
  api::AlertHeld held{.source = "am", .alert = "Slow", .labels = Made::labels(), .at = at(14.4)};
  held.startsAt = at(14.2);
  held.mutedBy = {"silenced by anna until 07:17 UTC: maintenance (0065b613)"};
  made.record.held.push_back(held);
  EXPECT_EQ(made.first().verdict, DetectionVerdict::not_notified);
  EXPECT_EQ(made.first().reason, held.mutedBy.front());
  // Free for a while: then something else kept it from being told.
  held.at = at(20);
  held.mutedBy.clear();
  made.record.held.push_back(held);
  EXPECT_EQ(made.first().reason, "no notification of pager arrived");
}

TEST(Detections, ResolvedWithinGroupWait) {
  Made made;
  made.change(11.2, AlertState::pending);
  made.change(14.2, AlertState::firing);
  made.change(15.2, AlertState::inactive);
  auto found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::not_notified);
  EXPECT_EQ(found.reason, "resolved 1.00 s after it fired, within group_wait 2s: nobody was told");
  // A group that exists is told at its next interval: whoever watches it knows.
  made.record.rules[0].routes[0].groupExists = true;
  EXPECT_THAT(made.first().reason, HasSubstr("within group_interval 10s"));
}

TEST(Detections, WhoeverWasToldMustBeWhoWasMeant) {
  Made made;
  made.fires();
  made.expect.alerts[0].receiver = "tickets";
  EXPECT_EQ(made.first().verdict, DetectionVerdict::not_notified);
  EXPECT_EQ(made.first().reason, "routed to pager, not to tickets");
  made.expect.alerts[0].receiver = "pager";
  EXPECT_EQ(made.first().verdict, DetectionVerdict::detected);
  // Nobody tells Faultline what the pager does: that is not known, and no pass.
  made.record.notifications.clear();
  made.record.rules[0].routes[0].observed = false;
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown);
  made.expect.alerts[0].receiver.clear();
  EXPECT_EQ(made.first().verdict, DetectionVerdict::detected);
  EXPECT_THAT(made.first().reason, HasSubstr("whether pager was told is not measured"));
}

TEST(Detections, BeforeTheFault) {
  Made made;
  made.change(2.2, AlertState::pending);
  made.change(5.2, AlertState::firing);
  auto found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::before_fault);
  EXPECT_THAT(found.reason, HasSubstr("it was firing since 10:15:05.200, 4.8"));
  // Another instance of it begins with the fault.
  made.change(11.2, AlertState::pending, "payments-1");
  made.change(14.2, AlertState::firing, "payments-1");
  made.change(42.2, AlertState::inactive, "payments-1");
  made.notify(16.3, false, "payments-1");
  found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::detected) << found.reason;
  EXPECT_EQ(found.labels.at("pod"), "payments-1");
  made.expect.alerts[0].labels = {{"pod", "payments-0"}};
  EXPECT_EQ(made.first().verdict, DetectionVerdict::before_fault);
}

TEST(Detections, PendingBeforeTheFaultIsNotItsDoing) {
  Made made;
  made.change(8.2, AlertState::pending);
  made.change(11.2, AlertState::firing);
  EXPECT_EQ(made.first().verdict, DetectionVerdict::before_fault);
  EXPECT_THAT(made.first().reason, HasSubstr("its expression was true since"));
}

TEST(Detections, WhatFiredAndEndedInTheBaselineProvesNothing) {
  Made made;
  made.fires();
  made.change(3.2, AlertState::firing);
  made.change(5.2, AlertState::inactive);
  EXPECT_EQ(made.first().verdict, DetectionVerdict::detected) << "when it began is not known";
  made.times.begin = at(2);
  const auto found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::before_fault);
  EXPECT_THAT(found.reason,
              HasSubstr("it fired 1 time before the first injected event, last at 10:15:03.200"));
  EXPECT_FALSE(noticed(found.verdict));
  // What an earlier run made fire ends in the baseline of this one.
  made.times.begin = at(4);
  EXPECT_EQ(made.first().verdict, DetectionVerdict::detected);
}

TEST(Detections, OfWhomItSpeaksIsLookedAt) {
  Made made;
  made.fires();
  made.change(10.8, AlertState::firing, "billing-0");
  made.change(30.2, AlertState::inactive, "billing-0");
  made.record.notifications.push_back(
      {"pager", "Slow", Made::labels("billing-0"), false, at(13), at(10.8)});
  EXPECT_EQ(made.first().labels.at("pod"), "billing-0") << "which pods are the run's is not known";
  made.pods = {{.namespace_ = "shop", .name = "payments-0", .node = "n", .labels = {}}};
  EXPECT_EQ(made.first().labels.at("pod"), "payments-0") << "the run's own pod comes first";
  EXPECT_EQ(made.first().verdict, DetectionVerdict::detected) << made.first().reason;

  // Alone, it is what was asked for, and it is said of whom it speaks.
  made.pods[0].name = "checkout-0";
  EXPECT_EQ(made.first().verdict, DetectionVerdict::detected);
  EXPECT_THAT(made.first().reason,
              HasSubstr("it fired for billing-0, which is neither target nor observed pod"));

  for (auto& change : made.record.changes) change.labels["namespace"] = "billing";
  for (auto& one : made.record.notifications) one.labels["namespace"] = "billing";
  const auto foreign = made.first();
  EXPECT_EQ(foreign.verdict, DetectionVerdict::unknown);
  EXPECT_THAT(foreign.reason, HasSubstr("the run has no pod in namespace billing"));
  made.expect.alerts[0].labels = {{"namespace", "billing"}};
  EXPECT_EQ(made.first().verdict, DetectionVerdict::detected) << "whoever names it means it";
  // kube-state-metrics is scraped in a namespace of its own and speaks of others.
  made.expect.alerts[0].labels.clear();
  for (auto& change : made.record.changes) change.labels["exported_namespace"] = "shop";
  EXPECT_NE(made.first().verdict, DetectionVerdict::unknown) << made.first().reason;
}

TEST(Detections, ANotificationOfAnotherInstanceIsNotItsOwn) {
  Made made;
  made.fires();
  made.record.notifications.clear();
  made.change(14.3, AlertState::firing, "payments-1");
  made.change(42.2, AlertState::inactive, "payments-1");
  const auto told_of = [&](AlertLabels labels) {
    made.record.notifications = {{"pager", "Slow", std::move(labels), false, at(16.3), at(14.2)}};
    made.expect.alerts[0].labels = {{"pod", "payments-0"}};
    return made.first();
  };
  auto other = Made::labels("payments-1");
  other["cluster"] = "eu";  // an external label
  EXPECT_EQ(told_of(other).verdict, DetectionVerdict::not_notified);
  EXPECT_EQ(told_of(other).reason, "no notification of pager arrived");
  auto own = Made::labels("payments-0");
  own["cluster"] = "eu";
  EXPECT_EQ(told_of(own).verdict, DetectionVerdict::detected);
  // The pod's label was taken away on the way: both began within the second.
  EXPECT_EQ(told_of({{"severity", "page"}}).verdict, DetectionVerdict::unknown);
  EXPECT_THAT(told_of({{"severity", "page"}}).reason, HasSubstr("of which instance is not known"));
  // Alone in that second, it is its own; with a label that speaks against it that is not known.
  std::erase_if(made.record.changes,
                [](const auto& change) { return change.labels.at("pod") == "payments-1"; });
  EXPECT_EQ(told_of({{"severity", "page"}}).verdict, DetectionVerdict::detected);
  EXPECT_EQ(told_of({{"severity", "ticket"}}).verdict, DetectionVerdict::unknown);
}

TEST(Detections, ManyInstancesAndNotificationsAreMatchedInTime) {
  Made made;
  made.fires();
  for (int i = 0; i < 10'000; ++i) {
    made.change(20, AlertState::firing, "p" + std::to_string(i));
    if (i < 2'000)
      made.record.notifications.push_back(
          {"pager", "Slow", Made::labels("p" + std::to_string(i)), false, at(22), at(20)});
  }
  EXPECT_EQ(made.first().verdict, DetectionVerdict::detected) << made.first().reason;
  made.expect.alerts[0].labels = {{"pod", "payments-0"}};
  EXPECT_EQ(made.all().size(), 1 + kMostFalseAlarms);
}

TEST(Detections, FlappingAndStillFiring) {
  Made made;
  made.fires();
  made.change(46.2, AlertState::firing);
  made.change(48.2, AlertState::inactive);
  EXPECT_EQ(made.first().verdict, DetectionVerdict::flapping);
  EXPECT_THAT(made.first().reason, HasSubstr("fired 2 times"));

  Made still;
  still.change(11.2, AlertState::pending);
  still.change(14.2, AlertState::firing);
  still.notify(16.3);
  EXPECT_EQ(still.first().verdict, DetectionVerdict::still_firing);
  EXPECT_THAT(still.first().reason, HasSubstr("still firing 20.0 s after the last"));
  still.times.end = at(42);
  EXPECT_EQ(still.first().verdict, DetectionVerdict::detected);
}

TEST(Detections, TheEndIsThatOfTheLastPhaseAndNotWhenTheRecordWasPutAway) {
  using enum api::RunState;
  Made still;
  still.change(14.2, AlertState::firing);
  still.notify(16.3);
  api::RunRecord run = synthetic::slow_payments();  // first injected event at 10.2 s, last at 40.2
  run.experiment.spec.expect = still.expect;
  run.monitoring = still.record;
  run.history = {{Pending, at(0), "", {}},
                 {Injecting, at(10), "", at(40)},
                 {Recovering, at(40), "", at(42)},
                 {Completed, at(60), "", {}}};
  EXPECT_EQ(measured_until(run), at(42));
  const api::Report report = build(run);
  ASSERT_EQ(report.detections.size(), 1U);
  EXPECT_EQ(report.detections[0].verdict, DetectionVerdict::detected)
      << report.detections[0].reason;
  run.history[2].until = at(70);
  EXPECT_EQ(measured_until(run), at(60)) << "the phase was cut short";
  run.history[2].until = {};
  EXPECT_EQ(measured_until(run), at(60));
  run.history.pop_back();
  EXPECT_EQ(measured_until(run), at(40)) << "it is not over";
  run.history.clear();
  EXPECT_FALSE(measured_until(run).set());
}

TEST(Detections, AReloadThatResolvesAndFiresAgainIsOneAlert) {
  Made made;
  made.change(11.2, AlertState::pending);
  made.change(14.2, AlertState::firing);
  made.change(20.2, AlertState::inactive);
  made.change(20.9, AlertState::firing);
  made.change(42.2, AlertState::inactive);
  made.notify(16.3);
  EXPECT_EQ(made.first().verdict, DetectionVerdict::detected) << made.first().reason;
  EXPECT_EQ(made.first().resolvedAt, at(42.2));
}

TEST(Detections, WhatNobodyExpectedIsAFalseAlarm) {
  Made made;
  made.fires();
  made.record.changes.push_back({"main", "Errors", {{"a", "b"}}, AlertState::firing, at(20)});
  made.record.changes.push_back({"main", "Watchdog", {}, AlertState::firing, at(-50)});
  const auto all = made.all();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].verdict, DetectionVerdict::false_alarm);
  EXPECT_EQ(all[1].alert, "Errors");
  EXPECT_FALSE(all[1].within.has_value());
  for (int i = 0; i < 500; ++i)
    made.record.changes.push_back(
        {"main", "Errors", {{"a", std::to_string(i)}}, AlertState::firing, at(20)});
  const auto many = made.all();
  EXPECT_EQ(many.size(), 1 + kMostFalseAlarms);
  EXPECT_THAT(many.back().reason, HasSubstr("451 more are not listed"));
}

TEST(Detections, NoDataIsNeverAPass) {
  Made made;
  made.record.sources[0].problem = "no answer within 5 s";
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown);
  EXPECT_EQ(made.first().reason, "main: no answer within 5 s");
  EXPECT_FALSE(noticed(made.first().verdict));

  const auto nothing = detections_of({}, made.expect, made.times);
  EXPECT_EQ(nothing.at(0).verdict, DetectionVerdict::unknown);
  const auto no_event = detections_of(made.record, made.expect, {{}, {}, at(60)});
  EXPECT_EQ(no_event.at(0).verdict, DetectionVerdict::unknown);
  EXPECT_EQ(no_event.at(0).reason, "no event was injected");

  Made unasked;
  unasked.record.evaluations.push_back({"main", "shop", "Slow", 0, at(10), true, std::nullopt});
  EXPECT_EQ(unasked.first().verdict, DetectionVerdict::unknown);
}

TEST(Detections, AGapInMidRunMakesUnknownWhatDidNotFire) {
  Made made;
  made.evaluate(9.2, 59.2, [](double) { return false; });
  made.record.gaps.push_back({"main", at(2), at(5), "before the fault"});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::missed);
  made.record.gaps.push_back({"main", at(12), at(30), "no answer within 5 s"});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown);
  EXPECT_THAT(made.first().reason,
              HasSubstr("main could not be asked from 10:15:12.000 to 10:15:30.000: no answer"));
  made.fires();
  EXPECT_EQ(made.first().verdict, DetectionVerdict::detected);
}

TEST(Detections, AnAnswerInPartMakesUnknownWhatDidNotFireAndWhatFiredLate) {
  const std::string part = std::string(api::kPartialAnswer) + "store 7: Unavailable";
  Made made;
  made.evaluate(9.2, 59.2, [](double) { return false; });
  made.record.gaps.push_back({"main", at(2), at(5), part});
  made.record.gaps.push_back({"signals of main", at(2), at(60), part});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::missed) << "before the fault, and of others";
  made.record.gaps.push_back({"main", at(0), at(60), part});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown);
  EXPECT_EQ(made.first().reason, "main: " + part);
  made.record.sources[0].startedAt = at(20);
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown) << "a restart does not explain it";
  made.expect.alerts[0].name = "Slwo";
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown) << "the rule may be there";

  Made fired;
  fired.fires();
  fired.record.gaps.push_back({"main", at(0), at(60), part});
  EXPECT_EQ(fired.first().verdict, DetectionVerdict::detected) << "what fired did";
  EXPECT_EQ(fired.first().reason, "main: " + part);
  fired.expect.alerts[0].within.value = std::chrono::seconds(4);
  EXPECT_EQ(fired.first().verdict, DetectionVerdict::unknown) << "perhaps it fired earlier";
  fired.expect.alerts.clear();
  ASSERT_EQ(fired.all().size(), 1U);
  EXPECT_EQ(fired.first().verdict, DetectionVerdict::false_alarm);
  EXPECT_THAT(fired.first().reason, HasSubstr(part));
}

TEST(Detections, ARuleInDoubtMakesNoFloor) {
  Made made;
  made.fires();
  ASSERT_TRUE(made.first().floor);
  made.record.gaps.push_back(
      {"rule Slow of main", at(0), at(60), std::string(api::kRuleInDoubt) + "Slow was changed"});
  const auto found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::detected) << found.reason;
  EXPECT_FALSE(found.floor);
}

TEST(Detections, ARuleThatIsNotThereAndTheNearest) {
  Made made;
  made.expect.alerts[0].name = "Slwo";
  EXPECT_EQ(made.first().verdict, DetectionVerdict::missed);
  EXPECT_EQ(made.first().reason, "no rule is named \"Slwo\"; the nearest is \"Slow\"");
}

TEST(Detections, ARestartOfPrometheusIsTold) {
  Made made;
  made.record.sources[0].startedAt = at(20);
  made.change(18.2, AlertState::pending);
  made.change(19.2, AlertState::inactive);
  made.evaluate(9.2, 59.2, [](double t) { return t > 18 && t < 19; });
  EXPECT_THAT(made.first().reason, HasSubstr("main was started anew at 10:15:20.000"));
}

TEST(Floor, ForIsRoundedUpToTheEvaluationGrid) {
  api::AlertRule rule;
  rule.forSeconds = 20;
  rule.evaluationInterval = 15;
  EXPECT_NEAR(for_on_grid(rule), 30, 1e-9);
  rule.forSeconds = 30;
  EXPECT_NEAR(for_on_grid(rule), 30, 1e-9);
  rule.forSeconds = 0.3;
  rule.evaluationInterval = 0.1;
  EXPECT_NEAR(for_on_grid(rule), 0.3, 1e-9);  // 0.3 / 0.1 is more than 3 as a double
  rule.forSeconds = 0;
  EXPECT_EQ(for_on_grid(rule), 0);
}

TEST(Floor, AnImpossibleExpectationSaysWhatToSet) {
  api::AlertRule rule;
  rule.forSeconds = 360;
  rule.evaluationInterval = 15;
  rule.scrapeInterval = 15;
  const auto found = could_fire(rule, 30, std::nullopt);
  EXPECT_FALSE(found.possible);
  EXPECT_THAT(found.reason, HasSubstr("needs at least 6 min"));
  EXPECT_THAT(found.reason, HasSubstr("the fault is 30"));
  EXPECT_THAT(found.reason, HasSubstr("set phases.fault to 6 min 30 s"));
  EXPECT_TRUE(could_fire(rule, 400, std::nullopt).possible);
  EXPECT_EQ(could_fire(rule, 400, std::nullopt).reason, "");
  EXPECT_THAT(could_fire(rule, 370, std::nullopt).reason, HasSubstr("depends on when"));
  EXPECT_THAT(could_fire(rule, 400, 60).reason, HasSubstr("cannot fire before 6 min"));
  // A window keeps the expression true after the fault.
  rule.longestWindow = 600;
  EXPECT_TRUE(could_fire(rule, 30, std::nullopt).possible);
}

TEST(Floor, TheFirstTimeThatItStaysTrue) {
  const std::vector<ExpressionSample> samples = {{-1, false}, {2, true},  {3, false},
                                                 {10, true},  {11, true}, {14, true}};
  EXPECT_EQ(first_true(samples, 3), 10);
  EXPECT_EQ(first_true(samples, 0), 2);
  EXPECT_EQ(first_true({{0, false}, {1, false}}, 0), std::nullopt);
}

TEST(Promql, WindowsAndMetricsOfRealRules) {
  const auto burn = scan_promql(
      "sum(rate(http_requests_total{code=~\"5..\"}[1h])) by (job) / ignoring(code) "
      "sum without (x) (rate(http_requests_total[5m:30s])) > (14.4 * 0.001) and on (job) up == 1");
  EXPECT_EQ(burn.longest_window, 3600);
  EXPECT_THAT(burn.metrics, testing::ElementsAre("http_requests_total", "up"));
  EXPECT_THAT(burn.selectors, testing::ElementsAre("http_requests_total{code=~\"5..\"}",
                                                   "http_requests_total", "up"));
  EXPECT_FALSE(burn.incomplete || burn.fixed_time);
  const auto moved =
      scan_promql("rate(a[5m] offset 1h) - b{x=\"offset 9h\"} offset -2h + c @ end()");
  EXPECT_EQ(moved.longest_offset, 3600);
  EXPECT_TRUE(moved.fixed_time);
  EXPECT_THAT(moved.selectors, testing::ElementsAre("a", "b{x=\"offset 9h\"}", "c"));
  const auto named = scan_promql("absent({__name__=\"a:b:rate5m\", job=\"x[9h]\"}) # [2d]");
  EXPECT_THAT(named.metrics, testing::ElementsAre("a:b:rate5m"));
  EXPECT_THAT(named.selectors, testing::ElementsAre("{__name__=\"a:b:rate5m\", job=\"x[9h]\"}"));
  EXPECT_EQ(named.longest_window, 0);
  EXPECT_TRUE(scan_promql("{__name__=~\"a|b\"}").incomplete);
  EXPECT_EQ(parse_promql_duration("1h30m"), 5400);
  EXPECT_EQ(parse_promql_duration("5x"), std::nullopt);
  EXPECT_EQ(promql_duration_words(5400), "1h30m");
  EXPECT_EQ(promql_duration_words(0.5), "500ms");
}

// ---- signals ----

struct Asked {
  api::RunRecord run;
  DetectionTimes times{at(10), at(40), at(60)};
  Asked() {
    api::ExpectSignal signal;
    signal.promql = "histogram_quantile(0.99, rate(x_bucket[10s]))";
    signal.equals = "request.latency";
    run.experiment.spec.expect.signals.push_back(signal);
    run.monitoring.emplace();
  }
  void answer(double t, std::optional<double> value) {
    run.monitoring->signals.push_back({.index = 0, .at = at(t), .value = value});
  }
};

TEST(Signals, NoDataAndNaNAreNoNumbers) {
  Asked asked;
  EXPECT_EQ(signals_of(asked.run, asked.times).at(0).verdict, api::SignalVerdict::no_data);
  asked.answer(25, std::nullopt);
  asked.answer(26, std::nan(""));
  const auto found = signals_of(asked.run, asked.times).at(0);
  EXPECT_EQ(found.verdict, api::SignalVerdict::no_data);
  EXPECT_EQ(found.text, "no data: none of 2 answers had a number");
  asked.answer(27, 0.3);
  EXPECT_THAT(signals_of(asked.run, asked.times).at(0).text, HasSubstr("kernel did not measure"));
  asked.run.monitoring->signals.back().newest = 300;
  EXPECT_EQ(signals_of(asked.run, asked.times).at(0).verdict, api::SignalVerdict::stale);
  asked.run.monitoring.reset();
  EXPECT_EQ(signals_of(asked.run, asked.times).at(0).text, "no monitoring was asked");
}

}  // namespace
}  // namespace faultline::report
