// SPDX-License-Identifier: Apache-2.0
// Game days whose timeline is in the cluster: another controller, with an empty store of its own,
// goes on with them.
#include "gameday_failover.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include "controller/kubernetes/day_control.h"
#include "controller/kubernetes/run_log_object.h"

namespace faultline::controller::test {
namespace {

constexpr const char* kSlow =
    "{spec: {target: {selector: {namespaces: [shop], labelSelectors: {app: payments}}}, faults: "
    "[{networkLatency: {latency: 50ms}}], phases: {baseline: 100ms, fault: 500ms, recovery: "
    "100ms}}}";

TEST_F(GameDayFailover, KilledAgainAndAgainAnotherGoesOnAndBeginsNothingTwice) {
  open();
  const std::string day =
      create(std::string("  - {name: one, experiment: ") + kSlow +
             "}\n  - {name: wait, pause: 300ms}\n  - {name: two, experiment: " + kSlow +
             "}\n  - {name: last, note: Bye}\n");
  // At once, and in the middle of each of its runs.
  std::this_thread::sleep_for(milliseconds(5));
  house_->kill();
  open();
  for (const std::size_t step : {0, 2}) {
    for (int i = 0; i < 2000 && look(day).steps.at(step).runs.empty(); ++i)
      std::this_thread::sleep_for(milliseconds(5));
    std::this_thread::sleep_for(milliseconds(150));
    house_->kill();
    open();
  }
  ASSERT_TRUE(until(day, DayState::completed)) << look(day).stateReason << look(day).next;
  const auto over = look(day);
  std::map<std::string, int> begun;
  for (std::size_t i = 0; i < over.entries.size(); ++i) {
    EXPECT_EQ(over.entries[i].number, i + 1);
    if (over.entries[i].kind == EntryKind::step_begun ||
        over.entries[i].kind == EntryKind::run_begun)
      ++begun[over.entries[i].step + "/" + over.entries[i].run];
  }
  for (const auto& [what, times] : begun) EXPECT_EQ(times, 1) << what;
  EXPECT_EQ(house_->get("/api/v1/experiments").as_array().size(), 2U);
  // What is over is there for the next one, too, with what is said late.
  const auto late = house_->call("POST", "/api/v1/gamedays/pay/entries",
                                 R"({"kind": "note", "key": "0123456789", "text": "told late"})");
  EXPECT_EQ(late.status, 201) << late.body;
  house_->kill();
  open();
  const auto again = look(day);
  EXPECT_EQ(again.state, DayState::completed);
  ASSERT_EQ(again.entries.size(), over.entries.size() + 1);
  EXPECT_EQ(again.entries.back().text, "told late");
  const auto said = house_->call("POST", "/api/v1/gamedays/pay/entries",
                                 R"({"kind": "note", "key": "0123456789", "text": "told late"})");
  EXPECT_EQ(said.status, 201) << said.body;
  EXPECT_EQ(look(day).entries.size(), again.entries.size()) << "the same word is one entry";
  EXPECT_EQ(house_->call("GET", "/api/v1/gamedays/pay/report").status, 200);
}

// Its runs were adopted, and nobody else would end them.
TEST_F(GameDayFailover, TheRunsOfADayThatTheJournalDoesNotHaveAnyMoreAreEnded) {
  for (const bool gone : {false, true}) {
    open();
    const std::string day = create(std::string("  - {name: one, experiment: ") + kLong + "}\n");
    std::string run;
    for (int i = 0; i < 2000 && run.empty(); ++i) {
      const auto view = look(day);
      if (!view.steps.at(0).runs.empty()) run = view.steps.at(0).runs[0];
      std::this_thread::sleep_for(milliseconds(5));
    }
    ASSERT_FALSE(run.empty());
    house_->until(run, api::RunState::Injecting);
    house_->kill();
    for (const auto& object : cluster_.all("runlogs")) {
      const std::string name(object.at("metadata").at("name").as_string());
      if (!name.starts_with("gameday." + day)) continue;
      if (gone) cluster_.remove("runlogs", "faultline", name);
      if (!gone && name.ends_with("-000002"))
        cluster_.change("runlogs", "faultline", name, [](FakeCluster::Object& changed) {
          changed["spec"].as_object()["data"] = "12:garbage";
        });
    }
    open();
    const auto ended = house_->until(run, api::RunState::Aborted);
    EXPECT_THAT(ended.stateReason, testing::HasSubstr("its game day " + day));
    if (gone) {
      EXPECT_EQ(house_->call("GET", "/api/v1/gamedays/" + day).status, 404);
    } else {
      EXPECT_EQ(look(day).state, DayState::failed);
      EXPECT_THAT(look(day).stateReason, testing::HasSubstr("cannot be read from the journal"));
      EXPECT_EQ(house_->call("GET", "/api/v1/gamedays/" + day + "/report").status, 200);
    }
    house_.reset();
  }
}

// The object arrived, and the answer did not: the next controller goes on with the day.
TEST_F(GameDayFailover, ADayWhoseMakerHeardNothingIsFoundByItsKey) {
  open();
  const std::string text =
      "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: pay}\nspec:\n  title: "
      "T\n  preChecks: []\n  steps:\n  - {name: sure, waitFor: {person: Well?}}\n";
  cluster_.mood(FakeCluster::Mood::kTakes);
  http::ClientResponse answer;
  std::thread asks([&] { answer = house_->call("POST", "/api/v1/gamedays?key=mine", text); });
  for (int i = 0; i < 500 && cluster_.all("runlogs").empty(); ++i)
    std::this_thread::sleep_for(milliseconds(10));
  ASSERT_EQ(cluster_.all("runlogs").size(), 1U);
  boost::asio::co_spawn(house_->loop(), house_->service().hand_over(milliseconds(100)),
                        boost::asio::use_future)
      .get();
  asks.join();
  house_->kill();
  EXPECT_EQ(answer.status, 503) << answer.body;
  EXPECT_THAT(answer.body, testing::HasSubstr("not known whether the game day was stored"));
  EXPECT_THAT(answer.body, testing::HasSubstr("the same key"));
  cluster_.mood(FakeCluster::Mood::kAnswers);
  open();
  const auto again = house_->call("POST", "/api/v1/gamedays?key=mine", text);
  EXPECT_EQ(again.status, 201) << again.body;
  const auto view = api::from_json_text<api::GameDayView>(again.body);
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_THAT(answer.body, testing::HasSubstr(view->day)) << "it was named";
  EXPECT_EQ(house_->get("/api/v1/gamedays").as_array().size(), 1U);
  const auto other =
      house_->call("POST", "/api/v1/gamedays?key=mine",
                   text.substr(0, text.find("pay")) + "other" + text.substr(text.find("pay") + 3));
  EXPECT_EQ(other.status, 409) << other.body;
}

TEST_F(GameDayFailover, ADayOfAnObjectIsMadeOnceAndEndsWithIt) {
  open();
  const auto ask = [&](boost::asio::awaitable<Result<>> work) {
    return boost::asio::co_spawn(house_->loop(), std::move(work), boost::asio::use_future).get();
  };
  const auto document = [] {
    auto day = api::parse_gameday(
        "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: pay, namespace: shop, "
        "annotations: {faultline.dev/gameday-uid: u1}}\n"
        "spec: {title: T, preChecks: [], steps: [{name: sure, waitFor: {person: Well?}}]}\n",
        "f");
    EXPECT_TRUE(day) << day.error().message;
    return std::move(*day);
  };
  http::Identity jane;
  jane.role = "person";
  jane.user = "jane";
  DayControl& first = house_->service().days();
  ASSERT_TRUE(ask(first.make_day("pay-u1", document(), jane, false)));
  EXPECT_TRUE(first.outlives_controller());
  house_->kill();
  open();
  DayControl& second = house_->service().days();
  const auto again = ask(second.make_day("pay-u1", document(), jane, false));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::kConflict) << again.error().message;
  const auto end = [&]() -> boost::asio::awaitable<Result<>> {
    EXPECT_EQ(second.days_of_objects(), (std::map<std::string, std::string>{{"u1", "pay-u1"}}));
    second.end_day("pay-u1", "the GameDay shop/pay was deleted");
    co_return Result<>{};
  };
  ASSERT_TRUE(ask(end()));
  ASSERT_TRUE(until("pay-u1", DayState::aborted));
  EXPECT_EQ(look("pay-u1").stateReason, "the GameDay shop/pay was deleted");
}

// Until the journal has it, a day is there for nobody but whoever makes it: nobody speaks on it.
TEST_F(GameDayFailover, ADayThatIsBeingMadeIsThereForNobodyElseAndHasOneDriver) {
  open();
  auto document = api::parse_gameday(
      "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: pay, namespace: shop, "
      "annotations: {faultline.dev/gameday-uid: u1}}\n"
      "spec: {title: T, preChecks: [], steps: [{name: sure, waitFor: {person: Well?}}]}\n",
      "f");
  ASSERT_TRUE(document) << document.error().message;
  http::Identity jane;
  jane.role = "person";
  jane.user = "jane";
  DayControl& days = house_->service().days();
  const auto make = [&] {
    return boost::asio::co_spawn(house_->loop(), days.make_day("pay-u1", *document, jane, false),
                                 boost::asio::use_future);
  };
  const std::string word = R"({"kind": "note", "key": "0123456789", "text": "hi"})";
  for (const bool refused : {true, false}) {
    cluster_.mood(FakeCluster::Mood::kHangs);
    auto made = make();
    std::this_thread::sleep_for(milliseconds(300));
    EXPECT_EQ(house_->call("POST", "/api/v1/gamedays/pay-u1/entries", word).status, 404);
    EXPECT_EQ(house_->call("GET", "/api/v1/gamedays/pay-u1").status, 404);
    EXPECT_TRUE(house_->get("/api/v1/gamedays").as_array().empty());
    if (refused) {  // for good: another one has its place in the journal
      RunLogObject other{.run = "pay-u1", .number = 1, .writer = "another"};
      other.day = true;
      other.data = pack_text("{}");
      cluster_.put("runlogs", other.object("faultline"));
    }
    cluster_.mood(FakeCluster::Mood::kAnswers);
    EXPECT_EQ(made.get().has_value(), !refused);
    if (!refused) break;
    EXPECT_EQ(house_->call("GET", "/api/v1/gamedays/pay-u1").status, 404);
    EXPECT_EQ(house_->call("POST", "/api/v1/gamedays/pay-u1/entries", word).status, 404);
    cluster_.remove("runlogs", "faultline", "gameday.pay-u1-000001");
  }
  EXPECT_EQ(house_->call("POST", "/api/v1/gamedays/pay-u1/entries", word).status, 201);
  ASSERT_TRUE(until("pay-u1", DayState::waiting));
  const auto view = look("pay-u1");
  EXPECT_EQ(std::ranges::count(view.entries, EntryKind::note, &api::DayEntry::kind), 1);
}

}  // namespace
}  // namespace faultline::controller::test
