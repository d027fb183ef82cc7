// SPDX-License-Identifier: Apache-2.0
// What a watcher makes of what it could not ask, or may not keep.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/observe/samples.h"
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

// ---- bounds

TEST(NotTakenBounds, NamesOfManyNotificationsAreBoundedAndMayThenBeAny) {
  NotTaken all;
  for (int i = 0; i < 1'000; ++i) {
    NotTaken one;
    one.add(boost::json::object{{"alertname", "A" + std::to_string(i)}}, "65 labels");
    all.add(one);
    if (i < 60) {
      EXPECT_FALSE(all.may_be("B")) << i;
    }
  }
  EXPECT_TRUE(all.may_be("A0"));
  EXPECT_TRUE(all.may_be("B")) << "there was no room for all names";
  EXPECT_EQ(all.words(), "1000 alerts were not taken, one with 65 labels");
}

TEST(SampleBounds, WhatIsNotTakenIsNotMade) {
  // 2400 samples that are pending and firing by turns, of one alert with 60 labels of 4000 bytes:
  // as a list of changes they were half a gigabyte.
  std::vector<Series> alerts(2), up(1);
  for (Series& one : alerts) {
    one.labels = {{"alertname", "Slow"}};
    for (int i = 0; i < 60; ++i) one.labels["l" + std::to_string(i)] = std::string(4'000, 'x');
  }
  alerts[0].labels["alertstate"] = "pending";
  alerts[1].labels["alertstate"] = "firing";
  for (int i = 0; i < 2'400; ++i) {
    alerts[static_cast<std::size_t>(i % 2)].points.push_back({1'000.0 + i, 1});
    up[0].points.push_back({1'000.0 + i, 1});
  }
  std::size_t made = 0;
  const auto any = [](const Labels&) { return true; };
  const auto twice = [&](const auto&) { return ++made < 3; };
  EXPECT_FALSE(changes_of(alerts, {}, "main", {}, 9'000, any, twice));
  EXPECT_EQ(made, 3U) << "the third was refused";
  made = 0;
  EXPECT_FALSE(scrapes_of(up, "main", {}, twice));
  EXPECT_EQ(made, 3U);
  made = 0;
  EXPECT_TRUE(changes_of(alerts, {}, "main", {}, 9'000, any,
                         [&](const api::AlertChange&) { return ++made > 0; }));
  EXPECT_EQ(made, 2'401U) << "each sample, and that they ended";
  made = 0;
  EXPECT_TRUE(changes_of(
      alerts, {}, "main", {}, 9'000, [](const Labels& labels) { return labels.contains("b"); },
      twice));
  EXPECT_EQ(made, 0U);
}

TEST(SampleBounds, AFloodOfOthersHidesNoExpectedAlert) {
  const auto series = [](const std::string& alert, int samples) {
    std::string values;
    for (int i = 0; i < samples; ++i)
      values += (i > 0 ? "," : "") + ("[" + std::to_string(1'000 + 10 * i)) + ",\"1\"]";
    return R"({"metric":{"alertname":")" + alert + R"(","alertstate":"firing","l":")" +
           std::string(4'000, 'x') + R"("},"values":[)" + values + "]}";
  };
  const Monitor main(test::prometheus(
      R"({"name":"Aaa","query":"x","type":"alerting"},{"name":"Slow","query":"x","type":"alerting"})",
      series("Aaa", 4'000) + "," + series("Slow", 3)));
  Watching run({{main.options("main")}, {}, {}}, expecting({"Slow"}));
  run.begin();
  run.finish();
  ASSERT_GT(run.record().changes.size(), 1'000U);
  EXPECT_LE(bytes_of(run.record().changes), std::size_t{8} << 20);
  EXPECT_EQ(std::ranges::count(run.record().changes, "Slow", &api::AlertChange::alert), 6);
  EXPECT_THAT(run.record().notes,
              Contains("other alerts changed more often than a run can keep: not all are told"));
  EXPECT_THAT(run.gaps(), IsEmpty());
}

// ---- the end of a run

constexpr const char* kSlow = R"({"name":"Slow","query":"up","type":"alerting"})";
constexpr const char* kNever = R"({"name":"Never","query":"up","type":"alerting"})";

// Answers as `paths`, until `hangs`.
std::map<std::string, test::Says> until(std::map<std::string, test::Says> paths,
                                        const std::atomic<bool>& hangs) {
  for (auto& [path, says] : paths)
    says = [says = says, &hangs](const auto& query) { return hangs ? std::string() : says(query); };
  return paths;
}

SourceOptions patient(SourceOptions options) {
  options.timeout = std::chrono::seconds(20);
  return options;
}

TEST(WatcherEnd, ASourceThatHangsAtTheEndLosesNothingOfTheOthersAndIsNotHeldForSilent) {
  std::atomic<bool> hangs = false;
  std::string alerts;
  auto paths = test::prometheus(kSlow);
  paths["/api/v1/query"] = [&alerts, says = paths["/api/v1/query"]](const auto& query) {
    return query.at("query").starts_with("ALERTS") ? test::matrix_of(alerts) : says(query);
  };
  const Monitor main(paths);
  const Monitor other(until(test::prometheus(kNever), hangs));
  const Monitor manager(until(test::alertmanager(), hangs));
  Watching run({{main.options("main"), patient(other.options("other"))},
                {patient(manager.options("am"))},
                {}},
               expecting({"Slow", "Never"}));
  run.begin();
  alerts =
      R"({"metric":{"alertname":"Slow","alertstate":"firing"},"values":[[)" +
      std::to_string(std::chrono::duration<double>(SystemClock().utc().time_since_epoch()).count() +
                     0.1) +
      R"(,"1"]]})";
  run.watcher().notified({.receiver = "pager", .alert = "Slow"});
  run.follow(milliseconds(1'000));
  hangs = true;
  const auto begin = std::chrono::steady_clock::now();
  run.finish(milliseconds(700));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
  const api::MonitoringRecord& seen = run.record();
  ASSERT_EQ(seen.sources.size(), 3U);
  EXPECT_EQ(seen.sources[0].problem, "");
  for (const std::size_t i : {1U, 2U})
    EXPECT_THAT(seen.sources[i].problem, HasSubstr("had not answered all that is asked")) << i;
  EXPECT_THAT(run.gaps(), Contains(HasSubstr("other: it had not answered")));
  EXPECT_EQ(seen.notifications.size(), 1U);
  EXPECT_FALSE(seen.changes.empty()) << "what the other one told";
  ASSERT_EQ(seen.outcomes.size(), 2U) << "it was concluded";
  const auto found = run.detections(expecting({"Slow", "Never"}).spec.expect);
  EXPECT_TRUE(found[0].firingAt.set());
  EXPECT_EQ(found[1].verdict, api::DetectionVerdict::unknown) << found[1].reason;
}

TEST(WatcherEnd, ABeginThatTakesLongKeepsNoQueryThatAbortsWaitingAndIsMadeUpForAtTheEnd) {
  std::atomic<bool> hangs = true;
  auto paths = test::prometheus(kNever);
  paths["/api/v1/rules"] = [&hangs, says = paths["/api/v1/rules"]](const auto& query) {
    return hangs ? std::string() : says(query);
  };
  const Monitor main(paths);
  api::Experiment experiment = expecting({"Never"});
  experiment.spec.abortWhen.push_back({.promql = "errors", .above = "10"});
  Watching run({{patient(main.options("main"))}, {}, {}}, experiment);
  run.begin_beside(milliseconds(1'500));
  EXPECT_EQ(main.asked("/api/v1/query errors"), 2U);
  ASSERT_EQ(run.watcher().abort_answers().size(), 1U);
  EXPECT_TRUE(run.record().rules.empty());
  EXPECT_THAT(run.record().sources[0].problem, HasSubstr("not asked yet"));
  hangs = false;
  run.finish();
  EXPECT_EQ(run.record().sources[0].problem, "");
  ASSERT_EQ(run.record().rules.size(), 1U);
  EXPECT_THAT(run.record().ruleNames, ElementsAre("Never"));
  run.begin_beside(milliseconds(1'500));
  EXPECT_EQ(run.record().rules.size(), 1U) << "they are taken once";
}

TEST(WatcherEnd, ARunWithoutASourceIsFollowedUntilItsEnd) {
  Watching run({}, {});
  const SteadyTime begin = std::chrono::steady_clock::now();
  run.follow(milliseconds(300));
  run.begin_beside(milliseconds(300));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(600));
}

TEST(WatcherEnd, TimesThatNoClockHasAreNoGrid) {
  auto paths = test::prometheus(
      kNever, R"({"metric":{"alertname":"Never","alertstate":"firing"},"values":[[1e308,"1"]]})");
  std::vector<std::string> asked;
  paths["/api/v1/query_range"] = [&asked](const auto& query) {
    asked.push_back(query.at("start"));
    return test::matrix_of(R"({"metric":{},"values":[[1,"1"]]})");
  };
  const Monitor main(paths);
  const api::Experiment experiment = expecting({"Never"});
  Watching run({{main.options("main")}, {}, {}}, experiment);
  run.begin();
  run.follow(milliseconds(100));
  run.finish();
  const double now = std::chrono::duration<double>(SystemClock().utc().time_since_epoch()).count();
  ASSERT_FALSE(asked.empty());
  EXPECT_NEAR(std::stod(asked.front()), now, 10);
  const auto found = run.detections(experiment.spec.expect);
  EXPECT_EQ(found[0].verdict, api::DetectionVerdict::unknown) << found[0].reason;
}

// ---- rules of which it is not known whether they changed

TEST(WatcherDoubts, RulesThatCannotBeReadAtTheEndMayBeOthers) {
  std::atomic<bool> broken = false;
  auto paths = test::prometheus(kNever);
  paths["/api/v1/rules"] = [&broken, says = paths["/api/v1/rules"]](const auto& query) {
    return broken ? std::string("no JSON") : says(query);
  };
  const Monitor main(paths);
  const api::Experiment experiment = expecting({"Never", "Added"});
  Watching run({{main.options("main")}, {}, {}}, experiment);
  run.begin();
  broken = true;
  run.finish();
  EXPECT_EQ(run.record().sources[0].problem, "");
  EXPECT_THAT(run.gaps(),
              ElementsAre(HasSubstr("rule Never of main: whether rule Never was changed during the "
                                    "run is not known: main: "),
                          HasSubstr("rule Added of main: whether rule Added was changed")));
  EXPECT_EQ(main.asked("/api/v1/query_range"), 0U) << "no floor is made of what may be another";
  for (const api::DetectionReport& one : run.detections(experiment.spec.expect)) {
    EXPECT_EQ(one.verdict, api::DetectionVerdict::unknown) << one.alert;
    EXPECT_THAT(one.reason, HasSubstr("was changed during the run is not known"));
  }
}

TEST(WatcherDoubts, ARuleThatAnotherOneMayHideIsNotHeldForTheSame) {
  const std::string hides = R"({"name":"Never","query":"x","type":"alerting","labels":{"l":")" +
                            std::string(5'000, 'z') + "\"}}";
  std::atomic<bool> later = false;
  auto paths = test::prometheus();
  paths["/api/v1/rules"] = [&](const auto&) {
    return test::success(R"({"groups":[{"name":"g","interval":1,"rules":[)" +
                         (later ? hides : kNever + ("," + hides)) + "]}]}");
  };
  const Monitor main(paths);
  const api::Experiment experiment = expecting({"Never"});
  Watching run({{main.options("main")}, {}, {}}, experiment);
  run.begin();
  ASSERT_EQ(run.record().rules.size(), 1U);
  later = true;
  run.finish();
  EXPECT_THAT(run.gaps(),
              ElementsAre(HasSubstr("rule Never of main: whether rule Never was changed during the "
                                    "run is not known: a rule of the alert \"Never\"")));
  const auto found = run.detections(experiment.spec.expect);
  EXPECT_EQ(found[0].verdict, api::DetectionVerdict::unknown) << found[0].reason;
}

// ---- gaps

TEST(WatcherGaps, AGapBeginsWithTheLastAnswer) {
  std::atomic<bool> hangs = false;
  const Monitor main(until(test::prometheus(kNever), hangs));
  SourceOptions options = main.options("main");
  options.timeout = milliseconds(600);
  Watching run({{options}, {}, {}}, expecting({"Never"}));
  run.begin();
  run.poll();
  const UtcTime answered = SystemClock().utc();
  hangs = true;
  run.poll();
  run.poll();
  hangs = false;
  run.poll();
  const UtcTime again = SystemClock().utc();
  ASSERT_EQ(run.record().gaps.size(), 1U);
  const api::MonitoringGap& gap = run.record().gaps[0];
  EXPECT_LE(gap.from.value, answered);
  EXPECT_GE(gap.from.value, answered - milliseconds(300));
  EXPECT_LE(gap.to.value, again);
  EXPECT_GE(gap.to.value, answered + milliseconds(1'200)) << "two questions failed";
}

TEST(WatcherGaps, AQuestionWithoutAnAnswerWhenTheRunEndsIsAGap) {
  std::atomic<bool> hangs = false;
  const Monitor main(until(test::prometheus(kNever), hangs));
  Watching run({{patient(main.options("main"))}, {}, {}}, expecting({"Never"}));
  run.begin();
  run.follow(milliseconds(200));
  hangs = true;
  run.follow(milliseconds(1'500));
  EXPECT_THAT(run.gaps(), IsEmpty()) << "not yet: nobody gave it up";
  hangs = false;
  run.finish();
  EXPECT_EQ(run.record().sources[0].problem, "") << "it answered at the end";
  EXPECT_THAT(run.gaps(), ElementsAre("main: it had not answered a question when the run ended"));
  ASSERT_EQ(run.record().gaps.size(), 1U);
  EXPECT_GE(run.record().gaps[0].to.value - run.record().gaps[0].from.value, milliseconds(1'400));
  const auto found = run.detections(expecting({"Never"}).spec.expect);
  EXPECT_EQ(found[0].verdict, api::DetectionVerdict::unknown) << found[0].reason;
}

}  // namespace
}  // namespace faultline::controller::observe
