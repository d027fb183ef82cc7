// SPDX-License-Identifier: Apache-2.0
// The journal of game days against a fake API server that keeps objects (fake_cluster.h).
#include <gmock/gmock.h>

#include <algorithm>

#include "api/codec.h"
#include "controller/gameday/day.h"
#include "controller/kubernetes/day_log_store.h"
#include "controller/kubernetes/run_log_object.h"
#include "fake_cluster.h"
#include "tests/unit/kube/loop.h"

namespace faultline::controller {
namespace {

using api::DayEntry;
using api::EntryKind;
using kube::run;
using testing::HasSubstr;
using testing::IsEmpty;

class DayLogTest : public testing::Test {
 protected:
  std::unique_ptr<DayLogStore> store(const std::string& writer) {
    DayLogOptions options{.ns = "faultline", .writer = writer, .most_over = 2};
    options.try_again = std::chrono::milliseconds(5);
    options.displaced = [this](const std::string& who) { displaced_.push_back(who); };
    return std::make_unique<DayLogStore>(io_.get_executor(), cluster_.config(), clock_, options);
  }
  static api::GameDayRecord day(const std::string& id) {
    api::GameDay document;
    document.apiVersion = "faultline.dev/v1alpha1";
    document.kind = api::kGameDayKind;
    document.metadata.name = "pay";
    document.spec.title = "Payments is slow";
    api::Step step;
    step.name = "wait";
    step.pause = {std::chrono::seconds(1)};
    document.spec.steps.push_back(step);
    return gameday::Day::create(std::move(document), id, "jane", false, SystemClock().utc());
  }
  static DayEntry entry(std::uint64_t number, const std::string& text,
                        EntryKind kind = EntryKind::note) {
    DayEntry made{.number = number, .kind = kind, .text = text};
    made.at = made.recordedAt = {SystemClock().utc()};
    if (kind == EntryKind::over) made.word = "completed";
    return made;
  }
  // The end of a day, and what follows.
  void end(DayLogStore& by, const std::string& id, std::uint64_t number) {
    ASSERT_TRUE(run(io_, by.append(id, {entry(number, "", EntryKind::over)})));
    EXPECT_TRUE(is_put_together(id));
  }
  // Until only what was put together is left.
  bool is_put_together(const std::string& id) {
    const auto together = [&] {
      const auto all = names();
      const auto starts = [&](const std::string& how) {
        return std::ranges::any_of(
            all, [&](const std::string& name) { return name.starts_with("gameday." + id + how); });
      };
      return starts("-f") && !starts("-0");
    };
    return kube::run_until(io_, together, std::chrono::seconds(10));
  }
  // Until nothing of the day is left.
  bool is_gone(const std::string& id) {
    const auto gone = [&] {
      return std::ranges::none_of(names(), [&](const std::string& name) {
        return name.find(id + "-") != std::string::npos;
      });
    };
    return kube::run_until(io_, gone, std::chrono::seconds(10));
  }
  Result<std::vector<api::GameDayRecord>> taken_over(DayLogStore& by) {
    std::vector<api::GameDayRecord> all;
    const auto taken =
        run(io_, by.take_over([&](api::GameDayRecord record) -> boost::asio::awaitable<Result<>> {
          all.push_back(std::move(record));
          co_return Result<>{};
        }));
    if (!taken) return fail(taken.error());
    return all;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& object : cluster_.all("runlogs"))
      all.emplace_back(object.at("metadata").at("name").as_string());
    return all;
  }

  // An object of the timeline, past every controller.
  void put(const std::string& id, std::uint64_t number, const std::string& data) {
    RunLogObject object{.run = id, .number = number, .writer = "one"};
    object.day = true;
    object.data = data;
    cluster_.put("runlogs", object.object("faultline"));
  }
  // `name` without "gameday.".
  bool has(const std::string& name) const {
    return !cluster_.get("runlogs", "faultline", "gameday." + name).empty();
  }

  SystemClock clock_;
  test::FakeCluster cluster_;
  boost::asio::io_context io_{1};
  std::vector<std::string> displaced_;
};

TEST_F(DayLogTest, AnotherControllerGoesOnWithTheSameTimeline) {
  const auto first = store("one");
  ASSERT_TRUE(run(io_, first->create(day("pay-1"))));
  ASSERT_TRUE(run(io_, first->append("pay-1", {entry(2, "a"), entry(3, "b")})));
  const auto second = store("two");
  const auto days = taken_over(*second);
  ASSERT_TRUE(days) << days.error().message;
  ASSERT_EQ(days->size(), 1U);
  EXPECT_EQ(days->front().day, "pay-1");
  EXPECT_EQ(days->front().document.spec.title, "Payments is slow");
  ASSERT_EQ(days->front().entries.size(), 3U);
  EXPECT_EQ(days->front().entries[2].text, "b");
  ASSERT_TRUE(run(io_, second->append("pay-1", {entry(4, "c")})));
  const auto third = store("three");
  EXPECT_EQ(taken_over(*third)->front().entries.size(), 4U);
}

TEST_F(DayLogTest, WhoWasReplacedWritesNothingMore) {
  const auto first = store("one");
  ASSERT_TRUE(run(io_, first->create(day("pay-1"))));
  const auto second = store("two");
  ASSERT_TRUE(taken_over(*second));
  const auto late = run(io_, first->append("pay-1", {entry(2, "late")}));
  ASSERT_FALSE(late);
  EXPECT_EQ(displaced_.size(), 1U);
  ASSERT_TRUE(run(io_, second->append("pay-1", {entry(2, "mine")})));
  const auto days = taken_over(*store("three"));
  ASSERT_EQ(days->front().entries.size(), 2U);
  EXPECT_EQ(days->front().entries[1].text, "mine");
}

TEST_F(DayLogTest, ADayIsMadeOnce) {
  const auto first = store("one"), second = store("two");
  const auto record = day("pay-1");
  ASSERT_TRUE(run(io_, first->create(record)));
  EXPECT_TRUE(run(io_, first->create(record))) << "the same again, of an answer that was lost";
  const auto again = run(io_, second->create(record));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::kConflict);
}

TEST_F(DayLogTest, WhatIsOverIsPutTogetherAndLateWordsAreKept) {
  const auto first = store("one");
  ASSERT_TRUE(run(io_, first->create(day("pay-1"))));
  for (std::uint64_t i = 2; i < 12; ++i)
    ASSERT_TRUE(run(io_, first->append("pay-1", {entry(i, "word " + std::to_string(i))})));
  end(*first, "pay-1", 12);
  EXPECT_EQ(names().size(), 2U) << testing::PrintToString(names());
  ASSERT_TRUE(run(io_, first->append("pay-1", {entry(13, "told late")})));
  const auto second = store("two");
  const auto days = taken_over(*second);
  ASSERT_EQ(days->size(), 1U);
  ASSERT_EQ(days->front().entries.size(), 13U);
  EXPECT_EQ(days->front().entries.back().text, "told late");
  ASSERT_TRUE(run(io_, second->append("pay-1", {entry(14, "later still")})));
  EXPECT_EQ(taken_over(*store("three"))->front().entries.size(), 14U);
}

// Who follows a long day is told of its end before its objects are put together and deleted.
TEST_F(DayLogTest, TheEndOfADayIsWrittenBeforeTheDayIsPutTogether) {
  const auto first = store("one");
  ASSERT_TRUE(run(io_, first->create(day("pay-1"))));
  for (std::uint64_t i = 2; i < 100; ++i)
    ASSERT_TRUE(run(io_, first->append("pay-1", {entry(i, "word " + std::to_string(i))})));
  const std::size_t before = cluster_.writes().size();
  ASSERT_TRUE(run(io_, first->append("pay-1", {entry(100, "", EntryKind::over)})));
  EXPECT_EQ(cluster_.writes().size(), before + 1);
  EXPECT_EQ(names().size(), 100U);
  EXPECT_TRUE(is_put_together("pay-1"));
  EXPECT_EQ(names().size(), 2U) << testing::PrintToString(names());
  EXPECT_EQ(taken_over(*store("two"))->front().entries.size(), 100U);
}

TEST_F(DayLogTest, WhatIsSaidWhileADayIsPutTogetherIsNotLost) {
  const auto first = store("one");
  ASSERT_TRUE(run(io_, first->create(day("pay-1"))));
  for (std::uint64_t i = 2; i < 40; ++i)
    ASSERT_TRUE(run(io_, first->append("pay-1", {entry(i, "word " + std::to_string(i))})));
  ASSERT_TRUE(run(io_, first->append("pay-1", {entry(40, "", EntryKind::over)})));
  std::uint64_t number = 41;
  const auto begun = [&] { return has("pay-1-000001"); };
  for (; begun() && number < 400; ++number)
    ASSERT_TRUE(run(io_, first->append("pay-1", {entry(number, "meanwhile")})));
  EXPECT_GT(number, 42U) << "nothing was said meanwhile";
  ASSERT_LT(number, 400U) << "it is never put together";
  ASSERT_TRUE(run(io_, first->append("pay-1", {entry(number, "after it")})));
  EXPECT_THAT(displaced_, IsEmpty());
  for (const char* writer : {"two", "three"}) {
    const auto days = taken_over(*store(writer));
    ASSERT_TRUE(days) << days.error().message;
    ASSERT_EQ(days->front().entries.size(), number);
    EXPECT_EQ(days->front().entries.back().text, "after it");
  }
}

TEST_F(DayLogTest, AnEntryThatArrivedBehindWhatWasPutTogetherCounts) {
  const auto first = store("one");
  ASSERT_TRUE(run(io_, first->create(day("pay-1"))));
  end(*first, "pay-1", 2);
  // As if the controller had died between the entry and putting it together.
  RunLogObject object{.run = "pay-1", .number = 3, .writer = "one"};
  object.day = true;
  object.data = pack_text("{\"entries\":[" + api::to_json_text(entry(3, "late")) + "]}");
  cluster_.put("runlogs", object.object("faultline"));
  const auto days = taken_over(*store("two"));
  ASSERT_EQ(days->front().entries.size(), 3U);
  EXPECT_EQ(days->front().entries.back().text, "late");
  EXPECT_EQ(taken_over(*store("three"))->front().entries.size(), 3U);
}

TEST_F(DayLogTest, TheOldestThatAreOverAreDeleted) {
  const auto first = store("one");
  for (const char* id : {"pay-1", "pay-2", "pay-3"}) {
    ASSERT_TRUE(run(io_, first->create(day(id))));
    end(*first, id, 2);
  }
  EXPECT_TRUE(is_gone("pay-1"));
  const auto days = taken_over(*store("two"));
  ASSERT_EQ(days->size(), 2U);
  EXPECT_EQ(days->front().day, "pay-2");
}

TEST_F(DayLogTest, WhatHasNoBeginningDoesNotCountAndGoes) {
  put("pay-9", 4, pack_text("{\"entries\":[]}"));
  const auto first = store("one");
  ASSERT_TRUE(run(io_, first->create(day("pay-1"))));
  const auto days = taken_over(*store("two"));
  ASSERT_TRUE(days) << days.error().message;
  ASSERT_EQ(days->size(), 1U);
  EXPECT_FALSE(has("pay-9-000004"));
}

// Its next steps would be done again: it is over, and whoever can read it finds it as it was.
TEST_F(DayLogTest, ADayOfWhichAnObjectCannotBeReadHasFailedAndStays) {
  const auto first = store("one");
  ASSERT_TRUE(run(io_, first->create(day("pay-1"))));
  ASSERT_TRUE(run(io_, first->append("pay-1", {entry(2, "a")})));
  ASSERT_TRUE(run(io_, first->append("pay-1", {entry(3, "lost")})));
  ASSERT_TRUE(run(io_, first->append("pay-1", {entry(4, "behind it")})));
  ASSERT_TRUE(run(io_, first->create(day("pay-2"))));
  put("pay-1", 3, "12:garbage");
  for (const char* writer : {"two", "three"}) {
    const auto next = store(writer);
    const auto days = taken_over(*next);
    ASSERT_TRUE(days) << days.error().message;
    ASSERT_EQ(days->size(), 2U) << "the others go on";
    ASSERT_EQ(days->front().entries.size(), 3U);
    EXPECT_EQ(days->front().entries[1].text, "a");
    const DayEntry& last = days->front().entries.back();
    EXPECT_EQ(last.kind, EntryKind::over);
    EXPECT_EQ(last.word, "failed");
    EXPECT_EQ(last.number, 3U);
    EXPECT_EQ(last.at, days->front().entries[1].recordedAt);
    EXPECT_THAT(last.text, HasSubstr("object 3 of its log"));
    EXPECT_TRUE(gameday::Day(days->front()).over());
    for (const char* name : {"pay-1-000001", "pay-1-000002", "pay-1-000003", "pay-1-000004"})
      EXPECT_TRUE(has(name)) << name;
    // What is said of it now would be read by nobody.
    const auto late = run(io_, next->append("pay-1", {entry(4, "late")}));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, Errc::kInternal);
    EXPECT_TRUE(
        run(io_, next->append("pay-2", {entry(writer == std::string("two") ? 2 : 3, "b")})));
  }
  EXPECT_THAT(displaced_, IsEmpty());
}

TEST_F(DayLogTest, ADayThatWasOverDoesNotBeginAgainWhenItsEndCannotBeRead) {
  const auto first = store("one");
  ASSERT_TRUE(run(io_, first->create(day("pay-1"))));
  end(*first, "pay-1", 2);
  ASSERT_TRUE(has("pay-1-f1-2"));
  RunLogObject part{.run = "pay-1", .number = 2, .parts = 2, .generation = 1, .writer = "one"};
  part.day = true;
  part.data = pack_text("{}");
  cluster_.put("runlogs", part.object("faultline"));
  const auto days = taken_over(*store("two"));
  ASSERT_TRUE(days) << days.error().message;
  ASSERT_EQ(days->size(), 1U);
  EXPECT_TRUE(gameday::Day(days->front()).over());
  EXPECT_EQ(days->front().entries.back().word, "failed");
  EXPECT_TRUE(has("pay-1-f1-1"));
  EXPECT_TRUE(has("pay-1-f1-2"));
}

TEST_F(DayLogTest, ADayWhoseBeginningCannotBeReadIsNobodysAndStays) {
  const auto first = store("one");
  ASSERT_TRUE(run(io_, first->create(day("pay-1"))));
  ASSERT_TRUE(run(io_, first->append("pay-1", {entry(2, "a")})));
  // Of another day, as if somebody had copied it.
  put("pay-1", 1, pack_text(api::to_json_text(day("pay-7"))));
  const auto next = store("two");
  const auto days = taken_over(*next);
  ASSERT_TRUE(days) << days.error().message;
  EXPECT_THAT(*days, IsEmpty());
  EXPECT_TRUE(has("pay-1-000001"));
  EXPECT_TRUE(has("pay-1-000002"));
  const auto again = run(io_, next->create(day("pay-1")));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::kConflict);
}

TEST_F(DayLogTest, ALateWordThatCannotBeReadStaysAndTheDayIsAsItWas) {
  const auto first = store("one");
  ASSERT_TRUE(run(io_, first->create(day("pay-1"))));
  end(*first, "pay-1", 2);
  put("pay-1", 3, "12:garbage");
  for (const char* writer : {"two", "three"}) {
    const auto next = store(writer);
    const auto days = taken_over(*next);
    ASSERT_TRUE(days) << days.error().message;
    ASSERT_EQ(days->size(), 1U);
    EXPECT_EQ(days->front().entries.size(), 2U);
    EXPECT_EQ(days->front().entries.back().word, "completed");
    EXPECT_TRUE(has("pay-1-000003"));
  }
}

TEST_F(DayLogTest, NothingIsTakenAwayWhileAnObjectIsOfNobodyKnowsWhat) {
  put("pay-9", 4, pack_text("{\"entries\":[]}"));
  RunLogObject strange{.run = "pay-9", .number = 1, .writer = "one"};
  strange.day = true;
  auto object = strange.object("faultline");
  object["spec"].as_object()["number"] = 7;  // its name says another one
  cluster_.put("runlogs", object);
  const auto days = taken_over(*store("two"));
  ASSERT_TRUE(days) << days.error().message;
  EXPECT_THAT(*days, IsEmpty());
  EXPECT_TRUE(has("pay-9-000004"));
}

TEST_F(DayLogTest, LogsOfRunsAndOfDaysDoNotMeet) {
  RunLogObject of_run{.run = "pay-1", .number = 1, .writer = "one"}, of_day = of_run;
  of_day.day = true;
  EXPECT_NE(of_run.name(), of_day.name());
  const auto read = [](const RunLogObject& object) {
    const auto text = boost::json::serialize(object.object("faultline"));
    return RunLogObject::of(boost::json::parse(text).as_object());
  };
  ASSERT_TRUE(read(of_day));
  EXPECT_TRUE(read(of_day)->day);
  EXPECT_FALSE(read(of_run)->day);
}

// A large day is not written again for each word that somebody says of it later.
TEST_F(DayLogTest, ALateWordIsOneObjectAndTheDayIsPutTogetherByTheNextController) {
  const auto first = store("one");
  ASSERT_TRUE(run(io_, first->create(day("pay-1"))));
  end(*first, "pay-1", 2);
  const std::size_t before = cluster_.writes().size();
  for (std::uint64_t i = 3; i < 13; ++i)
    ASSERT_TRUE(run(io_, first->append("pay-1", {entry(i, "late " + std::to_string(i))})));
  EXPECT_EQ(cluster_.writes().size(), before + 10);
  const auto second = store("two");
  const auto days = taken_over(*second);
  ASSERT_TRUE(days) << days.error().message;
  ASSERT_EQ(days->front().entries.size(), 12U);
  EXPECT_EQ(days->front().entries.back().text, "late 12");
  EXPECT_LE(names().size(), 3U) << testing::PrintToString(names());
  ASSERT_TRUE(run(io_, second->append("pay-1", {entry(13, "later still")})));
  // What goes with the day goes whole.
  for (const char* id : {"pay-2", "pay-3"}) {
    ASSERT_TRUE(run(io_, second->create(day(id))));
    end(*second, id, 2);
  }
  EXPECT_TRUE(is_gone("pay-1")) << testing::PrintToString(names());
}

}  // namespace
}  // namespace faultline::controller
