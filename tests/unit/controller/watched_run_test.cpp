// SPDX-License-Identifier: Apache-2.0
// The monitoring of runs that are taken over, and of runs whose controller is told of other
// sources. The Prometheus is a double that answers over loopback, the controllers are real.
#include <gmock/gmock.h>

#include <atomic>
#include <fstream>

#include "house.h"
#include "tests/unit/observe/monitor.h"

namespace faultline::controller::test {
namespace {

using api::RunState;
using observe::test::Monitor;
using observe::test::Says;
using testing::HasSubstr;

constexpr const char* kQuestion = "/api/v1/query errors";

// A Prometheus of which the pages that are asked before a run never answer while `slow`, and the
// query of abortWhen while `silent`.
std::map<std::string, Says> pages(const std::atomic<bool>& slow, const std::atomic<bool>& silent) {
  auto paths = observe::test::prometheus(R"({"name":"Slow","query":"up","type":"alerting"})");
  for (auto& [path, says] : paths)
    says = [says = says, &slow, &silent](const auto& query) {
      const auto asks = query.find("query");
      const bool aborts = asks != query.end() && asks->second == "errors";
      return (aborts ? silent : slow) ? std::string() : says(query);
    };
  return paths;
}

class WatchedRun : public testing::Test {
 protected:
  WatchedRun() : main_(pages(slow_, silent_)) {}

  void open(const std::string& token_file = "") {
    HouseOptions options{.store_path = dir_.file("store.db"), .port = port_};
    options.times.lease = seconds(3);
    api::MonitoringEndpoint source = endpoint("main", main_.options("main").url, seconds(20));
    source.bearerTokenFile = token_file;
    options.monitoring = {source};
    house_ = std::make_unique<House>(options);
    port_ = house_->port();
    if (!agent_) agent_ = std::make_unique<AgentDouble>(house_->client("agent-token"), "n1");
  }
  void next(const std::string& token_file = "") {
    house_->kill();
    open(token_file);
  }
  // A run in its fault, which ends at more than 10.
  std::string start(const std::string& more = "") {
    const std::string text =
        api::to_yaml(experiment("  phases: {baseline: 0s, fault: 60s, recovery: 200ms}\n"
                                "  abortWhen: [{promql: errors, above: \"10\"}]\n" +
                                more));
    http::ClientResponse made;
    for (int i = 0; i < 200 && made.status != 201; ++i) {
      made = house_->call("POST", "/api/v1/experiments", text);
      if (made.status != 201) std::this_thread::sleep_for(milliseconds(20));
    }
    EXPECT_EQ(made.status, 201) << made.body;
    if (made.status != 201) return "";
    const auto parsed = boost::json::parse(made.body);
    const std::string run(parsed.at("run").as_string());
    house_->until(run, RunState::Injecting);
    return run;
  }
  void wait_for_questions(const Monitor& of, std::size_t more) {
    const std::size_t before = of.asked(kQuestion);
    for (int i = 0; i < 500 && of.asked(kQuestion) < before + more; ++i)
      std::this_thread::sleep_for(milliseconds(10));
    EXPECT_GE(of.asked(kQuestion), before + more);
  }

  TempDir dir_;
  std::atomic<bool> slow_ = false, silent_ = false;
  Monitor main_;
  std::uint16_t port_ = 0;
  std::unique_ptr<House> house_;
  std::unique_ptr<AgentDouble> agent_;
};

TEST_F(WatchedRun, AMonitoringThatIsSlowAfterATakeoverEndsNoFaultWhoseConditionIsAnswered) {
  open();
  const std::string run = start();
  wait_for_questions(main_, 1);
  slow_ = true;
  next();
  wait_for_questions(main_, 2);
  std::this_thread::sleep_for(seconds(6));
  EXPECT_EQ(house_->record(run).state, RunState::Injecting) << house_->record(run).stateReason;
  house_->call("POST", "/api/v1/experiments/" + run + "/stop");
  house_->until(run, RunState::Aborted);
}

TEST_F(WatchedRun, AfterATakeoverAConditionHasItsWholeTimeForAnAnswer) {
  open();
  const std::string run = start();
  wait_for_questions(main_, 1);
  silent_ = true;
  std::this_thread::sleep_for(seconds(3));
  next();
  const SteadyTime taken = std::chrono::steady_clock::now();
  const api::RunRecord record = house_->until(run, RunState::Aborted, seconds(15));
  const auto lasted = std::chrono::steady_clock::now() - taken;
  EXPECT_THAT(record.stateReason, HasSubstr("the monitoring had no answer to it for 5 s"));
  EXPECT_GE(lasted, milliseconds(4'700)) << "the time before the takeover does not count";
  EXPECT_LT(lasted, milliseconds(8'000));
}

TEST_F(WatchedRun, ASourceWhoseTokenCannotBeReadAfterATakeoverIsTriedAgain) {
  open();
  const std::string run = start();
  const std::string token = dir_.file("token");
  next(token);
  std::this_thread::sleep_for(milliseconds(500));
  const std::size_t before = main_.asked(kQuestion);
  std::ofstream(token) << "secret\n";
  wait_for_questions(main_, 2);
  EXPECT_GT(main_.asked(kQuestion), before);
  EXPECT_EQ(house_->record(run).state, RunState::Injecting) << house_->record(run).stateReason;
  house_->call("POST", "/api/v1/experiments/" + run + "/stop");
  house_->until(run, RunState::Aborted);
}

TEST_F(WatchedRun, NobodyWhoCanAskEndsTheFault) {
  open();
  const std::string run = start();
  next(dir_.file("token"));
  const api::RunRecord record = house_->until(run, RunState::Aborted, seconds(15));
  EXPECT_THAT(record.stateReason, HasSubstr("nobody could ask the monitoring since"));
}

TEST_F(WatchedRun, ASourceThatTheNextControllerDoesNotHaveIsNotHeldForSilent) {
  open();
  const std::string run = start("  expect: {alerts: [{name: Slow, within: 10s}]}\n");
  const Monitor other(pages(slow_, silent_));
  house_->kill();
  HouseOptions options{.store_path = dir_.file("store.db"), .port = port_};
  options.times.lease = seconds(3);
  options.monitoring = {endpoint("other", other.options("other").url)};
  house_ = std::make_unique<House>(options);
  wait_for_questions(other, 2);
  house_->call("POST", "/api/v1/experiments/" + run + "/stop");
  const api::RunRecord record = house_->until(run, RunState::Aborted);
  ASSERT_TRUE(record.monitoring);
  ASSERT_EQ(record.monitoring->sources.size(), 2U);
  EXPECT_EQ(record.monitoring->sources[0].name, "other");
  EXPECT_EQ(record.monitoring->sources[0].problem, "");
  EXPECT_EQ(record.monitoring->sources[1].name, "main");
  EXPECT_THAT(record.monitoring->sources[1].problem, HasSubstr("does not have it"));
  const auto report = house_->get("/api/v1/reports/" + run);
  EXPECT_EQ(report.at("detections").at(0).at("verdict"), "unknown") << report.at("detections");
}

TEST_F(WatchedRun, KeepsTheSourcesThatItBeganWith) {
  const Monitor other(pages(slow_, silent_));
  open();
  const std::string run = start();
  wait_for_questions(main_, 1);
  house_->monitoring({endpoint("main", other.options("main").url)});
  wait_for_questions(main_, 2);
  EXPECT_EQ(other.asked(kQuestion), 0U);
  house_->monitoring({});
  wait_for_questions(main_, 2);
  EXPECT_EQ(house_->record(run).state, RunState::Injecting) << house_->record(run).stateReason;
  house_->call("POST", "/api/v1/experiments/" + run + "/stop");
  const api::RunRecord record = house_->until(run, RunState::Aborted);
  ASSERT_TRUE(record.monitoring);
  ASSERT_EQ(record.monitoring->sources.size(), 1U);
  EXPECT_EQ(record.monitoring->sources[0].url, main_.options("main").url);
  EXPECT_EQ(record.monitoring->sources[0].problem, "");
}

}  // namespace
}  // namespace faultline::controller::test
