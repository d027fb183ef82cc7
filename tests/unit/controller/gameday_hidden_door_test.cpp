// SPDX-License-Identifier: Apache-2.0
// What a surprise of a game day must not be seen by, and how long timelines are read, through a
// whole controller on loopback with a double of an agent.
#include <gmock/gmock.h>

#include "api/gameday_plan.h"
#include "api/gameday_record.h"
#include "controller/gameday/day.h"
#include "controller/store/store.h"
#include "house.h"

namespace faultline::controller::test {
namespace {

using api::DayState;
using api::EntryKind;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kLong =
    "{spec: {target: {selector: {namespaces: [shop], labelSelectors: {app: payments}}}, faults: "
    "[{networkLatency: {latency: 50ms}}], phases: {baseline: 100ms, fault: 20s, recovery: 100ms}}}";
constexpr const char* kRoles = "  roles: {facilitator: [jane], commander: [joe]}\n";
constexpr const char* kJane = "jane-token";
constexpr const char* kJoe = "joe-token";

std::string day_text(const std::string& steps, const std::string& more) {
  return "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: pay}\nspec:\n"
         "  title: Payments is slow\n" +
         more + "  steps:\n" + steps;
}

// Everybody with a name may everything in shop; joe only looks, where he has to.
boost::asio::awaitable<Result<>> of_shop(http::Identity who, std::string verb,
                                         std::set<std::string> namespaces) {
  for (const std::string& space : namespaces)
    if (space != "shop" || who.user.empty())
      co_return fail(Errc::kDenied, who.name() + " may not " + verb + " in " + space);
  co_return Result<>{};
}

class HiddenDoor : public testing::Test {
 protected:
  void open(Service::May may = of_shop) {
    house_ = std::make_unique<House>(
        HouseOptions{.store_path = dir_.file("store.db"), .may = std::move(may)});
    agent_ = std::make_unique<AgentDouble>(house_->client("agent-token"), "n1");
    for (int i = 0; i < 500; ++i) {
      const auto nodes = house_->call("GET", "/api/v1/nodes", "", kJane);
      if (nodes.body.find("payments") != nodes.body.npos) break;
      std::this_thread::sleep_for(milliseconds(20));
    }
  }
  std::string create(const std::string& text, const std::string& query = "") {
    const auto answer =
        house_->call("POST", "/api/v1/gamedays?namespace=shop" + query, text, kJane);
    EXPECT_EQ(answer.status, 201) << answer.body;
    auto view = api::from_json_text<api::GameDayView>(answer.body);
    return view ? view->day : "";
  }
  [[nodiscard]] api::GameDayView look(const std::string& day, const std::string& token,
                                      const std::string& query = "") const {
    const auto answer = house_->call("GET", "/api/v1/gamedays/" + day + query, "", token);
    auto view = api::from_json_text<api::GameDayView>(answer.body);
    if (view) return std::move(*view);
    ADD_FAILURE() << answer.status << " " << answer.body;
    return {};
  }
  // What joe reads of all runs while the day is on its way to this state.
  std::string until(const std::string& day, DayState state) {
    std::string read;
    for (int i = 0; i < 2000 && look(day, kJane).state != state; ++i) {
      read += house_->call("GET", "/api/v1/experiments?namespace=shop", "", kJoe).body;
      std::this_thread::sleep_for(milliseconds(10));
    }
    EXPECT_EQ(look(day, kJane).state, state) << look(day, kJane).stateReason;
    return read;
  }
  http::ClientResponse say(const std::string& day, api::DayWord word, const std::string& token) {
    word.key = "word-number-" + std::to_string(++words_);
    return house_->call("POST", "/api/v1/gamedays/" + day + "/entries", api::to_json_text(word),
                        token);
  }
  static std::string words_of(const api::GameDayView& view) {
    std::string all = view.next + view.stateReason;
    for (const api::DayEntry& entry : view.entries)
      all += entry.step + entry.text + entry.run + "\n";
    return all;
  }

  TempDir dir_;
  std::unique_ptr<House> house_;
  std::unique_ptr<AgentDouble> agent_;
  int words_ = 0;
};

TEST_F(HiddenDoor, ARunOfASurpriseIsThereForNobodyFromItsFirstMoment) {
  open();
  const std::string day = create(day_text(
      std::string("  - {name: boom, surprise: true, experiment: ") + kLong + "}\n", kRoles));
  until(day, DayState::waiting);
  ASSERT_EQ(say(day, {.kind = EntryKind::started}, kJane).status, 201);
  std::string read;
  for (int i = 0; i < 2000 && look(day, kJane).steps.at(0).runs.empty(); ++i)
    read += house_->call("GET", "/api/v1/experiments?namespace=shop", "", kJoe).body;
  EXPECT_THAT(read, Not(HasSubstr("pay-s1")));
  const std::string run = look(day, kJane).steps.at(0).runs.at(0);
  // Who wants the same pods learns that they are taken, and not by what.
  const std::string mine =
      "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: mine, namespace: "
      "shop}\nspec: {target: {selector: {namespaces: [shop], labelSelectors: {app: payments}}}, "
      "faults: [{networkLatency: {latency: 10ms}}], phases: {fault: 1s}}\n";
  for (const char* target : {"/api/v1/experiments?dryRun=true", "/api/v1/experiments"}) {
    const auto answer = house_->call("POST", target, mine, kJoe);
    EXPECT_EQ(answer.status, 409) << answer.body;
    EXPECT_THAT(answer.body, HasSubstr("a target of another run"));
    EXPECT_THAT(answer.body, Not(HasSubstr("pay-s1")));
  }
  const auto wanted =
      house_->call("POST", "/api/v1/gamedays?namespace=shop&dryRun=true",
                   day_text(std::string("  - {name: x, experiment: ") + kLong + "}\n", ""), kJoe);
  EXPECT_THAT(wanted.body, HasSubstr("another run"));
  EXPECT_THAT(wanted.body, Not(HasSubstr("pay-s1")));
  EXPECT_EQ(house_->call("GET", "/api/v1/experiments/" + run, "", kJane).status, 200);
}

TEST_F(HiddenDoor, TheRehearsalOfASurpriseIsHiddenAndASurpriseIsNotRehearsedWithIfThereIsAnother) {
  open();
  const std::string boom =
      std::string("  - {name: boom, title: Dies, surprise: true, experiment: ") + kLong + "}\n";
  const std::string checks = std::string(kRoles) + "  preChecks: [agents, targets, abort]\n";
  const std::string day = create(day_text(boom, checks), "&anyway=true");
  const std::string read = until(day, DayState::waiting);
  EXPECT_THAT(read, Not(HasSubstr("rehearsal")));
  EXPECT_THAT(words_of(look(day, kJoe)), Not(HasSubstr("boom")));
  EXPECT_THAT(words_of(look(day, kJoe)), HasSubstr("0 pods will be hit"));
  EXPECT_THAT(words_of(look(day, kJane)), HasSubstr("boom"));
  // Also when it is over.
  EXPECT_THAT(house_->call("GET", "/api/v1/experiments?namespace=shop", "", kJoe).body,
              Not(HasSubstr("rehearsal")));
  const auto all = house_->call("GET", "/api/v1/experiments?namespace=shop", "", kJane).body;
  EXPECT_THAT(all, HasSubstr("pay-rehearsal"));
  EXPECT_EQ(say(day, {.kind = EntryKind::aborted}, kJane).status, 201);
  until(day, DayState::aborted);

  std::string known = kLong;
  known.replace(known.find("50ms"), 4, "77ms");
  const std::string second = create(
      day_text(boom + "  - {name: known, experiment: " + known + "}\n", checks), "&anyway=true");
  until(second, DayState::waiting);
  const auto mine =
      house_->call("GET", "/api/v1/experiments/pay-rehearsal?namespace=shop", "", kJoe);
  EXPECT_EQ(mine.status, 200) << mine.body;
  EXPECT_THAT(mine.body, HasSubstr("77ms"));
  EXPECT_THAT(mine.body, Not(HasSubstr("boom")));
}

TEST_F(HiddenDoor, ACheckDoesNotNameASurpriseThatIsNotInOrder) {
  open();
  std::string nobody = kLong;
  nobody.replace(nobody.find("app: payments"), 13, "app: nonesuch");
  const std::string day =
      create(day_text("  - {name: boom, surprise: true, experiment: " + nobody + "}\n", kRoles),
             "&anyway=true");
  until(day, DayState::waiting);
  EXPECT_THAT(words_of(look(day, kJane)), HasSubstr("step boom: "));
  EXPECT_THAT(words_of(look(day, kJoe)), Not(HasSubstr("boom")));
  EXPECT_THAT(words_of(look(day, kJoe)), Not(HasSubstr("nonesuch")));
}

TEST_F(HiddenDoor, WhoWaitsIsNotWokenByWhatIsHiddenAndALongTimelineComesInPages) {
  open();
  const std::string day = create(
      day_text("  - {name: boo, surprise: true, waitFor: {person: x}}\n", std::string(kRoles)));
  until(day, DayState::waiting);
  EXPECT_EQ(say(day, {.kind = EntryKind::started}, kJane).status, 201);
  const std::uint64_t newest = look(day, kJoe).entries.back().number;
  const auto begin = std::chrono::steady_clock::now();
  const auto late = look(day, kJoe, "?after=" + std::to_string(newest) + "&wait=1");
  EXPECT_TRUE(late.entries.empty());
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(900));
  const auto note = say(day, {.kind = EntryKind::note, .text = "hi"}, kJoe);
  EXPECT_EQ(boost::json::parse(note.body).at("number").to_number<std::uint64_t>(), newest + 1);
  // A page at a time.
  const std::string text(4000, 'x');
  for (int i = 0; i < 80; ++i) {
    int status = 429;
    for (int again = 0; status == 429 && again < 500; ++again) {
      status = say(day, {.kind = EntryKind::note, .text = text}, i % 2 == 0 ? kJoe : kJane).status;
      if (status == 429) std::this_thread::sleep_for(milliseconds(20));
    }
    ASSERT_EQ(status, 201);
  }
  std::uint64_t after = 0;
  int pages = 0;
  bool more = true;
  while (more && pages < 10) {
    const auto answer = house_->call(
        "GET", "/api/v1/gamedays/" + day + "?after=" + std::to_string(after), "", kJoe);
    EXPECT_LT(answer.body.size(), 400U << 10);
    const auto view = api::from_json_text<api::GameDayView>(answer.body);
    ASSERT_TRUE(view && !view->entries.empty());
    EXPECT_EQ(view->entries.front().number, after + 1);
    after = view->entries.back().number;
    more = answer.headers.contains("link");
    if (more) {
      EXPECT_THAT(answer.headers.at("link"), HasSubstr("after=" + std::to_string(after) + ">"));
    }
    ++pages;
  }
  EXPECT_EQ(pages, 2);
  EXPECT_EQ(after, newest + 81);
}

TEST_F(HiddenDoor, AnObserverWhoMayOnlyLookLetsNoStepBegin) {
  open([](http::Identity who, std::string verb,
          std::set<std::string>) -> boost::asio::awaitable<Result<>> {
    if (who.user == "joe" && verb != "get") co_return fail(Errc::kDenied, "joe may only look");
    co_return Result<>{};
  });
  const std::string steps = "  - {name: sure, waitFor: {person: All well?}}\n";
  for (const char* role : {"observers", "scribe"}) {
    const std::string day =
        create(day_text(steps, std::string("  roles: {") + role + ": [joe]}\n"));
    until(day, DayState::waiting);
    EXPECT_EQ(say(day, {.kind = EntryKind::started}, kJane).status, 201);
    until(day, DayState::running);
    const int said = say(day, {.kind = EntryKind::answered}, kJoe).status;
    EXPECT_EQ(said, std::string(role) == "scribe" ? 201 : 403) << role;
  }
}

// Days of others must not push those that one may see off the list.
TEST_F(HiddenDoor, TheListGoesOnUntilThereAreEnoughThatOneMaySee) {
  {
    auto store = Store::open({.path = dir_.file("store.db")});
    ASSERT_TRUE(store) << store.error().message;
    const UtcTime begin = SystemClock().utc() - std::chrono::hours(1);
    for (int i = 0; i < 250; ++i) {
      auto document = api::parse_gameday(day_text("  - {name: rest, pause: 1s}\n", ""), "day.yaml");
      ASSERT_TRUE(document);
      const std::string ns = i < 20 ? "shop" : "bank";
      document->metadata.namespace_ = ns;
      auto record = gameday::Day::create(*document, "pay-" + std::to_string(1000 + i), "jane", true,
                                         begin + seconds(i));
      api::DayEntry over = record.entries.back();
      over.number = 2;
      over.kind = EntryKind::over;
      over.word = "completed";
      const auto stored = (*store)->insert_day(record, {ns});
      ASSERT_TRUE(stored) << stored.error().message;
      const std::vector<api::DayEntry> end{over};
      ASSERT_TRUE((*store)->append_entries(record.day, end));
    }
  }
  open();
  const auto listed = [&](const std::string& query) {
    return boost::json::parse(house_->call("GET", "/api/v1/gamedays" + query, "", kJoe).body)
        .as_array();
  };
  EXPECT_EQ(listed("").size(), 20U);
  EXPECT_EQ(listed("?limit=5").size(), 5U);
  EXPECT_EQ(listed("?limit=5").at(0).at("day"), "pay-1019");
  EXPECT_EQ(look("pay", kJoe).day, "pay-1019");
}

// So that the day can be mended and run again.
TEST_F(HiddenDoor, WhatNeverBeganOfADayThatFailedStaysHidden) {
  open();
  std::string nobody = kLong;
  nobody.replace(nobody.find("app: payments"), 13, "app: nonesuch");
  const std::string day =
      create(day_text("  - {name: boom, surprise: true, experiment: " + nobody + "}\n", kRoles));
  until(day, DayState::failed);
  EXPECT_THAT(words_of(look(day, kJane)), HasSubstr("step boom: "));
  EXPECT_THAT(words_of(look(day, kJoe)), Not(HasSubstr("boom")));
  EXPECT_THAT(words_of(look(day, kJoe)), Not(HasSubstr("nonesuch")));
  EXPECT_TRUE(look(day, kJoe).steps.empty());
  const std::string report = "/api/v1/gamedays/" + day + "/report";
  EXPECT_EQ(house_->call("GET", report, "", kJoe).status, 409);
  EXPECT_EQ(house_->call("GET", report, "", kJane).status, 200);
  const auto note = say(day, {.kind = EntryKind::note, .step = "boom", .text = "x"}, kJoe);
  EXPECT_THAT(note.body, HasSubstr("there is no step"));
  EXPECT_EQ(say(day, {.kind = EntryKind::found, .step = "boom", .text = "it"}, kJane).status, 201);
  EXPECT_THAT(words_of(look(day, kJoe)), HasSubstr("step boom: "));
  EXPECT_EQ(house_->call("GET", report, "", kJoe).status, 200);
}

// Also when nobody has the day in memory any more.
TEST_F(HiddenDoor, TheRehearsalOfADayThatFailedStaysHiddenWithTheNextController) {
  open();
  std::string expects = kLong;  // an alert, and there is no monitoring
  expects.insert(expects.size() - 2, ", expect: {alerts: [{name: Slow, within: 5s}]}");
  const std::string day =
      create(day_text("  - {name: boom, surprise: true, experiment: " + expects + "}\n",
                      std::string(kRoles) + "  preChecks: [abort, monitoring]\n"));
  until(day, DayState::failed);
  const auto list = [&](const char* token) {
    return house_->call("GET", "/api/v1/experiments?namespace=shop", "", token).body;
  };
  const auto named = [&](const char* token) {
    return house_->call("GET", "/api/v1/experiments/pay-rehearsal?namespace=shop", "", token)
        .status;
  };
  EXPECT_THAT(list(kJane), HasSubstr("pay-rehearsal"));
  EXPECT_THAT(list(kJoe), Not(HasSubstr("pay-rehearsal")));
  EXPECT_EQ(named(kJoe), 404);
  for (int i = 0; i < 2; ++i) {
    house_->kill();
    agent_.reset();
    open();
    EXPECT_THAT(list(kJane), HasSubstr("pay-rehearsal"));
    EXPECT_THAT(list(kJoe), Not(HasSubstr("pay-rehearsal")));
    EXPECT_EQ(named(kJoe), 404);
    EXPECT_EQ(named(kJane), 200);
  }
  // A later day of this name does not tell what would have come.
  const std::string second = create(day_text("  - {name: w, pause: 10ms}\n", kRoles));
  until(second, DayState::waiting);
  EXPECT_EQ(say(second, {.kind = EntryKind::started}, kJane).status, 201);
  until(second, DayState::completed);
  const std::string report = "/api/v1/gamedays/" + second + "/report";
  EXPECT_THAT(house_->call("GET", report, "", kJoe).body, Not(HasSubstr("boom")));
  EXPECT_EQ(say(day, {.kind = EntryKind::found, .step = "boom", .text = "it"}, kJane).status, 201);
  EXPECT_THAT(list(kJoe), HasSubstr("pay-rehearsal"));
}

}  // namespace
}  // namespace faultline::controller::test
