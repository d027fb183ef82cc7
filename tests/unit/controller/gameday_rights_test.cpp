// SPDX-License-Identifier: Apache-2.0
// Who may end a game day while the API server says nothing.
#include "controller/routes/gameday_rights.h"

#include <gmock/gmock.h>

#include <boost/asio/steady_timer.hpp>

#include "api/gameday_record.h"
#include "house.h"

namespace faultline::controller::test {
namespace {

namespace asio = boost::asio;
using api::DayState;
using testing::HasSubstr;

http::Identity person(const std::string& user, std::vector<std::string> groups = {}) {
  http::Identity who;
  who.user = user;
  who.groups = std::move(groups);
  return who;
}

TEST(DayRights, AYesIsGoodForItsPersonAndItsDayForAWhile) {
  const SteadyTime now{std::chrono::hours(1)};
  DayRights rights;
  const std::string jane = DayRights::key(person("jane", {"a", "b"}), "pay-1");
  rights.said(jane, true, now);
  EXPECT_TRUE(rights.proven(jane, now + DayRights::kProven - seconds(1)));
  EXPECT_FALSE(rights.proven(jane, now + DayRights::kProven));
  EXPECT_EQ(DayRights::key(person("jane", {"b", "a"}), "pay-1"), jane) << "groups have no order";
  http::Identity other = person("jane", {"a", "b"});
  other.uid = "7";
  http::Identity scoped = person("jane", {"a", "b"});
  scoped.extra["scopes"] = {"x"};
  for (const std::string& key :
       {DayRights::key(person("jane", {"a", "b"}), "pay-2"),
        DayRights::key(person("jane"), "pay-1"), DayRights::key(person("joe", {"a", "b"}), "pay-1"),
        DayRights::key(other, "pay-1"), DayRights::key(scoped, "pay-1"),
        DayRights::key(person("jane", {"a1:b"}), "pay-1")})
    EXPECT_FALSE(rights.proven(key, now)) << key;
}

TEST(DayRights, ANoTakesAYesBackAndWhoIsNotKnownIsNotProven) {
  const SteadyTime now{std::chrono::hours(1)};
  DayRights rights;
  const std::string key = DayRights::key(person("jane"), "pay-1");
  EXPECT_FALSE(rights.proven(key, now));
  rights.asked(key, now);
  EXPECT_FALSE(rights.proven(key, now)) << "no answer yet";
  rights.said(key, true, now);
  rights.said(key, false, now + seconds(1));
  EXPECT_FALSE(rights.proven(key, now + seconds(1)));
}

TEST(DayRights, WhatIsKeptIsBoundedAndIsAskedForAheadNowAndThen) {
  const SteadyTime now{std::chrono::hours(1)};
  DayRights rights;
  const auto key = [](std::size_t i) {
    return DayRights::key(person("user-" + std::to_string(i)), "pay-1");
  };
  EXPECT_TRUE(rights.is_due(key(0), now));
  for (std::size_t i = 0; i < 2 * DayRights::kMost; ++i) rights.said(key(i), true, now);
  EXPECT_EQ(rights.size(), DayRights::kMost);
  EXPECT_TRUE(rights.proven(key(0), now)) << "a newcomer takes nobody's place";
  EXPECT_FALSE(rights.is_due(key(0), now + DayRights::kAhead - seconds(1)));
  EXPECT_TRUE(rights.is_due(key(0), now + DayRights::kAhead));
  EXPECT_FALSE(rights.is_due(key(2 * DayRights::kMost), now + DayRights::kAhead));
  const SteadyTime later = now + DayRights::kProven;
  EXPECT_TRUE(rights.is_due(key(2 * DayRights::kMost), later));
  rights.said(key(2 * DayRights::kMost), true, later);
  EXPECT_TRUE(rights.proven(key(2 * DayRights::kMost), later));
  EXPECT_EQ(rights.size(), 1U);
}

// ---- at the door

// An API server that may hang. Only jane may end days.
class GameDayRights : public testing::Test {
 protected:
  void SetUp() override {
    Service::May may = [this](http::Identity who, std::string verb,
                              std::set<std::string>) -> asio::awaitable<Result<>> {
      while (hangs_) {
        asio::steady_timer timer(co_await asio::this_coro::executor, milliseconds(10));
        co_await timer.async_wait(asio::use_awaitable);
      }
      if (away_) co_return fail(Errc::kUnavailable, "cannot ask what you may do");
      if (verb == "delete") ++asked_;
      if (verb == "delete" && (who.user != "jane" || taken_))
        co_return fail(Errc::kDenied, who.user + " may not delete");
      co_return Result<>{};
    };
    house_ = std::make_unique<House>(
        HouseOptions{.store_path = dir_.file("store.db"), .may = std::move(may)});
    const auto made = house_->call(
        "POST", "/api/v1/gamedays?namespace=shop",
        "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: pay}\nspec:\n  title: "
        "T\n  preChecks: []\n  steps:\n  - {name: sure, waitFor: {person: Well?}}\n",
        "jane-token");
    ASSERT_EQ(made.status, 201) << made.body;
    day_ = api::from_json_text<api::GameDayView>(made.body)->day;
    EXPECT_EQ(house_->call("GET", "/api/v1/gamedays/" + day_, "", "joe-token").status, 200);
    // Both looked at it, and the cluster was asked about both.
    for (int i = 0; i < 500 && asked_ < 2; ++i) std::this_thread::sleep_for(milliseconds(10));
    ASSERT_EQ(asked_, 2);
    std::this_thread::sleep_for(milliseconds(50));
  }
  void TearDown() override { hangs_ = false; }
  // Nothing: there was no answer within a time in which an abort that is taken has one.
  std::optional<http::ClientResponse> abort(const std::string& who, const std::string& day) {
    const std::string word =
        R"({"kind": "aborted", "key": "abort-by-)" + who + R"(", "text": "x"})";
    auto answer = http::request_blocking(house_->client(who + "-token"), "POST",
                                         "/api/v1/gamedays/" + day + "/entries", word, seconds(4));
    if (!answer) return std::nullopt;
    return std::move(*answer);
  }
  DayState state() {
    hangs_ = away_ = false;
    const auto view = house_->call("GET", "/api/v1/gamedays/" + day_, "", "jane-token");
    return api::from_json_text<api::GameDayView>(view.body)->state;
  }

  TempDir dir_;
  std::atomic<bool> hangs_ = false, away_ = false, taken_ = false;
  std::atomic<int> asked_ = 0;
  std::unique_ptr<House> house_;
  std::string day_;
};

TEST_F(GameDayRights, WhoWasProvenEndsADayWhileTheApiServerHangsAndNobodyElse) {
  hangs_ = true;
  EXPECT_EQ(abort("joe", day_), std::nullopt);
  const auto jane = abort("jane", day_);
  ASSERT_TRUE(jane);
  EXPECT_EQ(jane->status, 201) << jane->body;
  for (int i = 0; i < 500 && state() != DayState::aborted; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(state(), DayState::aborted);
}

TEST_F(GameDayRights, ByItsNameLikewise) {
  hangs_ = true;
  EXPECT_EQ(abort("joe", "pay"), std::nullopt);
  const auto jane = abort("jane", "pay");
  ASSERT_TRUE(jane);
  EXPECT_EQ(jane->status, 201) << jane->body;
}

TEST_F(GameDayRights, WhoWasProvenEndsADayWhileTheApiServerIsAwayAndNobodyElse) {
  away_ = true;
  const auto joe = abort("joe", day_);
  ASSERT_TRUE(joe);
  EXPECT_EQ(joe->status, 503) << joe->body;
  const auto jane = abort("jane", day_);
  ASSERT_TRUE(jane);
  EXPECT_EQ(jane->status, 201) << jane->body;
}

TEST_F(GameDayRights, ARightThatWasTakenAwayIsGoneWhenTheApiServerSaysSo) {
  taken_ = true;
  const auto denied = abort("jane", day_);
  ASSERT_TRUE(denied);
  EXPECT_EQ(denied->status, 403) << denied->body;
  EXPECT_THAT(denied->body, HasSubstr("may not delete"));
  hangs_ = true;
  EXPECT_EQ(abort("jane", day_), std::nullopt) << "what it said before holds no more";
  EXPECT_EQ(state(), DayState::waiting);
}

}  // namespace
}  // namespace faultline::controller::test
