// SPDX-License-Identifier: Apache-2.0
// A labelled incident: its files against their schema by a validator that is not ours, its metrics
// by a strict reader and, where there is one, by Prometheus' own.
#include <gmock/gmock.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/places.h"
#include "tests/unit/hostile.h"
#include "tests/unit/report/gameday_synthetic.h"

namespace faultline::report {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using synthetic::Day;
using testing::HasSubstr;
using testing::Not;
using testing_words::all_hostile;
using testing_words::kHostile;

std::map<std::string, std::string> files_of(
    const Day& day, const std::map<std::string, api::RunRecord>& records = {}) {
  std::map<std::string, std::string> out;
  for (const IncidentFile& file : gameday_incident(day.report(), day.runs, records))
    out[file.name] = file.content;
  return out;
}

// What a command prints, both streams.
std::string printed(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string out;
  char part[4096];
  while (pipe != nullptr && std::fgets(part, sizeof part, pipe) != nullptr) out += part;
  if (pipe != nullptr) pclose(pipe);
  return out;
}

std::string check(const char* script, const std::string& content) {
  const fs::path file =
      fs::temp_directory_path() / ("fl-incident-" + std::to_string(getpid()) + ".txt");
  std::ofstream(file) << content;
  std::string out =
      printed("python3 '" + (test::source_dir() / script).string() + "' '" + file.string() + "'");
  fs::remove(file);
  return out;
}

std::string metrics_check(const std::string& text) {
  return check("tests/unit/report/openmetrics_check.py", text);
}

void expect_valid(const std::map<std::string, std::string>& files) {
  json::array documents;
  for (const char* name : {"incident.json", "alerts.json", "timeline.json"})
    documents.push_back(json::parse(files.at(name)));
  // A document that breaks the schema, so that it is seen to be looked at.
  json::object broken = documents[0].as_object();
  broken["groundTruth"].as_array().push_back(json::object{{"pod", 1}});
  documents.push_back(broken);
  EXPECT_EQ(check("tests/unit/api/schema_check.py",
                  json::serialize(json::object{{"schema", json::parse(files.at("schema.json"))},
                                               {"documents", documents}})),
            "1110\n");
  EXPECT_THAT(metrics_check(files.at("metrics.prom")),
              testing::MatchesRegex("[0-9]+ families, [0-9]+ samples\n"));
}

std::map<std::string, api::RunRecord> records() {
  std::map<std::string, api::RunRecord> out;
  out["slow-1"] = synthetic::slow_payments(1);
  return out;
}

TEST(Incident, IsWhatItsSchemaSays) {
  if (std::system("python3 -c 'import jsonschema' 2>/dev/null") != 0)
    GTEST_SKIP() << "needs python3-jsonschema (scripts/setup test)";
  const Day day = synthetic::payments_day();
  expect_valid(files_of(day));
  expect_valid(files_of(day, records()));
  expect_valid(files_of(synthetic::blank_day()));
  Day hostile;
  hostile.record = all_hostile(day.record);
  for (const auto& [id, report] : day.runs) hostile.runs[id + kHostile] = all_hostile(report);
  expect_valid(files_of(hostile));
  std::map<std::string, api::RunRecord> bad;
  for (const auto& [id, record] : records()) bad[id + kHostile] = all_hostile(record);
  expect_valid(files_of(hostile, bad));
}

TEST(Incident, TellsWhatWasInjectedWhereAndWhen) {
  const Day day = synthetic::payments_day();
  const auto files = files_of(day, records());
  const json::value incident = json::parse(files.at("incident.json"));
  const json::array& truth = incident.at("groundTruth").as_array();
  ASSERT_EQ(truth.size(), 2U);
  EXPECT_EQ(truth[0].at("pod").as_string(), "shop/payments-0");
  EXPECT_EQ(truth[0].at("fault").as_string(), "networkLatency");
  EXPECT_EQ(truth[0].at("firstInjectedAt").as_string(), synthetic::at(10.2061).format());
  EXPECT_EQ(truth[0].at("surprise").as_bool(), false);
  EXPECT_EQ(truth[1].at("surprise").as_bool(), true);
  const json::value& topology = incident.at("topology");
  EXPECT_EQ(topology.at("nodes").as_array().size(), 1U);
  EXPECT_EQ(topology.at("pods").as_array().size(), 3U);
  EXPECT_FALSE(topology.at("endpoints").as_array().empty());
  EXPECT_EQ(incident.at("runs").as_array()[0].at("metrics").as_string(), "windows");
  EXPECT_EQ(incident.at("runs").as_array()[1].at("metrics").as_string(), "phases");
}

TEST(Incident, HasTheEdgesThatWereSeen) {
  Day day = synthetic::payments_day();
  day.runs["slow-1"].timeline.push_back({"connected",
                                         "control pod is connected with shop/payments-0",
                                         synthetic::at(3), 3, "shop/catalog-0 on node-1"});
  const json::value incident = json::parse(files_of(day).at("incident.json"));
  const json::array& edges = incident.at("topology").at("edges").as_array();
  ASSERT_EQ(edges.size(), 1U);
  EXPECT_EQ(edges[0].at("a").as_string(), "shop/catalog-0");
  EXPECT_EQ(edges[0].at("b").as_string(), "shop/payments-0");
}

TEST(Incident, MetricsHaveEveryPodAndEveryWindow) {
  const auto files = files_of(synthetic::payments_day(), records());
  const std::string& text = files.at("metrics.prom");
  for (const char* pod : {"payments-0", "checkout-0", "catalog-0"})
    EXPECT_THAT(text, HasSubstr("pod=\"" + std::string(pod) + "\""));
  EXPECT_THAT(text, HasSubstr("# TYPE faultline_request_latency_p99_seconds gauge\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE faultline_request_rate counter\n"));
  EXPECT_THAT(text, HasSubstr("phase=\"fault\"")) << "the run without a record";
  EXPECT_THAT(metrics_check("# TYPE a gauge\na{b=\"c\"} 1 2.000\na{b=\"c\"} 1 1.000\n# EOF\n"),
              HasSubstr("time does not grow"));
}

TEST(Incident, PrometheusReadsTheMetrics) {
  if (std::system("command -v promtool > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "needs promtool (scripts/setup monitoring)";
  const auto files = files_of(synthetic::payments_day(), records());
  const fs::path dir = fs::temp_directory_path() / ("fl-incident-" + std::to_string(getpid()));
  fs::create_directories(dir);
  std::ofstream(dir / "metrics.prom") << files.at("metrics.prom");
  const std::string out =
      printed("promtool tsdb create-blocks-from openmetrics '" + (dir / "metrics.prom").string() +
              "' '" + (dir / "data").string() + "'");
  EXPECT_THAT(out, HasSubstr("BLOCK ULID"));
  EXPECT_THAT(out, Not(HasSubstr("error")));
  fs::remove_all(dir);
}

}  // namespace
}  // namespace faultline::report
