// SPDX-License-Identifier: Apache-2.0
// Answers of which a part is missing, as Thanos, Mimir and VictoriaMetrics give them.
#include "controller/observe/in_part.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "api/gap_words.h"
#include "controller/observe/prometheus.h"
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
using testing::SizeIs;
using testing::StartsWith;

constexpr const char* kStore = "receive series from Addr: 10.0.0.7:10901: rpc error: Unavailable";

// The same answer, of a part of the stores.
std::string in_part(std::string answer,
                    const std::string& warnings = std::string("\"") + kStore + "\"") {
  answer.pop_back();
  return answer + R"(,"warnings":[)" + warnings + "]}";
}

std::string words(const std::string& more) {
  return missing_words(
      boost::json::parse(R"({"status":"success","data":{"result":[]})" + more + "}"));
}

TEST(InPart, OnlyWhatIsNotAboutTheQueryMakesAnAnswerAPart) {
  for (
      const char* whole :
      {"", R"(,"warnings":[])", R"(,"warnings":null)", R"(,"isPartial":false)",
       R"(,"infos":["PromQL info: metric might not be a counter"])", R"(,"infos":["anything"])",
       R"(,"warnings":["PromQL warning: quantile value should be between 0 and 1, got 2"])",
       R"(,"warnings":["PromQL info: metric might not be a counter, name does not end in _total"])"})
    EXPECT_EQ(words(whole), "") << whole;
  EXPECT_EQ(words(R"(,"warnings":["No StoreAPIs matched for this query"])"),
            "a part of what it asks did not answer: No StoreAPIs matched for this query");
  EXPECT_THAT(words(R"(,"isPartial":true)"), HasSubstr("its answer is partial"));
  EXPECT_THAT(words(R"(,"warnings":["PromQL warning: x","store away"])"),
              HasSubstr("did not answer: store away"));
}

TEST(InPart, TheWordsOfAWarningAreBoundedAndPrintable) {
  EXPECT_THAT(words(R"(,"warnings":["\u001b[2J\nfake log line"])"), HasSubstr("\\x1b[2J\\nfake"));
  std::string many = "\"" + std::string(10'000, 'x') + "\"";
  for (int i = 0; i < 10'000; ++i) many += ",\"w" + std::to_string(i) + "\"";
  const std::string told = words(",\"warnings\":[" + many + "]");
  EXPECT_LT(told.size(), 400U);
  EXPECT_THAT(told, HasSubstr("; and 9998 more"));
  for (const char* strange : {R"(,"warnings":"away")", R"(,"warnings":[7])", R"(,"warnings":[""])",
                              R"(,"warnings":{"a":1})", R"(,"warnings":true)"})
    EXPECT_THAT(words(strange), StartsWith(std::string(api::kPartialAnswer))) << strange;
  EXPECT_EQ(missing_words(boost::json::parse("[]")), "");
}

TEST(InPart, WhoAsksWithoutAWordForItGetsAnError) {
  auto paths = test::prometheus();
  for (auto& [path, says] : paths)
    says = [says = says](const auto& query) { return in_part(says(query)); };
  const Monitor main(paths);
  const SystemClock clock;
  boost::asio::io_context io;
  Prometheus client(io.get_executor(), main.options("main"), clock);
  const auto number = http::run(io, client.number("up", 1795929484));
  ASSERT_FALSE(number);
  EXPECT_EQ(number.error().code, Errc::kUnavailable);
  EXPECT_EQ(number.error().message,
            std::string("main: a part of what it asks did not answer: ") + kStore);
  EXPECT_FALSE(http::run(io, client.query("up", 1795929484)));
  EXPECT_FALSE(http::run(io, client.query_range("up", 100, 102, 1)));
  EXPECT_FALSE(http::run(io, client.targets()));
  const auto part = http::run(io, client.number_in_part("up", 1795929484));
  ASSERT_TRUE(part) << part.error().message;
  EXPECT_EQ(part->value, 7);
  EXPECT_THAT(part->missing, HasSubstr(kStore));
  EXPECT_TRUE(http::run(io, client.clock_offset())) << "its time is whole";
}

// ---- a run

constexpr const char* kRules =
    R"({"name":"Slow","query":"up","type":"alerting"},{"name":"Never","query":"up","type":"alerting"})";

std::string firing_now(const std::string& alert) {
  const double now = std::chrono::duration<double>(SystemClock().utc().time_since_epoch()).count();
  return R"({"metric":{"alertname":")" + alert + R"(","alertstate":"firing"},"values":[[)" +
         std::to_string(now + 0.1) + R"(,"1"]]})";
}

// A Prometheus whose answers at one path, to queries that begin so, get `warnings`.
std::map<std::string, test::Says> partly(std::map<std::string, test::Says> paths,
                                         const std::string& path, const std::string& begin,
                                         const std::string& warnings) {
  paths[path] = [says = paths[path], begin, warnings](const auto& query) {
    const auto asks = query.find("query");
    const bool mine = begin.empty() || (asks != query.end() && asks->second.starts_with(begin));
    return mine ? in_part(says(query), warnings) : says(query);
  };
  return paths;
}

TEST(WatcherInPart, AlertsOfAPartAreAGapAndNothingIsMissed) {
  for (const bool part : {true, false}) {
    std::string alerts;
    auto paths = test::prometheus(kRules);
    paths["/api/v1/query"] = [&alerts, says = paths["/api/v1/query"]](const auto& query) {
      return query.at("query").starts_with("ALERTS") ? test::matrix_of(alerts) : says(query);
    };
    paths = partly(paths, "/api/v1/query", "ALERTS",
                   part ? std::string("\"") + kStore + "\""
                        : std::string("\"PromQL warning: bucket label missing\""));
    const Monitor main(paths);
    const api::Experiment experiment = expecting({"Slow", "Never", "Unknown"});
    Watching run({{main.options("main")}, {}, {}}, experiment);
    run.begin();
    alerts = firing_now("Slow") + "," + firing_now("Other");
    run.follow(milliseconds(500));
    run.finish();
    EXPECT_EQ(run.record().sources[0].problem, "") << "it answered";
    const auto found = run.detections(experiment.spec.expect);
    ASSERT_THAT(found, SizeIs(4));
    EXPECT_TRUE(found[0].firingAt.set()) << "what a part has is true";
    EXPECT_EQ(found[3].verdict, api::DetectionVerdict::false_alarm);
    const std::string told = std::string("main: ") + std::string(api::kPartialAnswer) + kStore;
    if (part) {
      EXPECT_THAT(run.gaps(), ElementsAre(told));
      EXPECT_THAT(run.record().notes, Contains(told));
      for (const std::size_t i : {1U, 2U}) {
        EXPECT_EQ(found[i].verdict, api::DetectionVerdict::unknown) << found[i].reason;
        EXPECT_EQ(found[i].reason, told);
      }
      EXPECT_THAT(found[0].reason, HasSubstr(told));
      EXPECT_THAT(found[3].reason, HasSubstr(told));
    } else {
      EXPECT_THAT(run.gaps(), IsEmpty());
      for (const std::size_t i : {1U, 2U})
        EXPECT_EQ(found[i].verdict, api::DetectionVerdict::missed) << found[i].reason;
    }
  }
}

TEST(WatcherInPart, RulesOfAPartHideNoneAndRemoveNone) {
  std::atomic<bool> part = false;
  auto paths = test::prometheus(kRules);
  paths["/api/v1/rules"] = [&, says = paths["/api/v1/rules"]](const auto& query) {
    if (!part) return says(query);
    return in_part(test::success(R"({"groups":[]})"));
  };
  const Monitor main(paths);
  const api::Experiment experiment = expecting({"Never", "Unknown"});
  Watching run({{main.options("main")}, {}, {}}, experiment);
  run.begin();
  EXPECT_THAT(run.gaps(), IsEmpty());
  part = true;
  run.finish();
  ASSERT_THAT(run.record().rules, SizeIs(1));
  EXPECT_EQ(run.record().rules[0].changed, "") << "whether it was removed is not known";
  EXPECT_THAT(run.gaps(),
              ElementsAre(HasSubstr("whether rule Never was changed during the run is not known"),
                          HasSubstr("whether rule Unknown was changed")));
  for (const api::DetectionReport& one : run.detections(experiment.spec.expect)) {
    EXPECT_EQ(one.verdict, api::DetectionVerdict::unknown) << one.reason;
    EXPECT_FALSE(one.floor) << "no floor is made of what may be another";
  }
  Watching later({{main.options("main")}, {}, {}}, experiment);
  later.begin();
  EXPECT_THAT(later.gaps(), ElementsAre(HasSubstr(kStore)));
  EXPECT_EQ(later.record().sources[0].problem, "");
}

TEST(WatcherInPart, ASignalOfAPartHasNoValueAndTheGapEndsWithTheFirstWholeAnswer) {
  std::atomic<bool> part = true;
  auto paths = test::prometheus(kRules);
  paths["/api/v1/query"] = [&, says = paths["/api/v1/query"]](const auto& query) {
    const bool mine = part && query.at("query") == "latency";
    return mine ? in_part(says(query)) : says(query);
  };
  const Monitor main(paths);
  api::Experiment experiment = expecting({"Never"});
  experiment.spec.expect.signals.push_back({.promql = "latency"});
  Watching run({{main.options("main")}, {}, {}}, experiment);
  run.begin();
  run.poll();
  run.poll();
  EXPECT_THAT(run.gaps(), IsEmpty()) << "it goes on";
  part = false;
  run.poll();
  ASSERT_THAT(run.gaps(), ElementsAre(HasSubstr(kStore)));
  const UtcTime ended = run.record().gaps[0].to.value;
  run.poll();
  EXPECT_EQ(run.record().gaps[0].to.value, ended);
  ASSERT_THAT(run.record().signals, SizeIs(4));
  for (const std::size_t i : {0U, 1U}) EXPECT_FALSE(run.record().signals[i].value) << i;
  for (const std::size_t i : {2U, 3U}) EXPECT_EQ(run.record().signals[i].value, 7) << i;
  part = true;
  run.poll();
  run.finish();
  EXPECT_THAT(run.gaps(), SizeIs(2)) << "one that goes on ends with the run";
}

TEST(WatcherInPart, AnAnswerOfAPartToAConditionIsKnownAsOne) {
  std::atomic<bool> part = false;
  auto paths = test::prometheus();
  paths["/api/v1/query"] = [&, says = paths["/api/v1/query"]](const auto& query) {
    return part ? in_part(says(query)) : says(query);
  };
  const Monitor main(paths);
  api::Experiment experiment;
  experiment.spec.abortWhen.push_back({.promql = "errors", .above = "10"});
  Watching run({{main.options("main")}, {}, {}}, experiment);
  run.begin();
  const SteadyTime since = std::chrono::steady_clock::now();
  run.poll();
  ASSERT_THAT(run.watcher().abort_answers(), SizeIs(1));
  const SteadyTime whole = run.watcher().abort_answers()[0].arrived;
  EXPECT_GE(whole, since);
  part = true;
  run.poll();
  EXPECT_EQ(run.watcher().abort_answers()[0].arrived, whole) << "the newest that was whole";
  EXPECT_GT(run.watcher().abort_answers()[0].asked, whole);
  EXPECT_EQ(run.watcher().abort_answers()[0].value, 7);
  EXPECT_THAT(run.gaps(), ElementsAre(HasSubstr(std::string("signals of main: ") +
                                                std::string(api::kPartialAnswer))));
  EXPECT_FALSE(run.record().signals.back().value);
}

}  // namespace
}  // namespace faultline::controller::observe
