// SPDX-License-Identifier: Apache-2.0
// Whom the alerts of a run lead to, and what is known of it when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/gap_words.h"
#include "report/detections.h"
#include "tests/unit/observe/watching.h"

namespace faultline::controller::observe {
namespace {

using std::chrono::milliseconds;
using test::expecting;
using test::Monitor;
using test::Watching;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kSlow = R"({"name":"Slow","query":"up","type":"alerting"})";

// A Prometheus with the rule Slow, whose ALERTS are these at the time.
auto with_alerts(const std::string& alerts) {
  auto paths = test::prometheus(kSlow);
  paths["/api/v1/query"] = [&alerts, says = paths["/api/v1/query"]](const auto& query) {
    return query.at("query").starts_with("ALERTS") ? test::matrix_of(alerts) : says(query);
  };
  return paths;
}

// An Alertmanager whose pager gets what none of these routes takes.
auto with_routes(const std::string& routes) {
  auto paths = test::alertmanager();
  paths["/api/v2/status"] = [routes](const auto&) {
    return R"({"config":{"original":"route: {receiver: pager, group_wait: 0s, routes: [)" + routes +
           R"(]}\nreceivers: [{name: pager, webhook_configs: [{url: x}]}, {name: other, )"
           R"(webhook_configs: [{url: x}]}, {name: team, webhook_configs: [{url: x}]}]\n"},)"
           R"("versionInfo":{"version":"0.25"}})";
  };
  return paths;
}

TEST(WatcherLeftOff, IsOfTheReceiverThatTheAlertTurnsOutToLeadTo) {
  // Only the alert itself has the label by which it is routed to the team.
  std::string alerts;
  const Monitor main(with_alerts(alerts)),
      manager(with_routes("{receiver: team, matchers: ['team=shop']}"));
  Watching run({{main.options("main")}, {manager.options("am")}, {}}, expecting({"Slow"}));
  run.begin();
  ASSERT_EQ(run.record().rules.size(), 1U);
  ASSERT_EQ(run.record().rules[0].routes.size(), 1U);
  EXPECT_EQ(run.record().rules[0].routes[0].receiver, "pager");
  const UtcTime at = SystemClock().utc();
  alerts = R"({"metric":{"alertname":"Slow","alertstate":"firing","team":"shop"},"values":[[)" +
           std::to_string(std::chrono::duration<double>(at.time_since_epoch()).count() + 0.05) +
           R"(,"1"]]})";
  run.watcher().left_off("team", at, 3);
  run.watcher().left_off("chat", at, 5);
  run.follow(milliseconds(300));
  run.finish();
  EXPECT_EQ(run.record().rules[0].routes[0].receiver, "team");
  EXPECT_THAT(run.gaps(), ElementsAre("receiver team: Alertmanager left off 3 alerts of this "
                                      "notification: max_alerts"));
}

TEST(WatcherRoutes, AreThoseOfTheInstanceThatIsJudged) {
  std::string alerts;
  const Monitor main(with_alerts(alerts)),
      manager(with_routes(
          "{receiver: other, matchers: ['pod=a-1']}, {receiver: team, matchers: ['pod=b-1']}"));
  Watching run({{main.options("main")}, {manager.options("am")}, {}}, expecting({"Slow"}));
  run.begin();
  const double now = std::chrono::duration<double>(SystemClock().utc().time_since_epoch()).count();
  for (const char* pod : {"a-1", "b-1"})
    alerts += std::string(alerts.empty() ? "" : ",") +
              R"({"metric":{"alertname":"Slow","alertstate":"firing","namespace":"shop","pod":")" +
              pod + R"("},"values":[[)" + std::to_string(now + 0.05) + R"(,"1"]]})";
  run.watcher().own_pods({{.namespace_ = "shop", .name = "b-1"}});
  run.follow(milliseconds(300));
  run.finish();
  ASSERT_EQ(run.record().rules.size(), 1U);
  ASSERT_EQ(run.record().rules[0].routes.size(), 1U);
  EXPECT_EQ(run.record().rules[0].routes[0].receiver, "team");
}

// The samples of an alert that fires since `at`, as Prometheus tells them.
std::string firing(UtcTime at, const std::string& labels) {
  const double seconds = std::chrono::duration<double>(at.time_since_epoch()).count();
  return R"({"metric":{"alertname":"Slow","alertstate":"firing",)" + labels + R"(},"values":[[)" +
         std::to_string(seconds) + R"(,"1"]]})";
}
api::Experiment expecting_within(const std::vector<std::string>& alerts) {
  api::Experiment out = expecting(alerts);
  for (api::ExpectAlert& one : out.spec.expect.alerts) one.within.value = std::chrono::seconds(60);
  return out;
}
UtcTime soon() { return SystemClock().utc() + milliseconds(50); }

std::string held(const std::string& labels, const std::string& receivers) {
  return R"([{"fingerprint":"f","startsAt":"2026-11-23T10:15:03Z","labels":{"alertname":"Slow",)" +
         labels + R"(},"receivers":[)" + receivers +
         R"(],"status":{"silencedBy":[],"inhibitedBy":[]}}])";
}

std::vector<std::string> receivers(const api::AlertRule& rule) {
  std::vector<std::string> out;
  for (const api::AlertRoute& route : rule.routes) out.push_back(route.receiver);
  return out;
}

constexpr const char* kByPod =
    "{receiver: other, matchers: ['pod=a-1']}, {receiver: team, matchers: ['pod=b-1']}";

TEST(WatcherRoutes, TwoExpectationsOfOneRuleHaveTheirOwn) {
  std::string alerts;
  const Monitor main(with_alerts(alerts)), manager(with_routes(kByPod));
  api::Experiment experiment = expecting_within({"Slow", "Slow"});
  auto& expects = experiment.spec.expect.alerts;
  expects[0].labels = {{"pod", "a-1"}};
  expects[0].receiver = "other";
  expects[1].labels = {{"pod", "b-1"}};
  expects[1].receiver = "team";
  Watching run({{main.options("main")}, {manager.options("am")}, {"other", "team"}}, experiment);
  run.begin();
  ASSERT_EQ(run.record().rules.size(), 2U);
  EXPECT_THAT(receivers(run.record().rules[0]), ElementsAre("other"));
  EXPECT_THAT(receivers(run.record().rules[1]), ElementsAre("team"));
  EXPECT_EQ(run.record().rules[1].labels, expects[1].labels);
  EXPECT_EQ(run.record().rules[1].expr, "") << "it is the same rule again";
  alerts = firing(soon(), R"("pod":"a-1")") + "," + firing(soon(), R"("pod":"b-1")");
  run.follow(milliseconds(300));
  for (const char* receiver : {"other", "team"})
    run.watcher().notified(
        {.receiver = receiver,
         .alert = "Slow",
         .labels = {{"alertname", "Slow"}, {"pod", receiver[0] == 'o' ? "a-1" : "b-1"}},
         .at = {SystemClock().utc()}});
  run.finish();
  EXPECT_THAT(run.gaps(), IsEmpty()) << "no rule was changed";
  ASSERT_EQ(run.record().rules.size(), 2U);
  for (const api::DetectionReport& one : run.detections(experiment.spec.expect)) {
    EXPECT_TRUE(report::noticed(one.verdict)) << one.reason;
    EXPECT_EQ(one.receivers.size(), 1U);
  }
}

TEST(WatcherRoutes, OfAnAlertmanagerThatWasAwayAtTheBeginAreKnownFromItsReturnOn) {
  for (const bool fires_before : {true, false}) {
    std::atomic<bool> away = true;
    std::string alerts;
    auto paths = with_routes("{receiver: team, matchers: ['pod=b-1']}");
    for (auto& [path, says] : paths)
      says = [says = says, &away](const auto& query) { return away ? "nothing" : says(query); };
    const Monitor main(with_alerts(alerts)), manager(paths);
    const api::Experiment experiment = expecting_within({"Slow"});
    Watching run({{main.options("main")}, {manager.options("am")}, {"pager", "team"}}, experiment);
    run.begin();
    EXPECT_THAT(receivers(run.record().rules.at(0)), IsEmpty());
    if (fires_before) alerts = firing(SystemClock().utc(), R"("pod":"b-1")");
    run.follow(milliseconds(100));
    away = false;
    run.poll();
    EXPECT_THAT(receivers(run.record().rules.at(0)), ElementsAre("pager"))
        << "of its labels that are known";
    if (!fires_before) alerts = firing(soon(), R"("pod":"b-1")");
    run.follow(milliseconds(300));
    run.finish();
    EXPECT_THAT(run.gaps(), Contains(HasSubstr("routes of am: when the run began it could not be "
                                               "asked: ")));
    const auto found = run.detections(experiment.spec.expect).at(0);
    if (fires_before) {
      EXPECT_THAT(found.reason, HasSubstr("whom am tells is not known from "));
      EXPECT_NE(found.verdict, api::DetectionVerdict::not_notified) << found.reason;
    } else {
      EXPECT_EQ(found.reason, "no notification of team arrived");
    }
  }
}

TEST(WatcherRoutes, AGroupThatIsThereBeforeTheRunIsKnown) {
  std::string alerts;
  auto paths = with_routes("");
  paths["/api/v2/alerts/groups"] = [](const auto&) {
    return std::string(R"([{"receiver":{"name":"pager"},"labels":{},"alerts":[]}])");
  };
  const Monitor main(with_alerts(alerts)), manager(paths);
  Watching run({{main.options("main")}, {manager.options("am")}, {}}, expecting_within({"Slow"}));
  run.begin();
  EXPECT_TRUE(run.record().rules.at(0).routes.at(0).groupExists);
}

TEST(WatcherRoutes, OfAnAlertmanagerThatNeverAnsweredAreAGapOfTheWholeRun) {
  std::string alerts;
  const Monitor main(with_alerts(alerts));
  SourceOptions gone = main.options("am");
  gone.url = "http://127.0.0.1:1";
  const api::Experiment experiment = expecting_within({"Slow"});
  Watching run({{main.options("main")}, {gone}, {}}, experiment);
  run.begin();
  alerts = firing(soon(), R"("pod":"b-1")");
  run.follow(milliseconds(300));
  run.finish();
  EXPECT_THAT(run.gaps(), Contains(HasSubstr("routes of am: when the run began")));
  EXPECT_THAT(run.detections(experiment.spec.expect)[0].reason,
              HasSubstr("whether anybody was told is not known: whom am tells is not known from"));
}

TEST(WatcherRoutes, ThatWereChangedDuringTheRunExplainNothing) {
  std::atomic<bool> later = false;
  std::string alerts;
  auto paths = with_routes("");
  const auto changed = with_routes(kByPod);
  paths["/api/v2/status"] = [&later, before = paths["/api/v2/status"],
                             after = changed.at("/api/v2/status")](const auto& query) {
    return later ? after(query) : before(query);
  };
  const Monitor main(with_alerts(alerts)), manager(paths);
  const api::Experiment experiment = expecting_within({"Slow"});
  Watching run({{main.options("main")}, {manager.options("am")}, {"pager"}}, experiment);
  run.begin();
  alerts = firing(soon(), R"("pod":"b-1")");
  run.follow(milliseconds(300));
  later = true;
  run.finish();
  EXPECT_THAT(run.gaps(),
              ElementsAre("routes of am: its configuration was changed during the run"));
  const auto found = run.detections(experiment.spec.expect).at(0);
  EXPECT_NE(found.verdict, api::DetectionVerdict::not_notified) << found.reason;
  EXPECT_THAT(found.reason, HasSubstr("its configuration was changed during the run"));
}

// Alertmanager routes by what arrives there, with Prometheus' external labels.
TEST(WatcherRoutes, AreThoseOfTheLabelsThatAlertmanagerHeld) {
  std::string alerts, holds = "[]";
  auto paths = with_routes("{receiver: team, matchers: ['cluster=eu']}");
  paths["/api/v2/alerts"] = [&holds](const auto&) { return holds; };
  const Monitor main(with_alerts(alerts)), manager(paths);
  const api::Experiment experiment = expecting_within({"Slow"});
  Watching run({{main.options("main")}, {manager.options("am")}, {}}, experiment);
  run.begin();
  EXPECT_THAT(receivers(run.record().rules.at(0)), ElementsAre("pager"));
  alerts = firing(soon(), R"("pod":"b-1")");
  holds = held(R"("pod":"b-1","cluster":"eu")", R"({"name":"team"})");
  run.follow(milliseconds(300));
  run.finish();
  EXPECT_THAT(receivers(run.record().rules.at(0)), ElementsAre("team"));
}

// What Alertmanager itself says of an alert is true, and what we make of its configuration is not.
TEST(WatcherRoutes, AreNotKnownWhereAlertmanagerLedItElsewhere) {
  std::string alerts, holds = "[]";
  auto paths = with_routes("{receiver: team, matchers: ['pod=~(?i)B-1']}");
  paths["/api/v2/alerts"] = [&holds](const auto&) { return holds; };
  const Monitor main(with_alerts(alerts)), manager(paths);
  const api::Experiment experiment = expecting_within({"Slow"});
  Watching run({{main.options("main")}, {manager.options("am")}, {"pager"}}, experiment);
  run.begin();
  alerts = firing(soon(), R"("pod":"b-1")");
  holds = held(R"("pod":"b-1")", R"({"name":"team"})");
  run.follow(milliseconds(300));
  run.finish();
  EXPECT_THAT(receivers(run.record().rules.at(0)), IsEmpty());
  const auto found = run.detections(experiment.spec.expect).at(0);
  EXPECT_NE(found.verdict, api::DetectionVerdict::not_notified) << found.reason;
  EXPECT_THAT(run.record().notes,
              Contains(HasSubstr("am leads Slow to other receivers than its configuration says")));
}

// A silence that ends before the alert fires mutes nothing.
TEST(WatcherRoutes, WhatMutedBeforeTheRunIsNotHeldForWhatMutedTheAlert) {
  std::string alerts, holds = "[]";
  auto paths = with_routes("");
  paths["/api/v2/silences"] = [](const auto&) {
    return std::string(
        R"([{"id":"s","createdBy":"anna","comment":"works","status":{"state":"active"},)"
        R"("matchers":[{"name":"alertname","value":"Slow","isRegex":false,"isEqual":true}],)"
        R"("startsAt":"2026-11-23T10:15:03Z","endsAt":"2027-11-23T10:15:03Z"}])");
  };
  paths["/api/v2/alerts"] = [&holds](const auto&) { return holds; };
  const Monitor main(with_alerts(alerts)), manager(paths);
  const api::Experiment experiment = expecting_within({"Slow"});
  Watching run({{main.options("main")}, {manager.options("am")}, {}}, experiment);
  run.begin();
  EXPECT_THAT(run.record().rules.at(0).routes.at(0).muted, HasSubstr("silenced by anna"));
  alerts = firing(soon(), R"("pod":"b-1")");
  holds = held(R"("pod":"b-1")", R"({"name":"pager"})");
  run.follow(milliseconds(300));
  run.finish();
  const auto found = run.detections(experiment.spec.expect).at(0);
  EXPECT_THAT(found.reason, Not(HasSubstr("silenced")));
  EXPECT_NE(found.verdict, api::DetectionVerdict::not_notified) << found.reason;
}

}  // namespace
}  // namespace faultline::controller::observe
