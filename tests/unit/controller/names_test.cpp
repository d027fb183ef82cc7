// SPDX-License-Identifier: Apache-2.0
// Which run a name means, and for whom. jane may everything in shop, joe in bank, a person with the
// plain token everywhere.
#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "house.h"

namespace faultline::controller::test {
namespace {

using api::RunState;
using testing::HasSubstr;
using testing::Not;

class NamesTest : public testing::Test {
 protected:
  void open() {
    HouseOptions options{.store_path = path_, .audit_path = dir_.file("audit.log")};
    options.may = [this](http::Identity who, std::string verb,
                         std::set<std::string> namespaces) -> boost::asio::awaitable<Result<>> {
      ++asked_;
      if (during_) std::exchange(during_, {})();
      if (who.user.empty()) co_return Result<>{};
      const std::string own = who.user == "jane" ? "shop" : "bank";
      if (namespaces == std::set<std::string>{own}) co_return Result<>{};
      co_return fail(Errc::kDenied, who.user + " may not " + verb);
    };
    house_ = std::make_unique<House>(options);
  }
  static std::unique_ptr<Store> store(const std::string& path) {
    auto opened = Store::open({.path = path});
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }
  // A run that is over.
  void keep(const std::string& ns, const std::string& run, int second,
            const std::string& name = "slow") {
    api::RunRecord record{.run = run, .experiment = experiment(), .requestedBy = "somebody"};
    record.experiment.metadata.namespace_ = ns;
    record.experiment.metadata.name = name;
    const api::Timestamp at{UtcTime(seconds(1795428902 + second))};
    record.history = {{RunState::Pending, at, ""}, {RunState::Completed, at, ""}};
    record.pods = {{pod(ns, "web-0"), api::PodRole::target}};
    record.state = RunState::Completed;
    const auto kept = store(path_)->insert(record);
    ASSERT_TRUE(kept) << kept.error().message;
  }
  std::string run_in(const http::ClientResponse& response) {
    EXPECT_EQ(response.status, 200) << response.body;
    return response.status == 200
               ? std::string(boost::json::parse(response.body).at("run").as_string())
               : "";
  }
  std::string start(const std::string& ns) {
    const auto response = house_->call("POST", "/api/v1/experiments?namespace=" + ns,
                                       api::to_yaml(experiment_in(ns)));
    EXPECT_EQ(response.status, 201) << response.body;
    if (response.status != 201) return "";
    return std::string(boost::json::parse(response.body).at("run").as_string());
  }
  static api::Experiment experiment_in(const std::string& ns) {
    api::Experiment one = experiment("  phases: {baseline: 0s, fault: 60s, recovery: 1s}\n");
    one.spec.target.selector.namespaces = {ns};
    one.spec.limits.allReadyPods = true;
    return one;
  }
  void until_connected(std::size_t count) {
    for (int i = 0; i < 500; ++i) {
      if (house_->get("/api/v1/nodes").as_array().size() >= count) return;
      std::this_thread::sleep_for(milliseconds(10));
    }
    ADD_FAILURE() << "agents did not connect";
  }

  TempDir dir_;
  std::string path_ = dir_.file("store.db");
  std::atomic<int> asked_ = 0;
  std::function<void()> during_;  // called once, while rights are asked
  std::unique_ptr<House> house_;
};

TEST_F(NamesTest, ANameMeansTheNewestRunThatTheCallerMaySee) {
  keep("shop", "slow-1", 1);
  keep("bank", "slow-2", 2);
  open();
  for (const std::string path : {"/api/v1/experiments/slow", "/api/v1/reports/slow"}) {
    EXPECT_EQ(run_in(house_->call("GET", path, "", "jane-token")), "slow-1") << path;
    EXPECT_EQ(run_in(house_->call("GET", path, "", "joe-token")), "slow-2") << path;
    EXPECT_EQ(run_in(house_->call("GET", path)), "slow-2") << path;
    EXPECT_EQ(run_in(house_->call("GET", path + "?namespace=shop")), "slow-1") << path;
  }
  EXPECT_EQ(run_in(house_->call("GET", "/api/v1/experiments/shop%2Fslow")), "slow-1");
  EXPECT_EQ(house_->call("GET", "/api/v1/experiments/shop%2Fslow?namespace=bank").status, 400);
  EXPECT_EQ(house_->call("GET", "/api/v1/experiments/slow-2", "", "jane-token").status, 403);
  EXPECT_EQ(house_->call("GET", "/api/v1/experiments/bank%2Fslow", "", "jane-token").status, 403);
  EXPECT_EQ(house_->call("GET", "/api/v1/experiments/bank%2Fnone", "", "jane-token").status, 403)
      << "whoever has no rights there learns nothing of what is there";
  const auto events = house_->call("GET", "/api/v1/events?run=slow", "", "jane-token");
  EXPECT_THAT(events.body, HasSubstr("slow-1"));
  EXPECT_THAT(events.body, HasSubstr("\"namespace\":\"shop\""));
}

TEST_F(NamesTest, WhatBeginsWhileRightsAreAskedIsNotWhatIsActedOn) {
  keep("shop", "slow-1", 1);
  open();
  for (const std::string path : {"/api/v1/experiments/slow", "/api/v1/reports/slow"}) {
    const std::string late = path.find("reports") == path.npos ? "slow-8" : "slow-9";
    during_ = [&, late] { keep("bank", late, 10); };
    EXPECT_EQ(run_in(house_->call("GET", path, "", "jane-token")), "slow-1") << path;
  }
}

TEST_F(NamesTest, AStopThatCouldMeanSeveralRunsStopsNone) {
  open();
  AgentDouble shop(house_->client("agent-token"), "n1");
  AgentDouble bank(house_->client("agent-token"), "n2", "b", false, "bank");
  until_connected(2);
  const std::string in_shop = start("shop"), in_bank = start("bank");
  const auto refused = house_->call("POST", "/api/v1/experiments/slow/stop");
  EXPECT_EQ(refused.status, 409);
  EXPECT_THAT(refused.body, HasSubstr("shop/slow (run " + in_shop + ")"));
  EXPECT_THAT(refused.body, HasSubstr("bank/slow (run " + in_bank + ")"));
  EXPECT_EQ(house_->record(in_shop).stateReason, "");
  EXPECT_EQ(
      run_in(house_->call("POST", "/api/v1/experiments/slow/stop?now=true", "", "jane-token")),
      in_shop)
      << "she sees one only";
  EXPECT_EQ(run_in(house_->call("POST", "/api/v1/experiments/slow/stop?namespace=bank&now=true")),
            in_bank);
  house_->until(in_shop, RunState::Aborted);
  house_->until(in_bank, RunState::Aborted);
  std::ifstream log(dir_.file("audit.log"));
  const std::string audit{std::istreambuf_iterator<char>(log), {}};
  std::string stop;
  std::istringstream lines(audit);
  for (std::string line; std::getline(lines, line);)
    if (line.find("\"user\":\"jane\"") != line.npos) stop = line;
  EXPECT_THAT(stop, HasSubstr(in_shop)) << "what was acted on, not what was typed";
}

TEST_F(NamesTest, AListByNobodyInParticularReadsNoRunAndAsksLittle) {
  for (int i = 0; i < 60; ++i) keep("shop", "slow-" + std::to_string(i), i);
  open();
  const auto listed = house_->call("GET", "/api/v1/experiments?limit=1000", "", "joe-token");
  EXPECT_EQ(listed.body, "[]");
  EXPECT_LE(asked_, 2) << "everywhere, and in the one namespace that there is";
  EXPECT_FALSE(listed.headers.contains("link"));
}

TEST_F(NamesTest, AListGoesOnWhereItsPageEnds) {
  for (int i = 0; i < 25; ++i)
    keep(i % 5 == 0 ? "shop" : "bank", "slow-" + std::to_string(i), i, i < 10 ? "fast" : "slow");
  open();
  std::vector<std::string> seen;
  std::string next = "/api/v1/experiments?limit=2";
  for (int page = 0; !next.empty() && page < 10; ++page) {
    const auto listed = house_->call("GET", next, "", "jane-token");
    ASSERT_EQ(listed.status, 200) << listed.body;
    const boost::json::value runs = boost::json::parse(listed.body);
    for (const auto& run : runs.as_array()) {
      seen.emplace_back(run.at("run").as_string());
      EXPECT_EQ(run.at("namespace").as_string(), "shop");
    }
    const auto link = listed.headers.find("link");
    next = link == listed.headers.end() ? "" : link->second.substr(1, link->second.find('>') - 1);
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"slow-20", "slow-15", "slow-10", "slow-5", "slow-0"}));
  EXPECT_EQ(house_->get("/api/v1/experiments?name=fast").as_array().size(), 10U);
  EXPECT_EQ(house_->get("/api/v1/experiments?namespace=shop&name=fast").as_array().size(), 2U);
  EXPECT_EQ(house_->call("GET", "/api/v1/experiments?continue=x").status, 400);
}

TEST_F(NamesTest, ARecordThatIsStreamedIsTheWholeRecord) {
  {
    auto kept = store(path_);
    api::RunRecord record{.run = "slow-1", .experiment = experiment()};
    record.history = {{RunState::Pending, {UtcTime(seconds(1795428902))}, ""}};
    record.pods = {{pod("shop", "web-0"), api::PodRole::target}};
    record.nodes = {{.node = "n2"}, {.node = "n1"}};
    ASSERT_TRUE(kept->insert(record));
    for (std::uint64_t i = 1; i <= 200; ++i) {
      api::NumberedBatch batch{.number = i, .batch = {.run = "slow-1"}};
      batch.batch.windows = {{.pod = pod("shop", std::string(200, 'x') + "\"windows\":[]"),
                              .from = {UtcTime(seconds(1795428902 + i))},
                              .to = {UtcTime(seconds(1795428903 + i))}}};
      batch.batch.events = {event(api::RunEventKind::measuring)};
      batch.batch.events[0].text = std::string(2000, 'x') + "\"windows\":[]";
      for (const std::string node : {"n1", "n3"})
        ASSERT_TRUE(kept->append(node, "a", {batch}, UtcTime(seconds(1795428910))));
    }
    record.state = RunState::Completed;
    record.history.push_back({RunState::Completed, {UtcTime(seconds(1795428990))}, ""});
    ASSERT_TRUE(kept->update(record, std::nullopt));
  }
  open();
  const auto whole = store(path_)->load("slow-1");
  ASSERT_TRUE(whole) << whole.error().message;
  const auto streamed = house_->call("GET", "/api/v1/experiments/slow-1");
  EXPECT_EQ(streamed.headers.at("content-type"), "application/json");
  EXPECT_FALSE(streamed.headers.contains("content-length")) << "it was never whole in memory";
  EXPECT_TRUE(streamed.body == api::to_json_text(*whole)) << streamed.body.substr(0, 2000);
}

}  // namespace
}  // namespace faultline::controller::test
