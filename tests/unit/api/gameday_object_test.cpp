// SPDX-License-Identifier: Apache-2.0
// A GameDay as an object of a cluster: the language and the errors of the file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "api/codec.h"
#include "api/gameday_status.h"

namespace faultline::api {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

json::object object_of(const std::string& steps) {
  return json::parse(R"({"apiVersion": "faultline.dev/v1alpha1", "kind": "GameDay",
      "metadata": {"name": "pay", "namespace": "shop", "uid": "u1", "generation": 2,
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "shop"}},
      "status": {"phase": "running", "day": "pay-u1", "step": "slow"},
      "spec": {"title": "Payments is slow", "steps": )" +
                     steps + "}}")
      .as_object();
}

constexpr const char* kSlow =
    R"([{"name": "slow", "experiment": {"spec": {
      "target": {"selector": {"labelSelectors": {"app": "payments"}}},
      "faults": [{"networkLatency": {"latency": "50ms"}}]}}},
    {"name": "grid", "sweep": {"experiment": {
      "target": {"selector": {"labelSelectors": {"app": "payments"}}},
      "expect": {"alerts": [{"name": "PaymentsSlow", "within": "10s"}]}},
      "faults": [{"name": "late", "fault": {"networkLatency": {}}, "vary": "latency",
                  "severities": ["50ms", "100ms"]}]}}])";

TEST(GameDayObject, WhatTheServerAddsIsTakenApart) {
  const auto read = gameday_from_cluster_json(object_of(R"([{"name": "wait", "pause": "1s"}])"));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->object.uid, "u1");
  EXPECT_EQ(read->object.generation, 2);
  EXPECT_EQ(read->status.phase, GameDayPhase::running);
  EXPECT_EQ(read->status.day, "pay-u1");
  EXPECT_EQ(read->day.metadata.annotations.size(), 1U);
  EXPECT_EQ(read->day.metadata.namespace_, "shop");
}

TEST(GameDayObject, AStatusOfAnotherVersionIsAProblemAndTheDayIsRead) {
  json::object object = object_of(R"([{"name": "wait", "pause": "1s"}])");
  object["status"] = {{"phase", "dreaming"}};
  const auto read = gameday_from_cluster_json(object);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_THAT(read->status_problem, HasSubstr("dreaming"));
  EXPECT_FALSE(read->status.phase);
}

TEST(GameDayObject, ErrorsAreThoseOfTheFile) {
  const json::object wrong = object_of(
      R"([{"name": "slow", "experiment": {"spec": {"target": {"selector": {}},
          "faults": [{"networkLatency": {"latencyy": "50ms"}}]}}, "onMis": "hold"}])");
  const auto read = gameday_from_cluster_json(wrong);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("spec.steps[0].onMis: unknown key"));
  EXPECT_THAT(read.error().message, HasSubstr("did you mean \"latency\""));
  json::object document = wrong;
  document.erase("status");
  document["metadata"] = {{"name", "pay"}, {"namespace", "shop"}};
  const auto parsed = parse_gameday(json::serialize(document), "day.yaml");
  ASSERT_FALSE(parsed);
  // Each line of the file's is one of the object's, behind the file and its line.
  std::istringstream lines(read.error().message);
  for (std::string line; std::getline(lines, line);)
    EXPECT_THAT(parsed.error().message, HasSubstr(line));
}

TEST(GameDayObject, ExperimentsAndSweepsAreReadWhole) {
  const auto read = gameday_from_cluster_json(object_of(kSlow));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->day.spec.steps[1].sweep->faults[0].severities.size(), 2U);
  EXPECT_EQ(not_for_an_object(read->day), "");
}

TEST(GameDayObject, FilesAndSurprisesAreNotForAnObject) {
  const auto read = gameday_from_cluster_json(object_of(
      R"([{"name": "slow", "experiment": {"file": "slow.yaml"}},
          {"name": "both", "serial": [
            {"name": "mend", "task": {"runbook": {"file": "mend.md"}}}]}])"));
  ASSERT_TRUE(read) << read.error().message;
  const std::string why = not_for_an_object(read->day);
  EXPECT_THAT(why, HasSubstr("spec.steps[0].experiment.file: the file slow.yaml is not here"));
  EXPECT_THAT(why, HasSubstr("spec.steps[1].serial[0].task.runbook.file: the file mend.md"));
  EXPECT_THAT(why, HasSubstr("faultline gameday manifest"));
  GameDay day = read->day;
  day.spec.steps[1].serial[0].surprise = true;
  EXPECT_THAT(not_for_an_object(day),
              HasSubstr("spec.steps[1].serial[0].surprise: whoever may read this object would"));
}

TEST(GameDayObject, AStatusComesBackTheSame) {
  GameDayStatus status{.phase = GameDayPhase::held, .day = "pay-u1", .step = "slow"};
  status.steps.push_back({.name = "slow", .state = "running", .runs = {"pay-slow-1"}});
  status.word = GameDayWordStatus{.word = "hold", .by = "jane", .key = "abc", .taken = true};
  const auto back = from_json<GameDayStatus>(to_json(status));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json(*back), to_json(status));
  EXPECT_FALSE(to_json(GameDayStatus{}).as_object().contains("phase"));
}

}  // namespace
}  // namespace faultline::api
