// SPDX-License-Identifier: Apache-2.0
// Game days whose timeline is in the cluster: another controller, with an empty store of its own,
// goes on with them. The API server is a fake one that keeps objects (fake_cluster.h); controllers
// and journals are the real ones, the agent is a double.
#include <gmock/gmock.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include "api/gameday_record.h"
#include "controller/kubernetes/day_control.h"
#include "controller/kubernetes/day_log_store.h"
#include "controller/kubernetes/run_log_store.h"
#include "fake_cluster.h"
#include "house.h"

namespace faultline::controller::test {
namespace {

using api::DayState;
using api::EntryKind;

class GameDayFailover : public testing::Test {
 protected:
  // The next controller: nothing but the cluster tells it what there was.
  void open() {
    HouseOptions options{.store_path = dir_.file("store-" + std::to_string(++houses_) + ".db"),
                         .port = port_};
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
    // Another process has a name of its own: the journal knows what this one reported.
    if (!agent_)
      agent_ = std::make_unique<AgentDouble>(house_->client("agent-token"), "n1",
                                             "a" + std::to_string(houses_));
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
  std::string create(const std::string& steps) {
    const std::string text =
        "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: pay}\nspec:\n"
        "  title: Payments is slow\n  steps:\n" +
        steps;
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

  TempDir dir_;
  FakeCluster cluster_;
  int houses_ = 0;
  std::uint16_t port_ = 0;
  std::unique_ptr<House> house_;
  std::unique_ptr<AgentDouble> agent_;
};

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

constexpr const char* kLong =
    "{spec: {target: {selector: {namespaces: [shop], labelSelectors: {app: payments}}}, faults: "
    "[{networkLatency: {latency: 50ms}}], phases: {baseline: 100ms, fault: 60s, recovery: "
    "100ms}}}";

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

// Whatever the journal is waiting for: what injects ends.
TEST_F(GameDayFailover, AnAbortEndsTheRunsAlsoWhileTheJournalHangs) {
  open();
  const std::string day = create(std::string("  - {name: one, experiment: ") + kLong +
                                 "}\n  - {name: two, experiment: " + kLong + "}\n");
  std::string run;
  for (int i = 0; i < 2000 && run.empty(); ++i) {
    const auto view = look(day);
    if (!view.steps.at(0).runs.empty()) run = view.steps.at(0).runs[0];
    std::this_thread::sleep_for(milliseconds(5));
  }
  ASSERT_FALSE(run.empty());
  house_->until(run, api::RunState::Injecting);
  cluster_.mood(FakeCluster::Mood::kHangs);
  const std::string word = R"({"kind": "aborted", "key": "0123456789", "text": "enough"})";
  // Whoever says it waits until the controller has no more patience with the journal.
  Result<http::ClientResponse> answer;
  std::thread says([&] {
    answer = http::request_blocking(house_->client("person-token"), "POST",
                                    "/api/v1/gamedays/" + day + "/entries", word,
                                    std::chrono::seconds(60));
  });
  for (int i = 0; i < 400 && agent_->told_at(api::RunPhase::recovery) == SteadyTime{}; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_NE(agent_->told_at(api::RunPhase::recovery), SteadyTime{});
  says.join();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 503) << answer->body;
  cluster_.mood(FakeCluster::Mood::kAnswers);
  ASSERT_TRUE(until(day, DayState::aborted)) << look(day).next;
  EXPECT_TRUE(look(day).steps.at(1).runs.empty()) << "nothing began meanwhile";
  const auto same = house_->call("POST", "/api/v1/gamedays/" + day + "/entries", word);
  EXPECT_EQ(same.status, 201) << "the same word again: " << same.body;
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

// As kubectl delete says it, behind a word that hangs already; and as a step that missed says it.
TEST_F(GameDayFailover, WhateverAbortsTheDayEndsWhatInjectsWhileTheJournalHangs) {
  for (const bool deleted : {true, false}) {
    open();
    const std::string day =
        create(std::string("  - name: g\n    parallel:\n    - {name: one, experiment: ") + kLong +
               "}\n    - {name: sure, onMiss: " + (deleted ? "continue" : "abort") +
               ", task: {text: Mend it, timeout: " + (deleted ? "60s" : "5s") + "}}\n");
    std::string run;
    for (int i = 0; i < 2000 && run.empty(); ++i) {
      const auto view = look(day);
      if (!view.steps.at(1).runs.empty()) run = view.steps.at(1).runs[0];
      std::this_thread::sleep_for(milliseconds(5));
    }
    ASSERT_FALSE(run.empty());
    house_->until(run, api::RunState::Injecting);
    cluster_.mood(FakeCluster::Mood::kHangs);
    std::thread says;
    if (deleted) {
      says = std::thread([&] {
        (void)house_->call("POST", "/api/v1/gamedays/" + day + "/entries",
                           R"({"kind": "note", "key": "0123456789", "text": "hi"})");
      });
      std::this_thread::sleep_for(milliseconds(200));
      boost::asio::post(house_->loop(), [&] {
        house_->service().days().end_day(day, "the GameDay shop/pay was deleted");
      });
    }
    SteadyTime told{};
    for (int i = 0; i < 900 && told == SteadyTime{}; ++i) {
      std::this_thread::sleep_for(milliseconds(10));
      told = agent_->told_at(api::RunPhase::recovery);
    }
    EXPECT_NE(told, SteadyTime{}) << (deleted ? "deleted" : "missed");
    cluster_.mood(FakeCluster::Mood::kAnswers);
    if (says.joinable()) says.join();
    EXPECT_TRUE(until(day, DayState::aborted)) << look(day).next;
    if (!deleted) {
      EXPECT_EQ(look(day).steps.at(2).outcome, api::StepOutcome::missed);
    }
    house_.reset();
    agent_.reset();
  }
}

}  // namespace
}  // namespace faultline::controller::test
