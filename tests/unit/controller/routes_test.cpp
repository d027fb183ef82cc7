// SPDX-License-Identifier: Apache-2.0
// The controller over loopback. The agent is a double: see house.h.
#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "house.h"

namespace faultline::controller::test {
namespace {

using api::RunPhase;
using api::RunState;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kShort = "  phases: {baseline: 300ms, fault: 500ms, recovery: 200ms}\n";
constexpr const char* kLong = "  phases: {baseline: 0s, fault: 60s, recovery: 1s}\n";

std::string body(const std::string& more) { return api::to_yaml(experiment(more)); }
double seconds_of(std::chrono::nanoseconds d) { return std::chrono::duration<double>(d).count(); }

class RoutesTest : public testing::Test {
 protected:
  RoutesTest() { house_ = std::make_unique<House>(HouseOptions{.store_path = path_}); }
  std::unique_ptr<AgentDouble> agent(const std::string& node = "n1",
                                     const std::string& instance = "a", bool blocks = false) {
    auto agent =
        std::make_unique<AgentDouble>(house_->client("agent-token"), node, instance, blocks);
    for (int i = 0; i < 500; ++i) {
      const boost::json::value nodes = house_->get("/api/v1/nodes");
      for (const auto& known : nodes.as_array())
        if (known.at("info").at("name").as_string() == node && known.at("connected").as_bool())
          return agent;
      std::this_thread::sleep_for(milliseconds(10));
    }
    ADD_FAILURE() << node << " did not connect";
    return agent;
  }
  std::string start(const std::string& more) {
    const auto response = house_->call("POST", "/api/v1/experiments", body(more));
    EXPECT_EQ(response.status, 201) << response.body;
    if (response.status != 201) return "";
    return std::string(boost::json::parse(response.body).at("run").as_string());
  }
  std::string refused(int status, const std::string& method, const std::string& target,
                      const std::string& content = "", const std::string& token = "person-token") {
    const auto response = house_->call(method, target, content, token);
    EXPECT_EQ(response.status, status) << target << ": " << response.body;
    EXPECT_EQ(response.headers.at("content-type"), "application/problem+json") << target;
    return std::string(boost::json::parse(response.body).at("detail").as_string());
  }

  TempDir dir_;
  std::string path_ = dir_.file("store.db");
  SystemClock clock_;
  std::unique_ptr<House> house_;
};

TEST_F(RoutesTest, ACompleteRunEndsInAReportWithWhatWasMeasured) {
  const auto agent_double = agent();
  const std::string run = start(std::string(kShort) +
                                "  expect: {effects: [{selector: {labelSelectors: {app: "
                                "payments}}, metric: request.latency, quantile: 0.99, below: "
                                "1s}]}\n");
  const api::RunRecord record = house_->until(run, RunState::Completed);
  std::vector<RunState> states;
  for (const api::PhaseMark& mark : record.history) states.push_back(mark.state);
  EXPECT_THAT(states, ElementsAre(RunState::Pending, RunState::Baseline, RunState::Injecting,
                                  RunState::Recovering, RunState::Completed));
  EXPECT_EQ(record.requestedBy, "person");
  const auto lasted = record.history[3].at.value - record.history[2].at.value;
  EXPECT_GE(seconds_of(lasted), 0.5);
  EXPECT_LT(seconds_of(lasted), 0.7);
  ASSERT_EQ(record.nodes.size(), 1U);
  EXPECT_TRUE(record.nodes[0].closed);
  EXPECT_EQ(record.pods.size(), 2U) << "the target and a control pod";

  const auto report = house_->get("/api/v1/reports/" + run);
  EXPECT_EQ(report.at("verdict"), "met") << report;
  EXPECT_EQ(report.at("residue"), "none");
  EXPECT_EQ(report.at("injections").as_array().size(), 1U);
  EXPECT_EQ(report.at("injections").at(0).at("matched").to_number<int>(), 1000);
  EXPECT_EQ(report.at("injections").at(0).at("verdict"), "confirmed");
  EXPECT_FALSE(report.at("effects").as_array().empty());

  const auto markdown = house_->call("GET", "/api/v1/reports/slow?format=md");
  EXPECT_EQ(markdown.headers.at("content-type"), "text/markdown; charset=utf-8");
  EXPECT_THAT(markdown.body, HasSubstr("slow"));
  const auto html = house_->call("GET", "/api/v1/reports/slow?format=html");
  EXPECT_EQ(html.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_THAT(html.body, HasSubstr("<html"));

  const std::string metrics = house_->call("GET", "/metrics", "", "").body;
  EXPECT_THAT(metrics, HasSubstr("faultline_runs_ended_total{state=\"Completed\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("faultline_nodes_connected 1"));
  EXPECT_THAT(metrics,
              HasSubstr("faultline_fault_events_injected_total{fault=\"networkLatency\"} 1000"));
}

TEST_F(RoutesTest, AHeldSyncIsAnsweredAtOnceWhenARunStarts) {
  { const auto agent_double = agent(); }
  api::SyncRequest request{.instance = "a", .waitSeconds = 10};
  const auto sync = [&] {
    return house_->call("POST", "/api/v1/nodes/n1/sync", api::to_json_text(request), "agent-token");
  };
  request.knownRevision = api::from_json_text<api::SyncResponse>(sync().body)->revision;
  auto held = std::async(std::launch::async, [&] {
    const auto response = sync();
    return std::pair(clock_.steady(), response.body);
  });
  EXPECT_EQ(held.wait_for(milliseconds(200)), std::future_status::timeout) << "nothing is new";
  const SteadyTime asked = clock_.steady();
  start(kLong);
  const auto [answered, text] = held.get();
  const auto answer = api::from_json_text<api::SyncResponse>(text);
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->runs.size(), 1U);
  EXPECT_EQ(answer->runs[0].phase, RunPhase::fault);  // no baseline was asked for
  EXPECT_LT(seconds_of(answered - asked), 0.2);
  RecordProperty("asked_to_told_ms", std::to_string(1e3 * seconds_of(answered - asked)));
  EXPECT_GE(answer->answeredAt.value, answer->receivedAt.value + milliseconds(190));
}

TEST_F(RoutesTest, ASyncWithNothingNewIsAnsweredWhenItsTimeIsOver) {
  const auto agent_double = agent();
  api::SyncRequest request{.instance = "b", .waitSeconds = 0.3};
  request.info = node_info("n2");
  request.pods = std::vector<api::PodRef>{};
  const auto sync = [&] {
    const auto text =
        house_->call("POST", "/api/v1/nodes/n2/sync", api::to_json_text(request), "agent-token");
    return *api::from_json_text<api::SyncResponse>(text.body);
  };
  request.knownRevision = sync().revision;
  const SteadyTime began = clock_.steady();
  sync();
  EXPECT_NEAR(seconds_of(clock_.steady() - began), 0.3, 0.1);
  request.instance = "c";
  request.info.reset();
  request.waitSeconds = 10;
  EXPECT_TRUE(sync().sendInfo) << "at once, not after 10 s";
}

TEST_F(RoutesTest, AStopReachesTheAgentAtOnce) {
  const auto agent_double = agent();
  const std::string run = start(kLong);
  house_->until(run, RunState::Injecting);
  const SteadyTime asked = clock_.steady();
  EXPECT_EQ(house_->call("POST", "/api/v1/experiments/slow/stop").status, 200);
  const api::RunRecord record = house_->until(run, RunState::Aborted);
  EXPECT_EQ(record.stateReason, "stopped by person");
  const double told = seconds_of(agent_double->told_at(RunPhase::recovery) - asked);
  EXPECT_GT(told, 0);
  EXPECT_LT(told, 0.2);
  RecordProperty("stop_to_told_ms", std::to_string(1e3 * told));
  EXPECT_EQ(house_->get("/api/v1/reports/" + run).at("verdict"), "aborted");
  EXPECT_THAT(refused(409, "POST", "/api/v1/experiments/slow/stop"), HasSubstr("is over: Aborted"));
}

TEST_F(RoutesTest, AFaultThatNobodyCanArmEndsTheRunAsNotReal) {
  const auto agent_double = agent("n1", "a", true);
  const std::string run = start(kLong);
  const api::RunRecord record = house_->until(run, RunState::Failed);
  EXPECT_THAT(record.stateReason, HasSubstr("not real: no fault could be armed on any target "
                                            "(networkLatency on shop/payments-n1: no host-side"));
  EXPECT_EQ(house_->get("/api/v1/reports/" + run).at("verdict"), "not-real");
}

TEST_F(RoutesTest, StopAllEndsAllRuns) {
  const auto agent_double = agent();
  const std::string run = start(kLong);
  house_->until(run, RunState::Injecting);
  const auto stopped = house_->call("POST", "/api/v1/stop?now=true");
  ASSERT_EQ(stopped.status, 200);
  EXPECT_EQ(boost::json::parse(stopped.body).as_array().size(), 1U);
  house_->until(run, RunState::Aborted);
  EXPECT_EQ(house_->call("POST", "/api/v1/stop").body, "[]");
}

TEST_F(RoutesTest, DryRunTellsThePlanAndStartsNothing) {
  const auto agent_double = agent();
  const auto response =
      house_->call("POST", "/api/v1/experiments?dryRun=true", body("  seed: 0\n"));
  ASSERT_EQ(response.status, 200) << response.body;
  const auto plan = boost::json::parse(response.body);
  EXPECT_EQ(plan.at("matching").to_number<int>(), 1);
  EXPECT_EQ(plan.at("targets").at(0).at("name"), "payments-n1");
  EXPECT_EQ(plan.at("control").at(0).at("name"), "idle-n1");
  EXPECT_NE(plan.at("seed").to_number<std::uint64_t>(), 0U);
  EXPECT_EQ(house_->call("GET", "/api/v1/experiments").body, "[]");
}

TEST_F(RoutesTest, AStartWithTheSeedOfThePlanUsesItUnlessTheExperimentHasOne) {
  const auto agent_double = agent();
  for (const auto& [seed, used] : {std::pair("  seed: 0\n", 77U), std::pair("  seed: 5\n", 5U)}) {
    const auto response = house_->call("POST", "/api/v1/experiments?seed=77", body(seed));
    ASSERT_EQ(response.status, 201) << response.body;
    const std::string run(boost::json::parse(response.body).at("run").as_string());
    EXPECT_EQ(house_->record(run).experiment.spec.seed, used);
    house_->call("POST", "/api/v1/stop?now=true");
    house_->until(run, RunState::Aborted);
  }
  EXPECT_THAT(refused(400, "POST", "/api/v1/experiments?seed=-1", body("")),
              HasSubstr("seed must be a whole number"));
}

TEST_F(RoutesTest, AStartWithTheChoiceOfAPlanHitsThatOrNothing) {
  const auto agent_double = agent();
  const auto planned =
      boost::json::parse(house_->call("POST", "/api/v1/experiments?dryRun=true", body("")).body);
  EXPECT_EQ(planned.at("leaseSeconds").to_number<double>(), 0.7) << "that of this house";
  const std::string choice(planned.at("choice").as_string());
  EXPECT_THAT(refused(409, "POST", "/api/v1/experiments?choice=another", body("")),
              HasSubstr("nothing is hit that it did not show; it would be shop/payments-n1 on n1"));
  EXPECT_EQ(house_->call("GET", "/api/v1/experiments").body, "[]");
  EXPECT_EQ(house_->call("POST", "/api/v1/experiments?choice=" + choice, body("")).status, 201);
}

TEST_F(RoutesTest, EachMistakeHasItsStatusAndOneClearLine) {
  EXPECT_EQ(house_->call("GET", "/api/v1/nodes", "", "").status, 401);
  EXPECT_EQ(house_->call("GET", "/api/v1/nodes", "", "agent-token").status, 403);
  EXPECT_EQ(house_->call("POST", "/api/v1/nodes/n1/sync", "{}", "person-token").status, 403);
  EXPECT_THAT(refused(503, "POST", "/api/v1/experiments", body("")),
              HasSubstr("no agent is connected"));
  const auto agent_double = agent();
  EXPECT_THAT(refused(400, "POST", "/api/v1/experiments", "kind: Experimnt\n"),
              HasSubstr("experiment:1: kind"));
  EXPECT_THAT(refused(400, "POST", "/api/v1/experiments?dryRun=maybe", body("")),
              HasSubstr("dryRun must be true or false"));
  EXPECT_THAT(refused(422, "POST", "/api/v1/experiments", body("  faults: [{processKill: {}}]\n")),
              HasSubstr("not supported by this agent"));
  EXPECT_THAT(refused(413, "POST", "/api/v1/experiments", std::string((256 << 10) + 1, ' ')),
              HasSubstr("longer than 262144 bytes"));
  EXPECT_THAT(refused(404, "GET", "/api/v1/experiments/none"), HasSubstr("there is no run none"));
  EXPECT_THAT(refused(404, "POST", "/api/v1/experiments/none/stop"), HasSubstr("no run none"));
  EXPECT_THAT(refused(400, "GET", "/api/v1/reports/none?format=pdf"),
              HasSubstr("json, md or html"));
  EXPECT_THAT(refused(400, "GET", "/api/v1/experiments?limit=x"), HasSubstr("limit must be"));
  EXPECT_THAT(refused(400, "POST", "/api/v1/nodes/n1/sync", "{", "agent-token"),
              HasSubstr("not valid JSON"));
  EXPECT_THAT(
      refused(400, "POST", "/api/v1/nodes/a%20b/sync", R"({"instance": "a"})", "agent-token"),
      HasSubstr("a node's name has letters"));
  const std::string run = start(kLong);
  EXPECT_THAT(refused(409, "POST", "/api/v1/experiments", body("")), HasSubstr("is a target of"));
}

TEST_F(RoutesTest, TwoAgentsWithOneNameDoNotTakeTurns) {
  const auto first = agent("n1", "a");
  const auto second = agent("n1", "b");
  std::this_thread::sleep_for(milliseconds(600));
  EXPECT_GT(first->refused(), 0);
  EXPECT_EQ(second->refused(), 0);
}

// What a client of /api/v1/events saw of one run until the server ended the stream.
std::vector<std::pair<std::string, std::string>> watch(const House& house, const std::string& run) {
  std::vector<std::pair<std::string, std::string>> seen;
  boost::asio::io_context loop;
  http::Client client(loop.get_executor(), house.client("person-token"));
  auto done = boost::asio::co_spawn(
      loop,
      client.events(
          "/api/v1/events?run=" + run,
          [&](const http::ServerEvent& event) {
            EXPECT_EQ(event.event, "state");
            seen.emplace_back(event.id, boost::json::parse(event.data).at("state").as_string());
            return true;
          },
          seconds(5)),
      boost::asio::use_future);
  loop.run();
  EXPECT_TRUE(done.get());
  return seen;
}

TEST_F(RoutesTest, EventStreamTellsEachStateAndEndsWithTheRun) {
  const auto agent_double = agent();
  const std::string run = start(kShort);
  const auto seen = watch(*house_, run);
  std::vector<std::string> states;
  for (const auto& [id, state] : seen)
    if (states.empty() || states.back() != state) states.push_back(state);
  // It begins with the state that the run is in, which is Pending for a few milliseconds only.
  if (!states.empty() && states.front() == "Pending") states.erase(states.begin());
  EXPECT_THAT(states, ElementsAre("Baseline", "Injecting", "Recovering", "Completed"));
  EXPECT_TRUE(std::ranges::is_sorted(seen, {}, [](const auto& e) { return std::stoull(e.first); }));
  EXPECT_GE(seen.size(), states.size() + 2) << "live figures in between";

  const auto again = watch(*house_, run);
  ASSERT_EQ(again.size(), 1U) << "of a run that is over, the last state is all";
  EXPECT_EQ(again[0].second, "Completed");
  EXPECT_THAT(refused(404, "GET", "/api/v1/events?run=none"), HasSubstr("there is no run none"));
}

TEST_F(RoutesTest, AfterAKillTheNextControllerEndsTheRunTruthfullyAndKeepsWhatArrivesLate) {
  auto agent_double = agent();
  const std::string run = start(kLong);
  house_->until(run, RunState::Injecting);
  std::this_thread::sleep_for(milliseconds(300));
  const std::uint16_t port = house_->port();
  house_->kill();
  std::this_thread::sleep_for(milliseconds(1000));  // longer than the lease
  house_ = std::make_unique<House>(HouseOptions{.store_path = path_, .port = port});
  const api::RunRecord record = house_->until(run, RunState::Failed);
  EXPECT_THAT(record.stateReason, HasSubstr("the controller was restarted during the fault after"));
  EXPECT_THAT(record.stateReason, HasSubstr("of 60 s; injection ended by the lease"));
  ASSERT_FALSE(record.gaps.empty());
  EXPECT_EQ(record.gaps[0].reason, "the controller was not running");
  EXPECT_GE(seconds_of(record.gaps[0].to.value - record.gaps[0].from.value), 0.3);
  ASSERT_EQ(record.nodes.size(), 1U);
  EXPECT_TRUE(record.nodes[0].closed) << "the agent heard of it and reported the end";
  EXPECT_FALSE(record.nodes[0].injections.empty()) << "what the first one stored is kept";
  const auto late = std::ranges::count_if(record.nodes[0].windows, [&](const auto& window) {
    return window.to.value > record.gaps[0].from.value;
  });
  EXPECT_GT(late, 0) << "what the agent still held was stored";
  EXPECT_EQ(house_->get("/api/v1/reports/" + run).at("verdict"), "failed");
}

TEST_F(RoutesTest, AfterAKillWithinTheLeaseTheNextControllerGoesOnWithTheRun) {
  auto agent_double = agent();
  const std::string run = start("  phases: {baseline: 0s, fault: 2s, recovery: 300ms}\n");
  house_->until(run, RunState::Injecting);
  std::this_thread::sleep_for(milliseconds(600));
  const std::uint16_t port = house_->port();
  house_->kill();
  house_ = std::make_unique<House>(HouseOptions{.store_path = path_, .port = port});
  const api::RunRecord record = house_->until(run, RunState::Completed);
  EXPECT_EQ(record.stateReason, "");
  ASSERT_EQ(record.history.size(), 4U);
  EXPECT_THAT(record.history[1].reason, HasSubstr("the controller was restarted after"));
  const double fault = seconds_of(record.history[2].at.value - record.history[1].at.value);
  EXPECT_GT(fault, 1.9);
  EXPECT_LT(fault, 2.5) << "not 2 s anew";
  EXPECT_TRUE(record.gaps.empty()) << record.gaps[0].reason;
}

TEST_F(RoutesTest, WhileTheStoreFailsNothingIsAcknowledgedAndAfterwardsNothingIsMissing) {
  // A lease longer than the time that the store waits for a lock.
  house_ =
      std::make_unique<House>(HouseOptions{.store_path = path_, .times = {.lease = seconds(4)}});
  auto agent_double = agent();
  const std::string run = start(kLong);
  house_->until(run, RunState::Injecting);
  {
    SQLite::Database other(path_, SQLite::OPEN_READWRITE);
    SQLite::Transaction lock(other, SQLite::TransactionBehavior::IMMEDIATE);
    std::this_thread::sleep_for(milliseconds(1'600));  // longer than the store waits for a lock
    EXPECT_THAT(refused(503, "GET", "/readyz"), HasSubstr("locked"));
    EXPECT_THAT(refused(503, "POST", "/api/v1/experiments", body("")),
                HasSubstr("no run can start: store"));
    EXPECT_THAT(house_->call("GET", "/metrics", "", "").body, HasSubstr("faultline_store_up 0"));
    EXPECT_GT(agent_double->refused(), 0);
  }
  const api::RunRecord record = house_->until(run, RunState::Failed);
  EXPECT_THAT(record.stateReason, HasSubstr("the controller cannot store what is measured"));
  for (int i = 0; i < 300 && house_->call("GET", "/readyz").status != 200; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(house_->call("GET", "/readyz").status, 200);
  std::this_thread::sleep_for(milliseconds(300));
  // Windows of each pod follow each other without a hole.
  std::map<std::string, api::Timestamp> until;
  const api::RunRecord complete = house_->record(run);
  for (const api::EffectWindow& window : complete.nodes.at(0).windows) {
    api::Timestamp& end = until[window.pod.id()];
    if (end.set()) {
      EXPECT_EQ(window.from, end);
    }
    end = window.to;
  }
  EXPECT_EQ(until.size(), 2U);
}

TEST_F(RoutesTest, SigtermEndsRunsBeforeTheController) {
  auto agent_double = agent();
  const std::string run = start(kLong);
  house_->until(run, RunState::Injecting);
  EXPECT_LT(seconds_of(house_->end()), 2);
  EXPECT_NE(agent_double->told_at(std::nullopt), SteadyTime{}) << "the agent was told";
  agent_double->end();
  auto store = Store::open({.path = path_, .read_only = true});
  ASSERT_TRUE(store);
  const auto record = (*store)->load(run);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->state, RunState::Aborted);
  EXPECT_EQ(record->stateReason, "the controller was told to end");
  EXPECT_TRUE(record->nodes.at(0).closed);
}

}  // namespace
}  // namespace faultline::controller::test
