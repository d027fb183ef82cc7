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
      R"([{"name": "slow", "experiment": {"spec": {"target": {"selector": {"labelSelectors": {"app": "pay"}}},
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
              HasSubstr("spec.steps[1].serial[0].task: whoever may read this object would"));
}

constexpr const char* kHidden =
    R"([{"name": "both", "surprise": true, "serial": [
         {"name": "rest", "pause": "1s"},
         {"name": "slow", "experiment": {"secret": "pay-surprise/slow.yaml"}}]}])";

json::object with_facilitator(const std::string& steps) {
  json::object object = object_of(steps);
  object["spec"].as_object()["roles"] = {{"facilitator", {"jane"}}};
  return object;
}

TEST(GameDayObject, ASurpriseInASecretIsForAnObjectAndWhatTellsOfItIsNot) {
  const auto read = gameday_from_cluster_json(with_facilitator(kHidden));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(not_for_an_object(read->day), "");
  const auto secrets = unread_secrets(read->day);
  ASSERT_EQ(secrets.size(), 1U);
  EXPECT_EQ(secrets[0].step, "slow");
  EXPECT_EQ(secrets[0].name, "pay-surprise");
  EXPECT_EQ(secrets[0].key, "slow.yaml");
  EXPECT_EQ(secrets[0].at, "spec.steps[0].serial[1].experiment.secret");
  // Each of these in a surprise says what it is.
  for (
      const char* step :
      {R"({"name": "a", "surprise": true, "note": "slow"})",
       R"({"name": "a", "surprise": true, "task": {"text": "slow"}})",
       R"({"name": "a", "surprise": true, "waitFor": {"alert": "Slow"}})",
       R"({"name": "a", "surprise": true, "serial": [{"name": "b", "note": "slow"}]})",
       R"({"name": "a", "surprise": true, "parallel": [{"name": "b", "experiment": {"spec":
            {"target": {"selector": {"labelSelectors": {"app": "pay"}}}}}}]})",
       R"({"name": "a", "surprise": true, "sweep": {"experiment": {"target": {"selector": {"labelSelectors": {"app": "pay"}}},
              "expect": {"alerts": [{"name": "Slow", "within": "10s"}]}},
            "faults": [{"name": "late", "fault": {"networkLatency": {}}, "vary": "latency",
                        "severities": ["50ms"]}]}})"}) {
    const auto day = gameday_from_cluster_json(with_facilitator(std::string("[") + step + "]"));
    ASSERT_TRUE(day) << day.error().message;
    EXPECT_THAT(not_for_an_object(day->day), HasSubstr("would see the surprise")) << step;
  }
}

TEST(GameDayObject, ASecretGoesOnlyWithASurpriseAndAloneAndNotInAnyNumber) {
  const auto refusal = [](const std::string& steps) {
    const auto read = gameday_from_cluster_json(with_facilitator(steps));
    return read ? "" : read.error().message;
  };
  EXPECT_THAT(refusal(R"([{"name": "slow", "experiment": {"secret": "a/b"}}])"),
              HasSubstr("spec.steps[0].experiment.secret: goes only with surprise"));
  EXPECT_THAT(refusal(R"([{"name": "slow", "surprise": true,
                           "experiment": {"secret": "a/b", "file": "c"}}])"),
              HasSubstr("needs exactly one of spec, file and secret, got 2"));
  for (const char* name : {"../bank/x", "bank/a/b", "a", "/b", "A/b"})
    EXPECT_THAT(refusal(std::string(R"([{"name": "slow", "surprise": true, "experiment":
                                        {"secret": ")") +
                        name + "\"}}]"),
                HasSubstr("spec.steps[0].experiment.secret"))
        << name;
  std::string many;
  for (int i = 0; i < 17; ++i)
    many += (many.empty() ? "" : ", ") + std::string(R"({"name": "s)") + std::to_string(i) +
            R"(", "surprise": true, "experiment": {"secret": "x)" + std::to_string(i) + "/y\"}}";
  EXPECT_THAT(refusal("[" + many + "]"), HasSubstr("name 17 Secrets, at most 16"));
}

TEST(GameDayObject, WhatItsSecretsSayIsPutInAndNoErrorTellsOfIt) {
  const GameDay day = gameday_from_cluster_json(with_facilitator(kHidden))->day;
  const std::string at = "spec.steps[0].serial[1].experiment.secret";
  const auto experiment = [](const std::string& more) {
    return "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: x}\nspec:\n"
           "  target: {selector: {labelSelectors: {app: payroll}}}\n"
           "  faults: [{networkLatency: {latency: 50ms}}]\n" +
           more;
  };
  const auto whole = with_secrets(day, {{at, experiment("")}});
  ASSERT_TRUE(whole) << whole.error().message;
  const StepExperiment& put = *whole->spec.steps[0].serial[1].experiment;
  ASSERT_TRUE(put.spec);
  EXPECT_EQ(put.spec->target.selector.labelSelectors.at("app"), "payroll");
  EXPECT_EQ(put.secret, "");
  EXPECT_TRUE(unread_secrets(*whole).empty()) << "it is not read again";
  std::string other = experiment("");
  other.replace(other.find("{name: x}"), 9, "{name: x, namespace: payroll}");
  for (const std::string& wrong :
       {std::string("payroll"), experiment("  payroll: 1\n"), other, std::string(2 << 20, 'p'),
        std::string("payroll\xff\x00", 9), std::string(),
        // Valid by itself, and no day of 24 hours.
        experiment("  phases: {baseline: 1s, fault: 90000s, recovery: 1s}\n")}) {
    const auto refused = with_secrets(day, {{at, wrong}});
    ASSERT_FALSE(refused) << wrong.substr(0, 500);
    EXPECT_EQ(refused.error().code, Errc::kInvalid);
    EXPECT_THAT(refused.error().message, testing::Not(HasSubstr("payroll")));
    EXPECT_THAT(refused.error().message, testing::Not(HasSubstr("ppp")));
    EXPECT_THAT(refused.error().message, testing::Not(HasSubstr("9000")));
  }
  EXPECT_FALSE(with_secrets(day, {}));
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
