// SPDX-License-Identifier: Apache-2.0
// Game days whose timeline is in the cluster. The API server is a fake one that keeps objects
// (fake_cluster.h); controllers and journals are the real ones, the agent is a double. For tests
// only.
#pragma once

#include <gmock/gmock.h>

#include "api/gameday_record.h"
#include "controller/kubernetes/day_log_store.h"
#include "controller/kubernetes/run_log_store.h"
#include "fake_cluster.h"
#include "house.h"

namespace faultline::controller::test {

using api::DayState;
using api::EntryKind;

inline constexpr const char* kLong =
    "{spec: {target: {selector: {namespaces: [shop], labelSelectors: {app: payments}}}, faults: "
    "[{networkLatency: {latency: 50ms}}], phases: {baseline: 100ms, fault: 60s, recovery: "
    "100ms}}}";

class GameDayFailover : public testing::Test {
 protected:
  // The next controller: nothing but the cluster tells it what there was.
  void open(const std::string& prometheus = "") {
    HouseOptions options{.store_path = dir_.file("store-" + std::to_string(++houses_) + ".db"),
                         .port = port_,
                         .prometheus = prometheus};
    options.journal = [this](boost::asio::any_io_executor executor, const Clock& clock,
                             Service& service) {
      const std::string writer = "controller-" + std::to_string(houses_);
      service.journal(
          std::make_unique<RunLogStore>(executor, cluster_.config(), clock,
                                        RunLogOptions{.ns = "faultline", .writer = writer}),
          std::make_unique<DayLogStore>(executor, cluster_.config(), clock,
                                        DayLogOptions{.ns = "faultline", .writer = writer}));
    };
    house_ = std::make_unique<House>(options);
    port_ = house_->port();
    if (!agent_) agent_ = std::make_unique<AgentDouble>(house_->client("agent-token"), "n1");
  }
  api::GameDayView look(const std::string& day) {
    const auto answer = house_->call("GET", "/api/v1/gamedays/" + day);
    auto view = api::from_json_text<api::GameDayView>(answer.body);
    if (view) return std::move(*view);
    ADD_FAILURE() << answer.status << " " << answer.body;
    return {};
  }
  bool until(const std::string& day, DayState state) {
    for (int i = 0; i < 2000; ++i) {
      if (look(day).state == state) return true;
      std::this_thread::sleep_for(milliseconds(10));
    }
    return false;
  }
  std::string create(const std::string& steps, const std::string& more = "") {
    const std::string text =
        "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: pay}\nspec:\n"
        "  title: Payments is slow\n" +
        more + "  steps:\n" + steps;
    for (int i = 0; i < 500; ++i) {
      const auto plan = house_->call("POST", "/api/v1/gamedays?dryRun=true", text);
      if (plan.status == 200 && plan.body.find("\"problem\":\"\"") != plan.body.npos) break;
      std::this_thread::sleep_for(milliseconds(20));
    }
    const auto made = house_->call("POST", "/api/v1/gamedays?unattended=true", text);
    EXPECT_EQ(made.status, 201) << made.body;
    const auto view = api::from_json_text<api::GameDayView>(made.body);
    return view ? view->day : "";
  }

  // The run of a step, which injects now; empty: there is none.
  std::string injecting(const std::string& day, std::size_t step) {
    std::string run;
    for (int i = 0; i < 2000 && run.empty(); ++i) {
      const auto view = look(day);
      if (!view.steps.at(step).runs.empty()) run = view.steps.at(step).runs[0];
      std::this_thread::sleep_for(milliseconds(5));
    }
    EXPECT_FALSE(run.empty());
    if (!run.empty()) house_->until(run, api::RunState::Injecting);
    return run;
  }

  TempDir dir_;
  FakeCluster cluster_;
  int houses_ = 0;
  std::uint16_t port_ = 0;
  std::unique_ptr<House> house_;
  std::unique_ptr<AgentDouble> agent_;
};

}  // namespace faultline::controller::test
