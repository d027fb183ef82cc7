// SPDX-License-Identifier: Apache-2.0
// A watcher and sources that are slow, or say more than may be kept.
#include "controller/observe/watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "controller/observe/group_times.h"
#include "controller/observe/room.h"
#include "report/detections.h"
#include "tests/unit/observe/watching.h"

namespace faultline::controller::observe {
namespace {

using std::chrono::milliseconds;
using test::expecting;
using test::Monitor;
using test::sleep;
using test::Watching;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
namespace asio = boost::asio;

// How many numbers there are of each query that aborts, and of the signal.
std::vector<std::size_t> numbers(const api::MonitoringRecord& record) {
  std::vector<std::size_t> out(3);
  for (const api::SignalSample& sample : record.signals)
    if (sample.value) ++out[sample.abortWhen ? static_cast<std::size_t>(sample.index) : 2];
  return out;
}

api::Experiment asking() {
  api::Experiment out;
  for (const char* promql : {"a", "b"})
    out.spec.abortWhen.push_back({.promql = promql, .above = "9"});
  out.spec.expect.signals.push_back({.promql = "c", .equals = "request.rate"});
  return out;
}

TEST(WatcherBeats, OfEachQueryThatAbortsTheNewestNumberIsKept) {
  const Monitor main(test::prometheus());
  Watching run({{main.options("main")}, {}, {}}, asking());
  for (int i = 0; i < 3; ++i) run.poll();
  EXPECT_EQ(run.record().signals.size(), 9U);
  auto answers = run.watcher().abort_answers();
  ASSERT_EQ(answers.size(), 2U);
  std::ranges::sort(answers, {}, &AbortAnswer::index);
  EXPECT_EQ(answers[1].index, 1);
  EXPECT_EQ(answers[1].value, 7);
  EXPECT_LE(answers[1].asked, answers[1].arrived);
  const SteadyTime before = std::chrono::steady_clock::now();
  run.poll();
  for (const AbortAnswer& one : run.watcher().abort_answers())
    EXPECT_GE(one.asked, before) << "the newest";
}

TEST(WatcherBeats, NoSourceThatHangsDelaysAQueryThatAborts) {
  auto slow = test::prometheus();
  slow["/api/v1/query"] = [](const auto& query) {
    // The signal, and one of the conditions, never have an answer.
    const bool hangs = query.at("query") == "c" || query.at("query") == "b";
    return hangs ? std::string() : test::value_now(query, "7");
  };
  const Monitor main(slow), other(test::hangs(test::prometheus())),
      manager(test::hangs(test::alertmanager())), fine(test::alertmanager());
  Watching run({{main.options("main"), other.options("other")},
                {manager.options("am"), fine.options("fine")},
                {}},
               asking());
  run.follow(milliseconds(3500));
  EXPECT_GE(numbers(run.record())[0], 3U) << "one each second";
  EXPECT_EQ(numbers(run.record())[1], 0U);
  EXPECT_GE(fine.asked("/api/v2/alerts/groups"), 3U);
  EXPECT_LE(manager.asked("/api/v2/alerts"), 2U) << "it is waited for";
}

TEST(WatcherBeats, ASlowConditionIsNoPrometheusThatIsAway) {
  auto slow = test::prometheus();
  const test::Says says = slow["/api/v1/query"];
  slow["/api/v1/query"] = [says](const auto& query) {
    return query.at("query") == "b" ? std::string() : says(query);
  };
  const Monitor main(slow);
  Watching run({{main.options("main")}, {}, {}}, asking());
  run.poll();
  EXPECT_THAT(run.gaps(), IsEmpty());
  EXPECT_EQ(run.record().sources[0].problem, "");
  EXPECT_THAT(run.record().notes, Contains(HasSubstr("no answer from")));
}

TEST(WatcherBeats, WhoCancelsItWaitsForNothingAndMayDestroyIt) {
  const Monitor main(test::hangs(test::prometheus())), manager(test::hangs(test::alertmanager()));
  Watching run({{main.options("main")}, {manager.options("am")}, {}}, asking());
  asio::cancellation_signal cancel;
  bool aborted = false, ended = false;
  asio::co_spawn(run.io(), run.watcher().follow([] { return sleep(std::chrono::hours(1)); }),
                 asio::bind_cancellation_slot(cancel.slot(), [&](const std::exception_ptr& error) {
                   ended = true;
                   aborted = error != nullptr;
                   run.end();
                 }));
  asio::steady_timer timer(run.io(), milliseconds(300));
  timer.async_wait([&](auto) { cancel.emit(asio::cancellation_type::terminal); });
  const auto begin = std::chrono::steady_clock::now();
  run.io().run();
  EXPECT_TRUE(ended && aborted);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(1200));
}

TEST(WatcherBeats, WhatIsCutOffByTheEndIsNoGap) {
  auto slow = test::alertmanager();
  slow["/api/v2/alerts/groups"] = [](const auto&) { return std::string(); };
  const Monitor manager(slow);
  Watching run({{}, {manager.options("am")}, {}}, {});
  run.follow(milliseconds(200));
  EXPECT_EQ(run.record().sources[0].problem, "it was not asked yet");
  EXPECT_THAT(run.gaps(), IsEmpty());
}

TEST(WatcherQueries, WhatIsOldOrOfTheFutureOrARangeIsNoValue) {
  for (const char* result : {R"("vector","result":[{"metric":{},"value":[1795929484,"99"]}])",
                             R"("vector","result":[{"metric":{},"value":[9795929484,"99"]}])",
                             R"("scalar","result":[1,"99"])",
                             R"("matrix","result":[{"metric":{},"values":[[1795929484,"99"]]}])"}) {
    auto paths = test::prometheus();
    paths["/api/v1/query"] = [result](const auto&) {
      return test::success(R"({"resultType":)" + std::string(result) + "}");
    };
    const Monitor main(paths);
    Watching run({{main.options("main")}, {}, {}}, asking());
    run.poll();
    ASSERT_EQ(run.record().signals.size(), 3U) << result;
    EXPECT_EQ(numbers(run.record()), std::vector<std::size_t>(3)) << result;
    EXPECT_THAT(run.watcher().abort_answers(), IsEmpty()) << result;
    EXPECT_THAT(run.record().notes, Not(IsEmpty())) << "why is told";
    EXPECT_EQ(run.record().sources[0].problem, "") << "the source is not away";
  }
}

// ---- budgets

std::string long_label(const std::string& alert, std::size_t bytes) {
  return R"({"metric":{"__name__":"ALERTS","alertstate":"firing","alertname":")" + alert +
         R"(","long":")" + std::string(bytes, 'x') + R"("},"values":[[1,"1"]]})";
}

TEST(WatcherBudgets, AnAlertWithALabelOf28MegabytesIsNotTakenAndTold) {
  const std::string firing =
      R"({"metric":{"__name__":"ALERTS","alertstate":"firing","alertname":"Fine"},"values":[[1,"1"]]})";
  for (const bool expected : {true, false}) {
    const Monitor main(test::prometheus("", long_label("Slow", 28'000'000) + "," + firing));
    SourceOptions patient = main.options("main");
    patient.timeout = std::chrono::seconds(60);  // on a machine that is busy
    Watching run({{patient}, {}, {}}, expecting({expected ? "Slow" : "Mine"}));
    run.begin();
    run.finish(std::chrono::seconds(120));
    EXPECT_FALSE(run.record().changes.empty());
    for (const api::AlertChange& change : run.record().changes) EXPECT_EQ(change.alert, "Fine");
    constexpr const char* kWords = "main: an alert with a label of 28 MB was not taken";
    EXPECT_THAT(run.record().notes, Contains(kWords));
    if (expected) {
      EXPECT_THAT(run.gaps(), ElementsAre(kWords)) << "perhaps it fired";
    } else {
      EXPECT_THAT(run.gaps(), IsEmpty());
    }
  }
}

TEST(WatcherBudgets, HeldAlertsHaveARoomOfTheirOwn) {
  std::string held;
  for (int i = 0; i < 1'500; ++i)
    held += (i > 0 ? "," : "") + (R"({"fingerprint":"f)" + std::to_string(i)) +
            R"(","labels":{"alertname":"Slow","long":")" + std::string(4'000, 'x') + "\"}}";
  const Monitor manager(test::alertmanager(held));
  Watching run({{}, {manager.options("am")}, {}}, expecting({"Slow"}));
  run.begin();
  EXPECT_GT(run.record().held.size(), 300U);
  EXPECT_LE(bytes_of(run.record().held), std::size_t{2} << 20);
  EXPECT_THAT(run.gaps(), ElementsAre(HasSubstr("changed more often than a run keeps")));
  const Monitor longer(test::alertmanager(R"({"labels":{"alertname":"Slow","l":")" +
                                          std::string(5'000, 'x') + "\"}}"));
  Watching other({{}, {longer.options("am")}, {}}, expecting({"Slow"}));
  other.begin();
  EXPECT_THAT(other.record().held, IsEmpty());
  EXPECT_THAT(other.gaps(), ElementsAre("am: an alert with a label of 5 kB was not taken"));
}

TEST(WatcherBudgets, AllRunsTogetherHaveARoomToo) {
  const auto room = std::make_shared<Room>(100'000);
  const auto flood = [&](Watching& run) {
    for (int i = 0; i < 500; ++i)
      run.watcher().notified({.receiver = "pager",
                              .alert = "A",
                              .labels = {{"i", std::to_string(i) + std::string(1'000, 'x')}}});
    return run.record().notifications.size();
  };
  {
    Watching first({{}, {}, {}, room}, {}), second({{}, {}, {}, room}, {});
    EXPECT_GT(flood(first), 50U);
    EXPECT_EQ(flood(second), 0U);
    EXPECT_THAT(second.gaps(), ElementsAre(HasSubstr("receiver pager: 500 notifications more")));
  }
  EXPECT_EQ(room->used(), 0U);
}

TEST(WatcherBudgets, AFloodOfNotificationsIsBoundedAndAGap) {
  Watching run({}, {});
  for (int i = 0; i < 10'000; ++i)
    run.watcher().notified(
        {.receiver = "pager", .alert = "A", .labels = {{"i", std::to_string(i)}}});
  EXPECT_EQ(run.record().notifications.size(), Watcher::kMostNotifications);
  EXPECT_THAT(
      run.gaps(),
      ElementsAre("receiver pager: 8000 notifications more than a run keeps: 2000 are kept"));
  Watching large({}, {});
  for (int i = 0; i < 1'500; ++i)
    large.watcher().notified({.receiver = "pager",
                              .alert = "A",
                              .labels = {{"i", std::to_string(i) + std::string(4'000, 'x')}}});
  EXPECT_GT(large.record().notifications.size(), 300U);
  EXPECT_LE(bytes_of(large.record().notifications), std::size_t{2} << 20);
  EXPECT_THAT(large.gaps(), ElementsAre(HasSubstr("more than a run keeps")));
  Watching again({}, {});
  for (int i = 0; i < 5; ++i) {
    again.watcher().notified({.receiver = "pager", .alert = "A"});
    again.watcher().notified({.receiver = "pager", .alert = "A", .resolved = true});
  }
  EXPECT_EQ(again.record().notifications.size(), 2U);
  EXPECT_THAT(again.gaps(), IsEmpty());
}

TEST(WatcherBudgets, GroupsAreKeptOnceWithTheirTimes) {
  const auto at = [](int seconds) {
    return UtcTime(std::chrono::seconds(1'795'929'484 + seconds));
  };
  const auto all = [](const AlertGroup&) { return true; };
  const AlertGroup slow{"pager", {{"alertname", "Slow"}}}, fast{"pager", {{"alertname", "Fast"}}};
  const auto is_slow = [&](const AlertGroup& group) { return group == slow; };
  auto room = std::make_shared<Room>(std::size_t{1} << 20);
  GroupTimes groups(1 << 20, room);
  EXPECT_TRUE(groups.look({fast}, at(0), all));
  for (int i = 1; i < 600; ++i) EXPECT_TRUE(groups.look({slow, fast}, at(i), all));
  const std::size_t used = room->used();
  EXPECT_LT(used, 2'000U) << "600 looks at two groups";
  EXPECT_TRUE(groups.look({fast}, at(600), all));
  EXPECT_TRUE(groups.look({slow}, at(700), all));
  EXPECT_FALSE(groups.any(at(0), is_slow));
  EXPECT_TRUE(groups.any(at(1), is_slow));
  EXPECT_TRUE(groups.any(at(599), is_slow));
  EXPECT_FALSE(groups.any(at(600), is_slow)) << "it was gone";
  EXPECT_TRUE(groups.any(at(800), is_slow));
  EXPECT_TRUE(groups.look({slow, {"pager", {{"long", std::string(5'000, 'x')}}}}, at(800), is_slow))
      << "nobody wants it";
  GroupTimes small(100);
  EXPECT_FALSE(small.look({slow}, at(0), all));
}

// ---- notifications that are not whole

TEST(WatcherNotified, WhatAlertmanagerLeftOffIsAGapOfTheReceiver) {
  const Monitor main(test::prometheus(R"({"name":"Slow","query":"up","type":"alerting"})")),
      manager(test::alertmanager());
  Watching run({{main.options("main")}, {manager.options("am")}, {}}, expecting({"Slow"}));
  run.begin();
  const UtcTime at(std::chrono::seconds(1'795'929'484));
  run.watcher().left_off("pager", at, 0);
  run.watcher().left_off("chat", at, 5);
  run.finish();
  EXPECT_THAT(run.gaps(), IsEmpty()) << "no expected alert leads to it";
  run.watcher().left_off("pager", at, 12);
  run.finish();
  EXPECT_THAT(run.gaps(), ElementsAre("receiver pager: Alertmanager left off 12 alerts of this "
                                      "notification: max_alerts"));
  run.watcher().left_off("pager", at + milliseconds(1500), 1);
  run.finish();
  EXPECT_THAT(run.gaps(), ElementsAre("receiver pager: Alertmanager left off 13 alerts of 2 "
                                      "notifications: max_alerts"));
  EXPECT_EQ(run.record().gaps[0].from.value, at);
  EXPECT_EQ(run.record().gaps[0].to.value, at + milliseconds(1500));
  NotTaken other, mine;
  other.add(boost::json::object{{"alertname", "Other"}}, "a label of 5 kB");
  mine.add(boost::json::object{{"alertname", "Slow"}}, "a label of 5 kB");
  run.watcher().not_taken("pager", at, other);
  EXPECT_EQ(run.record().gaps.size(), 1U);
  run.watcher().not_taken("pager", at, mine);
  EXPECT_EQ(run.gaps().back(), "receiver pager: an alert with a label of 5 kB was not taken");
}

TEST(WatcherNotified, AFloodOfReceiversIsAFewGaps) {
  Watching run({}, expecting({"Slow"}));
  for (int i = 0; i < 1'000; ++i)
    run.watcher().left_off("r" + std::to_string(i), UtcTime(std::chrono::seconds(1)), UINT64_MAX);
  run.finish();
  EXPECT_EQ(run.record().gaps.size(), 21U);
  EXPECT_THAT(run.gaps().back(), HasSubstr("receiver of any name: Alertmanager left off"));
}

// ---- rules

std::string rule(const std::string& alert, const std::string& more,
                 const std::string& expr = "up == 0") {
  return R"({"name":")" + alert + R"(","query":")" + expr + R"(","type":"alerting")" + more + "}";
}

TEST(WatcherRules, ARuleThatChangesDuringTheRunExplainsNothing) {
  struct Case {
    std::string before, after, words;
  };
  const std::vector<Case> cases = {
      {rule("Slow", R"(,"duration":60)"), rule("Slow", R"(,"duration":30)"),
       "for was 1m and is 30s"},
      {rule("Slow", ""), rule("Slow", R"(,"keepFiringFor":30)"),
       "keep_firing_for was 0s and is 30s"},
      {rule("Slow", "", "up == 0"), rule("Slow", "", "up == 1"),
       "the expression was up == 0 and is up == 1"},
      {rule("Slow", ""), rule("Other", ""), "it was removed"},
      {rule("Slow", R"(,"labels":{"a":"b"})"), rule("Slow", ""),
       "it was removed, or its labels were changed"},
      {rule("Other", ""), rule("Slow", ""), "it was added to group \"g\""},
      {rule("Slow", R"(,"labels":{"a":"b"})") + "," + rule("Slow", ""),
       rule("Slow", "") + "," + rule("Slow", R"(,"labels":{"a":"b"})"), ""},
  };
  for (const Case& one : cases) {
    std::atomic<bool> later = false;
    auto paths = test::prometheus();
    paths["/api/v1/rules"] = [&](const auto&) {
      return test::success(R"({"groups":[{"name":"g","interval":1,"rules":[)" +
                           (later ? one.after : one.before) + "]}]}");
    };
    const Monitor main(paths);
    Watching run({{main.options("main")}, {}, {}}, expecting({"Slow"}));
    run.begin();
    later = true;
    run.finish();
    ASSERT_FALSE(run.record().rules.empty());
    EXPECT_EQ(run.record().rules[0].changed, one.words);
    if (one.words.empty()) {
      EXPECT_THAT(run.gaps(), IsEmpty());
      EXPECT_GT(main.asked("/api/v1/query_range"), 0U);
      continue;
    }
    EXPECT_THAT(
        run.gaps(),
        ElementsAre("rule Slow of main: rule Slow was changed during the run: " + one.words));
    EXPECT_EQ(main.asked("/api/v1/query_range"), 0U) << "no floor is made of it";
    ASSERT_EQ(run.record().evaluations.size(), 1U);
    EXPECT_FALSE(run.record().evaluations[0].series.has_value());
  }
}

TEST(WatcherRules, OneQuestionForTheJobsOfAllRules) {
  std::string rules;
  for (int i = 0; i < 300; ++i)
    rules += (i > 0 ? "," : "") +
             rule(i % 2 == 0 ? "Slow" : "Other", "", "metric_" + std::to_string(i) + " > 0");
  auto paths = test::prometheus(rules);
  paths["/api/v1/query"] = [says = paths["/api/v1/query"]](const auto& query) {
    if (!query.at("query").starts_with("group by")) return says(query);
    return test::vector_of(R"({"metric":{"__name__":"metric_0","job":"shop"},"value":[1,"1"]},)"
                           R"({"metric":{"__name__":"metric_2","job":"bank"},"value":[1,"1"]})");
  };
  paths["/api/v1/targets"] = [](const auto&) {
    return test::success(R"({"activeTargets":[{"labels":{"job":"shop"},"scrapeInterval":"5s"},)"
                         R"({"labels":{"job":"bank"},"scrapeInterval":"30s"}]})");
  };
  const Monitor main(paths);
  Watching run({{main.options("main")}, {}, {}}, expecting({"Slow"}));
  run.begin();
  ASSERT_EQ(run.record().rules.size(), 150U);
  EXPECT_EQ(run.record().rules[0].scrapeInterval, 5);
  EXPECT_EQ(run.record().rules[1].scrapeInterval, 30);
  EXPECT_EQ(run.record().rules[2].scrapeInterval, std::nullopt);
  EXPECT_EQ(main.asked("/api/v1/query group by"), 1U);
  EXPECT_THAT(run.record().notes, IsEmpty());
}

}  // namespace
}  // namespace faultline::controller::observe
