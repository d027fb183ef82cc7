// SPDX-License-Identifier: Apache-2.0
// GET /api/v1/alerts and a rule's test at a whole controller: who sees what, and what is refused.
// With a real Prometheus behind it: tests/e2e.
#include <gmock/gmock.h>

#include "api/alerts.h"
#include "controller/store/store.h"
#include "house.h"

namespace faultline::controller::test {
namespace {

using testing::HasSubstr;

boost::asio::awaitable<Result<>> may(http::Identity who, std::string verb,
                                     std::set<std::string> namespaces) {
  if (who.user.empty()) co_return Result<>{};  // person-token
  for (const std::string& space : namespaces)
    if (space != "shop")
      co_return fail(Errc::kDenied, who.user + " may not " + verb + " in " + space);
  co_return Result<>{};
}

class AlertsDoor : public testing::Test {
 protected:
  AlertsDoor() {
    auto store = Store::open({.path = path_});
    EXPECT_TRUE(store);
    keep(**store, "shop-1", "shop", 1'795'428'000, "Slow");
    keep(**store, "shop-2", "shop", 1'795'429'000, "Slow");
    keep(**store, "bank-1", "bank", 1'795'430'000, "Down");
    store->reset();
    house_ = std::make_unique<House>(HouseOptions{.store_path = path_, .may = may});
  }

  // A run in which `alert` fired after 12.5 s, and Calm did not.
  static void keep(Store& store, const std::string& run, const std::string& ns, int at,
                   const std::string& alert) {
    const UtcTime asked{seconds(at)};
    const UtcTime injected = asked + seconds(20);
    api::RunRecord head{.run = run, .experiment = experiment(), .requestedBy = "person"};
    head.experiment.metadata.name = run.substr(0, run.find('-'));
    head.experiment.metadata.namespace_ = ns;
    head.state = api::RunState::Completed;
    head.history = {{api::RunState::Pending, {asked}, ""},
                    {api::RunState::Completed, {asked + seconds(90)}, ""}};
    head.pods = {{pod(ns, "payments-0"), api::PodRole::target}};
    head.nodes = {{.node = "n1", .info = node_info("n1")}};
    api::MonitoringRecord& seen = head.monitoring.emplace();
    seen.sources = {{.name = "main", .kind = "prometheus"}};
    seen.rules = {{.source = "main", .group = "g", .alert = alert, .expr = "x > 1"},
                  {.source = "main", .group = "g", .alert = "Calm", .expr = "x > 9"}};
    seen.changes = {
        {"main", alert, {}, api::AlertState::firing, {injected + milliseconds(12'500)}}};
    seen.outcomes = {
        {"main", alert, api::DetectionVerdict::detected, {injected + milliseconds(12'500)}, 12.5},
        {"main", "Calm", api::DetectionVerdict::missed, {}, {}}};
    EXPECT_TRUE(store.insert(head));
    EXPECT_TRUE(store.update(head, api::RunState::Completed));
    api::NumberedBatch batch{.number = static_cast<std::uint64_t>(at), .batch = {.run = run}};
    batch.batch.injections = {injection(pod(ns, "payments-0"), 10, 10)};
    batch.batch.injections[0].firstInjectedAt = {injected};
    EXPECT_TRUE(store.append("n1", run, {batch}, asked));
  }

  [[nodiscard]] api::AlertList alerts(const std::string& token) const {
    const auto answer = house_->call("GET", "/api/v1/alerts", "", token);
    EXPECT_EQ(answer.status, 200) << answer.body;
    auto list = api::from_json_text<api::AlertList>(answer.body);
    return list ? std::move(*list) : api::AlertList{};
  }
  void refused(const std::string& target, int status, const std::string& words,
               const std::string& token = "person-token") const {
    const auto answer = house_->call("GET", "/api/v1/experiments/" + target, "", token);
    EXPECT_EQ(answer.status, status) << target << ": " << answer.body;
    EXPECT_THAT(answer.body, HasSubstr(words)) << target;
  }

  TempDir dir_;
  const std::string path_ = dir_.file("store.db");
  std::unique_ptr<House> house_;
};

TEST_F(AlertsDoor, EachSeesTheAlertsOfTheRunsThatTheyMaySee) {
  const api::AlertList all = alerts("person-token");
  ASSERT_EQ(all.alerts.size(), 2U);
  EXPECT_EQ(all.alerts[0].alert, "Down");
  EXPECT_EQ(all.alerts[1].alert, "Slow");
  EXPECT_EQ(all.alerts[1].run, "shop-2") << "the newest";
  EXPECT_EQ(all.alerts[1].experiment, "shop");
  EXPECT_EQ(all.alerts[1].verdict, api::DetectionVerdict::detected);
  EXPECT_EQ(all.alerts[1].seconds, 12.5);
  EXPECT_EQ(all.rules, std::nullopt) << "nobody was asked for the rules: no share";
  ASSERT_EQ(all.notes.size(), 1U);
  EXPECT_THAT(all.notes[0], HasSubstr("no Prometheus"));

  const api::AlertList janes = alerts("jane-token");
  ASSERT_EQ(janes.alerts.size(), 1U);
  EXPECT_EQ(janes.alerts[0].alert, "Slow");
  EXPECT_EQ(janes.rules, std::nullopt);
  EXPECT_EQ(house_->call("GET", "/api/v1/alerts", "", "agent-token").status, 403);
}

TEST_F(AlertsDoor, MetricsGoOnWithWhatEarlierRunsShowed) {
  std::string metrics;
  for (int i = 0; i < 200 && metrics.find("faultline_detection_seconds{") == metrics.npos; ++i) {
    metrics = house_->call("GET", "/metrics").body;
    std::this_thread::sleep_for(milliseconds(20));
  }
  EXPECT_THAT(metrics, HasSubstr("faultline_detection_seconds{alert=\"Slow\"} 12.5"));
}

TEST_F(AlertsDoor, ATestOfARuleIsRefusedWithTheReason) {
  refused("shop-1/rule-test", 400, "alert= must name");
  refused("shop-1/rule-test?alert=Slwo", 400, "did you mean \\\"Slow\\\"?");
  refused("shop-1/rule-test?alert=Calm", 400, "did not fire after the first injected event");
  refused("shop-1/rule-test?alert=Slow", 404, "is no source of this controller any more");
  refused("none/rule-test?alert=Slow", 404, "no run none");
  refused("bank-1/rule-test?alert=Down", 403, "may not get in bank", "jane-token");
}

TEST_F(AlertsDoor, TheStoreTellsWhenRunsWere) {
  auto store = Store::open({.path = path_});
  ASSERT_TRUE(store) << store.error().message;
  const auto times = (*store)->times(UtcTime(seconds(1'795'428'500)), 10);
  ASSERT_TRUE(times) << times.error().message;
  ASSERT_EQ(times->size(), 2U);
  EXPECT_EQ((*times)[0].from, UtcTime(seconds(1'795'430'000)));
  EXPECT_EQ((*times)[0].to, UtcTime(seconds(1'795'430'090)));
  EXPECT_EQ((*store)->times({}, 1)->size(), 1U);
}

TEST_F(AlertsDoor, ATuningIsRefusedWithTheReason) {
  const auto tune = [&](const std::string& query, int status, const std::string& words,
                        const std::string& token = "person-token") {
    const auto answer = house_->call("GET", "/api/v1/tune?" + query, "", token);
    EXPECT_EQ(answer.status, status) << query << ": " << answer.body;
    EXPECT_THAT(answer.body, HasSubstr(words)) << query;
  };
  tune("alert=Slow", 400, "run= must name");
  tune("run=a,b,c,d,e,f,g,h,i&alert=Slow", 400, "run: 9 are more than the 8");
  tune("run=shop-1", 400, "alert= must name");
  tune("run=none&alert=Slow", 404, "no run none");
  tune("run=shop-1,shop-2&alert=Slwo", 400, "did you mean \\\"Slow\\\"?");
  tune("run=shop-1&alert=Slow&for=soon", 400, "for: \\\"soon\\\" is not a length");
  tune("run=shop-1&alert=Slow&history=1y", 400, "history: at most 90d");
  tune("run=shop-1&alert=Slow", 404, "is no source of this controller any more");
  // Whose run it is decides nothing: the rule reads the metrics of everybody.
  tune("run=bank-1&alert=Down", 403, "may not query in ", "jane-token");
  tune("run=shop-1&alert=Slow", 403, "may not query in ", "jane-token");
  tune("run=shop-1&alert=Slow", 403, "metrics of every namespace", "jane-token");
}

}  // namespace
}  // namespace faultline::controller::test
