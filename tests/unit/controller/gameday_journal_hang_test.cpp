// SPDX-License-Identifier: Apache-2.0
// Whatever ends a game day ends what injects while its journal hangs.
#include <atomic>
#include <boost/asio/post.hpp>

#include "controller/kubernetes/day_control.h"
#include "gameday_failover.h"
#include "tests/unit/http/loopback.h"

namespace faultline::controller::test {
namespace {

class GameDayJournal : public GameDayFailover {
 protected:
  // Whether the agent is told soon that what injects has to end.
  bool ends() {
    for (int i = 0; i < 2000; ++i) {
      if (agent_->told_at(api::RunPhase::recovery) != SteadyTime{}) return true;
      std::this_thread::sleep_for(milliseconds(10));
    }
    return false;
  }
};

// Whatever the journal is waiting for: what injects ends.
TEST_F(GameDayJournal, AnAbortEndsTheRunsAlsoWhileTheJournalHangs) {
  open();
  const std::string day = create(std::string("  - {name: one, experiment: ") + kLong +
                                 "}\n  - {name: two, experiment: " + kLong + "}\n");
  ASSERT_FALSE(injecting(day, 0).empty());
  cluster_.mood(FakeCluster::Mood::kHangs);
  const std::string word = R"({"kind": "aborted", "key": "0123456789", "text": "enough"})";
  // Whoever says it waits until the controller has no more patience with the journal.
  Result<http::ClientResponse> answer;
  std::thread says([&] {
    answer = http::request_blocking(house_->client("person-token"), "POST",
                                    "/api/v1/gamedays/" + day + "/entries", word,
                                    std::chrono::seconds(60));
  });
  EXPECT_TRUE(ends());
  says.join();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 503) << answer->body;
  cluster_.mood(FakeCluster::Mood::kAnswers);
  ASSERT_TRUE(until(day, DayState::aborted)) << look(day).next;
  EXPECT_TRUE(look(day).steps.at(1).runs.empty()) << "nothing began meanwhile";
  const auto same = house_->call("POST", "/api/v1/gamedays/" + day + "/entries", word);
  EXPECT_EQ(same.status, 201) << "the same word again: " << same.body;
}

// As kubectl delete says it, behind a word that hangs already.
TEST_F(GameDayJournal, AnObjectThatIsGoneEndsWhatInjectsWhileTheJournalHangs) {
  open();
  const std::string day = create(std::string("  - {name: one, experiment: ") + kLong + "}\n");
  ASSERT_FALSE(injecting(day, 0).empty());
  cluster_.mood(FakeCluster::Mood::kHangs);
  std::thread says([&] {
    (void)house_->call("POST", "/api/v1/gamedays/" + day + "/entries",
                       R"({"kind": "note", "key": "0123456789", "text": "hi"})");
  });
  std::this_thread::sleep_for(milliseconds(200));
  boost::asio::post(house_->loop(), [&] {
    house_->service().days().end_day(day, "the GameDay shop/pay was deleted");
  });
  EXPECT_TRUE(ends());
  cluster_.mood(FakeCluster::Mood::kAnswers);
  says.join();
  EXPECT_TRUE(until(day, DayState::aborted)) << look(day).next;
  EXPECT_EQ(look(day).stateReason, "the GameDay shop/pay was deleted");
}

TEST_F(GameDayJournal, AStepThatMissedEndsWhatInjectsWhileTheJournalHangs) {
  open();
  const std::string day =
      create(std::string("  - name: g\n    parallel:\n    - {name: one, experiment: ") + kLong +
             "}\n    - {name: sure, onMiss: abort, deadline: 8s, waitFor: {effect: {selector: "
             "{namespaces: [shop]}, metric: request.latency, quantile: 0.5, above: 1h}}}\n");
  ASSERT_FALSE(injecting(day, 1).empty());
  cluster_.mood(FakeCluster::Mood::kHangs);
  EXPECT_TRUE(ends());
  cluster_.mood(FakeCluster::Mood::kAnswers);
  EXPECT_TRUE(until(day, DayState::aborted)) << look(day).next;
  EXPECT_EQ(look(day).steps.at(2).outcome, api::StepOutcome::missed);
}

// Its every query has this value.
class OneValue {
 public:
  OneValue()
      : server_([this](http::Server& server) {
          server.route("GET", "/api/v1/query", {},
                       [this](http::Request request) -> boost::asio::awaitable<http::Response> {
                         http::Response answer;
                         const std::string at = request.query["time"];
                         answer.body =
                             R"({"status":"success","data":{"resultType":"vector","result":[)"
                             R"({"metric":{},"value":[)" +
                             (at.empty() ? "1795428900" : at) + ",\"" + std::to_string(value) +
                             "\"]}]}}";
                         co_return answer;
                       });
        }) {}
  [[nodiscard]] std::string url() const { return server_.client_options().base_url; }
  std::atomic<int> value = 1;

 private:
  http::Loopback server_;
};

// A note that hangs keeps the day from taking turns: not from ending what injects.
TEST_F(GameDayJournal, AConditionOfTheDayEndsWhatInjectsWhileTheJournalHangs) {
  OneValue prometheus;
  open(prometheus.url());
  const std::string day = create(std::string("  - {name: one, experiment: ") + kLong +
                                     "}\n  - {name: two, experiment: " + kLong + "}\n",
                                 "  preChecks: []\n  abortWhen: [{promql: up, above: 5}]\n");
  ASSERT_FALSE(injecting(day, 0).empty());
  cluster_.mood(FakeCluster::Mood::kHangs);
  std::thread says([&] {
    (void)house_->call("POST", "/api/v1/gamedays/" + day + "/entries",
                       R"({"kind": "note", "key": "0123456789", "text": "hi"})");
  });
  std::this_thread::sleep_for(milliseconds(1500));
  EXPECT_EQ(agent_->told_at(api::RunPhase::recovery), SteadyTime{}) << "nothing is wrong yet";
  prometheus.value = 9;
  EXPECT_TRUE(ends());
  // It holds no more when the journal answers: the day has ended all the same.
  prometheus.value = 1;
  std::this_thread::sleep_for(milliseconds(1500));
  cluster_.mood(FakeCluster::Mood::kAnswers);
  says.join();
  EXPECT_TRUE(until(day, DayState::aborted)) << look(day).next;
  const auto over = look(day);
  EXPECT_THAT(over.stateReason, testing::HasSubstr("up is 9"));
  EXPECT_TRUE(over.steps.at(1).runs.empty()) << "nothing began after it";
  house_.reset();
  agent_.reset();
}

}  // namespace
}  // namespace faultline::controller::test
