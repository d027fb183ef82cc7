// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/planned_alerts.h"

#include <gmock/gmock.h>

#include "fixtures.h"

namespace faultline::controller::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kExpects =
    "  phases: {baseline: 1s, fault: 10s, recovery: 5s}\n"
    "  expect: {alerts: [{name: PaymentsSlow, within: 8s}]}\n";

api::AlertRule rule(double for_seconds) {
  api::AlertRule out{.source = "prometheus", .alert = "PaymentsSlow"};
  out.forSeconds = for_seconds;
  out.evaluationInterval = 1;
  out.scrapeInterval = 1;
  api::AlertRoute route{.receiver = "pager", .integrations = {"webhook"}};
  out.routes = {route};
  return out;
}

api::MonitoringRecord known(std::vector<api::AlertRule> rules) {
  api::MonitoringRecord out;
  out.sources = {{.name = "prometheus", .kind = "prometheus"}};
  out.rules = std::move(rules);
  for (const api::AlertRule& one : out.rules) out.ruleNames.push_back(one.alert);
  return out;
}

api::PlannedAlert only(const api::MonitoringRecord& record, const char* more = kExpects) {
  const auto alerts = planned_alerts(experiment(more), record);
  EXPECT_EQ(alerts.size(), 1U);
  return alerts.empty() ? api::PlannedAlert{} : alerts.front();
}

TEST(PlannedAlerts, OneThatFiresInTimeHasItsFloorAndWhomItReaches) {
  const api::PlannedAlert alert = only(known({rule(2)}));
  EXPECT_EQ(alert.possible, true);
  EXPECT_EQ(alert.floor, 2);
  EXPECT_THAT(alert.receivers, ElementsAre("pager (webhook)"));
  EXPECT_EQ(alert.reason, "");
  EXPECT_TRUE(require_possible(experiment(kExpects), {alert}));
}

TEST(PlannedAlerts, ALongForIsRefusedWithTheSettingToChangeUnlessItRunsAnyway) {
  const api::PlannedAlert alert = only(known({rule(300)}));
  EXPECT_EQ(alert.possible, false);
  EXPECT_THAT(alert.reason, HasSubstr("set phases.fault"));
  api::Experiment asked = experiment(kExpects);
  const auto refused = require_possible(asked, {alert});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("spec.expect.alerts[0]: PaymentsSlow"));
  EXPECT_THAT(refused.error().message, HasSubstr("--anyway"));
  asked.metadata.annotations[std::string(api::kAnywayNote)] = "true";
  EXPECT_TRUE(require_possible(asked, {alert}));
}

TEST(PlannedAlerts, ARuleThatIsNotThereHasTheNearestName) {
  auto record = known({});
  record.ruleNames = {"PaymentSlow", "NodeDown"};
  const api::PlannedAlert alert = only(record);
  EXPECT_EQ(alert.possible, false);
  EXPECT_THAT(alert.reason, HasSubstr("did you mean \"PaymentSlow\"?"));
}

TEST(PlannedAlerts, WhatTheMonitoringDoesNotSayIsNotKnownAndNoReasonToRefuse) {
  auto record = known({});
  record.sources[0].problem = "prometheus: Connection refused";
  const api::PlannedAlert alert = only(record);
  EXPECT_EQ(alert.possible, std::nullopt);
  EXPECT_THAT(alert.reason, HasSubstr("Connection refused"));
  EXPECT_TRUE(require_possible(experiment(kExpects), {alert}));
}

TEST(PlannedAlerts, NobodyThatWouldBeToldIsARefusal) {
  auto nobody = rule(2);
  nobody.routes[0] = {.receiver = "Default"};
  EXPECT_THAT(only(known({nobody})).reason, HasSubstr("receiver Default has no integration"));
  auto silenced = rule(2);
  silenced.routes[0].muted = "silence 1234 of ops";
  EXPECT_THAT(only(known({silenced})).reason, HasSubstr("silence 1234 of ops"));
  // One of two receivers is enough.
  auto both = rule(2);
  both.routes.push_back({.receiver = "Default"});
  EXPECT_EQ(only(known({both})).possible, true);
  const api::PlannedAlert elsewhere =
      only(known({rule(2)}),
           "  phases: {baseline: 1s, fault: 10s, recovery: 5s}\n"
           "  expect: {alerts: [{name: PaymentsSlow, within: 8s, receiver: boss}]}\n");
  EXPECT_EQ(elsewhere.possible, false);
  EXPECT_THAT(elsewhere.reason, HasSubstr("not routed to receiver boss"));
  auto unrouted = rule(2);
  unrouted.routes.clear();
  EXPECT_EQ(only(known({unrouted})).possible, true) << "without Alertmanager nobody knows";
}

TEST(PlannedAlerts, LabelsOfTheRuleThatSayOtherwiseAreAnotherAlert) {
  const char* more =
      "  phases: {baseline: 1s, fault: 10s, recovery: 5s}\n"
      "  expect: {alerts: [{name: PaymentsSlow, within: 8s, labels: {team: pay}}]}\n";
  auto other = rule(2);
  other.labels = {{"team", "shop"}};
  EXPECT_EQ(only(known({other}), more).possible, false);
  auto templated = rule(2);
  templated.labels = {{"team", "{{ $labels.team }}"}};
  EXPECT_EQ(only(known({templated}), more).possible, true);
  // The earliest of several counts.
  EXPECT_EQ(only(known({rule(300), rule(2)})).floor, 2);
}

TEST(PlannedAlerts, EachExpectationOfARuleHasItsOwnRoutes) {
  auto slow = rule(2);
  slow.expr = "slow > 0";
  slow.labels = {{"severity", "page"}};
  auto again = slow;  // as a watcher tells where its alerts lead by other labels
  again.expr.clear();
  again.labels["pod"] = "b-1";
  again.routes[0].receiver = "team";
  const auto found = planned_alerts(
      experiment("  phases: {baseline: 1s, fault: 10s, recovery: 5s}\n"
                 "  expect:\n    alerts:\n"
                 "    - {name: PaymentsSlow, within: 8s, receiver: pager}\n"
                 "    - {name: PaymentsSlow, within: 8s, labels: {pod: b-1}, receiver: team}\n"),
      known({slow, again}));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].possible, true) << found[0].reason;
  EXPECT_THAT(found[0].receivers, ElementsAre("pager (webhook)"));
  EXPECT_EQ(found[1].possible, true) << found[1].reason;
  EXPECT_THAT(found[1].receivers, ElementsAre("team (webhook)"));
}

TEST(PlannedAlerts, AGroupThatIsThereAndAnAlertThatFiresAreTold) {
  auto grouped = rule(2);
  grouped.routes[0].groupExists = true;
  grouped.routes[0].groupInterval = 300;
  auto record = known({grouped});
  record.held.push_back({.source = "alertmanager", .alert = "PaymentsSlow"});
  EXPECT_THAT(only(record).notes, testing::Contains(HasSubstr("group_interval")));
  EXPECT_THAT(only(record).notes, testing::Contains("it fires already"));
  EXPECT_THAT(only(known({rule(2)})).notes, IsEmpty());
}

}  // namespace
}  // namespace faultline::controller::test
