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
#include "tests/unit/report/made_monitoring.h"

namespace faultline::report {
namespace {

using api::AlertState;
using api::DetectionVerdict;
using synthetic::at;
using synthetic::Made;
using testing::HasSubstr;
using testing::Not;

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

TEST(Detections, TwoAlertmanagersThatKnowTheSameAreNotToldTwice) {
  Made made;
  made.fires();
  made.record.notifications.clear();
  auto& routes = made.record.rules[0].routes;
  routes.push_back(routes[0]);
  EXPECT_EQ(made.first().reason, "no notification of pager arrived");
  for (api::AlertRoute& route : routes) route.integrations.clear();
  EXPECT_EQ(made.first().reason, "routed to nobody: receiver pager has no integration");
  made.expect.alerts[0].receiver = "boss";
  EXPECT_EQ(made.first().reason, "routed to pager, not to boss");
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

// A scrape that was under way when the fault began has the time of its begin.
TEST(Detections, WhatWasTrueAtTheFirstInjectedEventIsSaid) {
  Made made;
  made.change(10.2, AlertState::pending);
  made.change(13.2, AlertState::firing);
  made.change(42.2, AlertState::inactive);
  made.evaluate(8.2, 59.2, [](double t) { return t > 10; });
  made.notify(15);
  EXPECT_EQ(made.first().verdict, DetectionVerdict::detected) << "the first evaluation after it";
  made.record.evaluations.push_back({"main", "shop", "Slow", 0, at(10), false, 1});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::detected);
  const auto said = HasSubstr("true at the first injected event already");
  EXPECT_THAT(made.first().reason, said);
  EXPECT_TRUE(made.first().seconds.has_value());
  // It was false in between, or another series became true.
  made.record.evaluations.push_back({"main", "shop", "Slow", 0, at(10.1), false, 0});
  EXPECT_THAT(made.first().reason, Not(said));
  made.record.evaluations.pop_back();
  for (api::AlertEvaluation& one : made.record.evaluations)
    if (one.onGrid && at(10) < one.at) one.series = 2;
  EXPECT_THAT(made.first().reason, Not(said));
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

}  // namespace
}  // namespace faultline::report
