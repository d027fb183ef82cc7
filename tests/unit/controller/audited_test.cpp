// SPDX-License-Identifier: Apache-2.0
// What a controller's audit log has of requests and runs.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <boost/json.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "house.h"

namespace faultline::controller::test {
namespace {

using api::RunState;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;

constexpr const char* kShort = "  phases: {baseline: 300ms, fault: 500ms, recovery: 200ms}\n";
constexpr const char* kLong = "  phases: {baseline: 0s, fault: 60s, recovery: 1s}\n";

std::string body(const std::string& more) { return api::to_yaml(experiment(more)); }

class Audited : public testing::Test {
 protected:
  Audited()
      : house_(std::make_unique<House>(HouseOptions{.store_path = dir_.file("store.db"),
                                                    .audit_path = dir_.file("audit.log")})),
        agent_(std::make_unique<AgentDouble>(house_->client("agent-token"), "n1")) {
    for (int i = 0; i < 500 && house_->get("/api/v1/nodes").as_array().empty(); ++i)
      std::this_thread::sleep_for(milliseconds(10));
  }
  std::string start(const std::string& more, const std::string& token = "jane-token") {
    const auto response = house_->call("POST", "/api/v1/experiments", body(more), token);
    EXPECT_EQ(response.status, 201) << response.body;
    return std::string(boost::json::parse(response.body).at("run").as_string());
  }
  // "via verb user decision state ending: reason", of each line with the run, or of all.
  std::vector<std::string> lines(const std::string& run = "") const {
    std::vector<std::string> found;
    left_out_ = 0;
    std::ifstream in(dir_.file("audit.log"));
    for (std::string line; std::getline(in, line);) {
      const boost::json::value read = boost::json::parse(line);
      const auto word = [&](const char* key) {
        const auto* value = read.as_object().if_contains(key);
        return value == nullptr ? std::string("-") : std::string(value->as_string());
      };
      if (!run.empty() && word("run") != run) continue;
      found.push_back(word("via") + " " + word("verb") + " " + word("user") + " " +
                      word("decision") + " " + word("state") + " " + word("ending") + ": " +
                      word("reason"));
      last_ = read.as_object();
      if (const auto* n = last_.if_contains("leftOut")) left_out_ += n->to_number<int>();
    }
    return found;
  }

  TempDir dir_;
  std::unique_ptr<House> house_;
  std::unique_ptr<AgentDouble> agent_;
  mutable boost::json::object last_;
  mutable int left_out_ = 0;  // in all lines together
};

TEST_F(Audited, EachStateOfARunIsInItAndWhoStartedIt) {
  const std::string run = start(kShort);
  house_->until(run, RunState::Completed);
  EXPECT_THAT(lines(run),
              ElementsAre("http start jane allowed Pending -: -", "phases state - - Baseline -: -",
                          "phases state - - Injecting -: -", "phases state - - Recovering -: -",
                          "phases state - - Completed -: -"));
  EXPECT_EQ(last_.at("requestedBy"), "jane");
  EXPECT_EQ(last_.at("experiment"), "slow");
  EXPECT_EQ(last_.at("namespaces"), boost::json::array({"shop"}));
}

TEST_F(Audited, WhoStopsARunIsTheCauseOfItsEnd) {
  const std::string run = start(kLong);
  house_->until(run, RunState::Injecting);
  house_->call("POST", "/api/v1/experiments/slow/stop");
  house_->until(run, RunState::Aborted);
  EXPECT_THAT(lines(run), IsSupersetOf({"http stop person allowed Injecting -: -",
                                        "http ending person - Injecting Aborted: stopped by person",
                                        "http state person - Aborted -: stopped by person"}));
  EXPECT_THAT(std::string(last_.at("from").as_string()), testing::StartsWith("127.0.0.1:"));
  const std::string second = start(kLong);
  house_->until(second, RunState::Injecting);
  house_->call("POST", "/api/v1/stop?now=true");
  house_->until(second, RunState::Aborted);
  EXPECT_THAT(lines(second), Contains("http stop-all person allowed Injecting -: -"));
  house_->call("POST", "/api/v1/stop");
  EXPECT_EQ(lines().back(), "http stop-all person allowed - -: no run is under way");
}

TEST_F(Audited, WhatEndsARunWithoutBeingAskedIsNamed) {
  const std::string aborted =
      start(std::string(kLong) + "  abortWhen: [{effect: request.latency, above: 20ms}]\n");
  house_->until(aborted, RunState::Aborted);
  EXPECT_THAT(lines(aborted),
              Contains(HasSubstr("abortWhen ending - - Injecting Aborted: abortWh")));
  const std::string lost = start(kLong);
  house_->until(lost, RunState::Injecting);
  agent_->end();
  house_->until(lost, RunState::Failed);
  EXPECT_THAT(lines(lost).back(), HasSubstr("lease state - - Failed -: n1 was lost"));
}

TEST_F(Audited, TheEndOfTheControllerEndsItsRuns) {
  const std::string run = start(kLong);
  house_->until(run, RunState::Injecting);
  house_->end();
  EXPECT_THAT(lines(run).back(),
              HasSubstr("signal state - - Aborted -: the controller was told to end"));
}

TEST_F(Audited, WhatIsRefusedIsInItWithItsReason) {
  house_->call("POST", "/api/v1/experiments", "kind: Experimnt\n", "jane-token");
  EXPECT_THAT(lines().back(), HasSubstr("http start jane denied - -: experiment:1: kind"));
  house_->call("POST", "/api/v1/experiments/none/stop");
  EXPECT_THAT(lines().back(), HasSubstr("http stop person denied - -: there is no run none"));
  house_->call("POST", "/api/v1/experiments", body(kLong), "agent-token");
  EXPECT_EQ(lines().back(),
            "http POST /api/v1/experiments agent denied - -: the token of agent may not do this");
  EXPECT_THAT(std::string(last_.at("from").as_string()), testing::StartsWith("127.0.0.1:"));
  house_->call("GET", "/api/v1/reports/r", "", "");
  EXPECT_THAT(lines().back(), HasSubstr("http GET /api/v1/reports/r - denied - -: a token is"));
  const std::size_t before = lines().size();
  house_->call("GET", "/api/v1/nodes");
  house_->call("GET", "/api/v1/experiments/none");
  EXPECT_EQ(lines().size(), before) << "reading what one may changes nothing";
}

TEST_F(Audited, WhoKnocksWithoutEndDoesNotFillTheDisk) {
  for (int i = 0; i < 60; ++i) house_->call("GET", "/api/v1/nodes", "", "wrong");
  const std::size_t written = lines().size();
  EXPECT_GE(written, 20U);
  EXPECT_LT(written, 50U);
  std::this_thread::sleep_for(milliseconds(1100));
  house_->call("GET", "/api/v1/nodes", "", "wrong");
  ASSERT_GT(lines().size(), written);
  EXPECT_GE(last_.at("leftOut").to_number<int>(), 10);
}

TEST_F(Audited, WhoIsRefusedWithoutEndHasALineASecondAndHidesNobodyElse) {
  for (int i = 0; i < 100; ++i) {
    house_->call("POST", "/api/v1/experiments", "kind: Experimnt\n", "joe-token");
    house_->call("POST", "/api/v1/experiments/none/stop", "", "joe-token");
    house_->call("POST", "/api/v1/stop", "", "joe-token");
  }
  const std::size_t written = lines().size();
  EXPECT_GE(written, 20U);
  EXPECT_LT(written, 100U);
  house_->call("POST", "/api/v1/experiments/none/stop", "", "jane-token");
  ASSERT_EQ(lines().size(), written + 1);
  EXPECT_EQ(last_.at("user"), "jane");
  EXPECT_FALSE(last_.contains("leftOut"));
  std::this_thread::sleep_for(milliseconds(1100));
  house_->call("POST", "/api/v1/experiments/none/stop", "", "joe-token");
  const std::size_t all = lines().size();
  EXPECT_EQ(last_.at("user"), "joe");
  // Joe has asked 301 times and Jane once: each is a line, or was left out and told in a later one.
  EXPECT_EQ(all + static_cast<std::size_t>(left_out_), 302U);
  EXPECT_GE(left_out_, 200);
}

// Files of this process may not grow beyond 64 MiB, which the audit log has and the store has not.
struct FullAuditLog {
  explicit FullAuditLog(const std::string& path) {
    std::signal(SIGXFSZ, SIG_IGN);
    std::filesystem::resize_file(path, kSize);
    getrlimit(RLIMIT_FSIZE, &before);
    const rlimit full{kSize, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &full);
  }
  ~FullAuditLog() { setrlimit(RLIMIT_FSIZE, &before); }
  FullAuditLog(const FullAuditLog&) = delete;
  FullAuditLog& operator=(const FullAuditLog&) = delete;
  static constexpr rlim_t kSize = 64 << 20;
  rlimit before{};
};

TEST_F(Audited, NoRunStartsThatCannotBeWrittenAndThoseUnderWayGoOn) {
  const auto metrics = [&] { return house_->call("GET", "/metrics", "", "").body; };
  {
    const FullAuditLog full(dir_.file("audit.log"));
    const auto refused = house_->call("POST", "/api/v1/experiments", body(kLong));
    EXPECT_EQ(refused.status, 503);
    EXPECT_THAT(refused.body, HasSubstr("no run can start: the audit log cannot be written"));
    EXPECT_EQ(house_->call("GET", "/api/v1/experiments").body, "[]");
    EXPECT_THAT(metrics(), HasSubstr("faultline_audit_up 0"));
    EXPECT_EQ(house_->call("GET", "/readyz", "", "").status, 200);
  }
  const std::string run = start(kLong);
  EXPECT_THAT(metrics(), HasSubstr("faultline_audit_up 1"));
  {
    const FullAuditLog full(dir_.file("audit.log"));
    house_->until(run, RunState::Injecting);
    house_->call("POST", "/api/v1/experiments/none/stop");
    EXPECT_THAT(metrics(), HasSubstr("faultline_audit_up 0"));
    std::this_thread::sleep_for(milliseconds(900));  // more than a lease
    EXPECT_EQ(house_->record(run).state, RunState::Injecting);
    EXPECT_EQ(house_->call("POST", "/api/v1/stop?now=true").status, 200);
    house_->until(run, RunState::Aborted);
  }
  house_->until(start(kShort), RunState::Completed);
  EXPECT_THAT(metrics(), HasSubstr("faultline_audit_up 1"));
}

}  // namespace
}  // namespace faultline::controller::test
