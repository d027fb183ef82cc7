// SPDX-License-Identifier: Apache-2.0
// Which GameDays begin, what is said on their days, and what their status tells. The API server
// and what drives the days are fakes; the days themselves are real state machines. tests/cluster
// has all of it for real.
#include "controller/kubernetes/day_operator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controller/kubernetes/day_object.h"
#include "fake_cluster.h"
#include "kube/times.h"
#include "tests/unit/kube/loop.h"

namespace faultline::controller {
namespace {

namespace json = boost::json;
using api::DayState;
using boost::asio::awaitable;
using namespace std::chrono_literals;
using test::FakeCluster;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

// Days that nobody drives: what is said to them is applied, and the test does the rest.
class FakeDays final : public DayControl {
 public:
  explicit FakeDays(boost::asio::io_context& io) : io_(io) {}

  awaitable<Result<DayNow>> day_now(std::string day) override {
    if (away) co_return fail(Errc::kUnavailable, "the store is away");
    const auto found = all.find(day);
    if (found == all.end()) co_return fail(Errc::kNotFound, "there is no game day " + day);
    co_return DayNow(found->second);
  }
  awaitable<Result<>> make_day(std::string id, api::GameDay document, http::Identity who,
                               bool unattended) override {
    asked.push_back(who.user + " " + id);
    if (refused) co_return fail(*refused);
    if (auto whole = api::with_secrets(document, secrets))
      document = std::move(*whole);
    else
      co_return fail(whole.error());
    api::GameDayRecord record =
        gameday::Day::create(std::move(document), id, who.name(), unattended, clock_.utc());
    record.asker = {.user = who.user, .groups = who.groups};
    all[id] = std::make_shared<gameday::Day>(std::move(record));
    ++changes_;
    co_return Result<>{};
  }
  awaitable<Result<api::DayEntry>> say_on_day(std::string day, http::Identity who,
                                              api::DayWord word) override {
    if (busy) co_return fail(Errc::kUnavailable, "say it again");
    if (denied.contains(who.user)) co_return fail(Errc::kDenied, who.user + " may not");
    gameday::Day& found = *all.at(day);
    auto entry = found.say(word, who.user, "kubectl", clock_.utc());
    if (entry && entry->number > found.record().entries.size()) found.apply({*entry});
    ++changes_;
    co_return entry;
  }
  void end_day(const std::string& day, const std::string& why) override {
    if (all.contains(day)) ended.push_back(day + ": " + why);
  }
  [[nodiscard]] std::map<std::string, std::string> days_of_objects() const override {
    std::map<std::string, std::string> days;
    for (const auto& [id, day] : all)
      if (!day->over()) days[day->record().document.metadata.annotations.at(kDayUid)] = id;
    return days;
  }
  [[nodiscard]] bool outlives_controller() const override { return durable; }
  [[nodiscard]] std::uint64_t day_changes() const override { return changes_; }
  awaitable<void> wait_for_day_change(std::uint64_t seen, SteadyTime until) override {
    while (changes_ == seen && std::chrono::steady_clock::now() < until) {
      boost::asio::steady_timer timer(io_, 5ms);
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
  }

  // What drives a real day writes such entries.
  void add(const std::string& id, api::EntryKind kind, const std::string& word = "",
           const std::string& step = "", std::optional<api::StepOutcome> outcome = {}) {
    gameday::Day& day = *all.at(id);
    api::DayEntry entry{.number = day.record().entries.size() + 1, .kind = kind};
    entry.at = entry.recordedAt = {clock_.utc()};
    entry.word = word;
    entry.step = step;
    entry.outcome = outcome;
    entry.good = true;
    day.apply({entry});
    ++changes_;
  }
  [[nodiscard]] std::vector<api::DayEntry> entries(const std::string& id) const {
    return all.at(id)->record().entries;
  }

  std::map<std::string, std::shared_ptr<gameday::Day>> all;
  std::vector<std::string> asked, ended;
  std::set<std::string> denied;
  std::map<std::string, std::string> secrets;  // what they say, by the path of the step
  std::optional<Error> refused;
  bool away = false, busy = false, durable = false;

 private:
  boost::asio::io_context& io_;
  SystemClock clock_;
  std::uint64_t changes_ = 1;
};

class DayOperatorTest : public testing::Test {
 protected:
  DayOperatorTest() : client_(io_.get_executor(), cluster_.config()), days_(io_) {
    options_.status_every = 10ms;
    options_.admitted = [this](json::object, api::GameDay) -> awaitable<Result<Asker>> {
      if (admission_) co_return fail(*admission_);
      co_return Asker{.user = "jane"};
    };
    options_.said = [](json::object object) -> awaitable<Result<Proofs::Said>> {
      const std::string by = note_on(object, kSaidBy);
      if (by.empty()) co_return fail(Errc::kDenied, "it is not proven who wrote it");
      co_return Proofs::Said{
          .who = {.user = by}, .at = SystemClock().utc(), .key = *word_key(object)};
    };
  }
  ~DayOperatorTest() override {
    if (operator_) operator_->stop();
    kube::run_until(
        io_, [] { return false; }, 50ms);
    operator_.reset();
  }
  void lead() {
    operator_ = std::make_unique<DayOperator>(io_.get_executor(), client_, clock_, days_, options_);
    operator_->start();
    EXPECT_TRUE(until([&] { return operator_->state().synced; }));
  }
  bool until(const std::function<bool()>& done) { return kube::run_until(io_, done, 20s); }
  void settle() {
    kube::run_until(
        io_, [] { return false; }, 1500ms);
  }

  json::object gameday(const std::string& uid = "u1", const std::string& roles = "{}") const {
    json::object object = json::parse(R"({"apiVersion": "faultline.dev/v1alpha1", "kind": "GameDay",
        "spec": {"title": "Payments is slow", "preChecks": [], "roles": )" +
                                      roles + R"(, "steps": [
          {"name": "briefing", "waitFor": {"person": "Everybody is here"}},
          {"name": "mend", "task": {"text": "Mend it"}}]}})")
                              .as_object();
    object["metadata"] = {{"name", "pay"},
                          {"namespace", "shop"},
                          {"uid", uid},
                          {"generation", 1},
                          {"creationTimestamp", kube::format_time(clock_.utc())}};
    return object;
  }
  void put(const json::object& object) { cluster_.put("gamedays", object); }
  // As the webhook would have it written.
  void write(const std::string& word, const std::string& by, const std::string& mac = "a") {
    cluster_.change("gamedays", "shop", "pay", [&](json::object& object) {
      auto& metadata = object["metadata"].as_object();
      if (!metadata.contains("annotations")) metadata["annotations"] = json::object{};
      auto& notes = metadata["annotations"].as_object();
      notes[kDayWord] = word;
      notes[kSaidBy] = by;
      notes[kSaid] = "2026-11-26T14:00:00.123456Z 5f1d2c3b " + std::string(64, mac[0]);
    });
  }
  json::object status() const {
    const json::object object = cluster_.get("gamedays", "shop", "pay");
    const auto* found = object.if_contains("status");
    return found == nullptr ? json::object{} : found->as_object();
  }
  std::string said(const char* key) const {
    const json::object now = status();
    const auto* found = now.if_contains(key);
    return found == nullptr ? "" : std::string(found->as_string());
  }
  std::string answer() const {
    const json::object now = status();
    const auto* word = now.if_contains("word");
    return word == nullptr || !word->is_object() ? "" : std::string(word->at("answer").as_string());
  }
  void begun() {
    lead();
    put(gameday());
    ASSERT_TRUE(until([&] { return said("phase") == "running"; })) << json::value(status());
    days_.add("pay-u1", api::EntryKind::step_begun, "", "briefing");
  }

  SystemClock clock_;
  FakeCluster cluster_;
  boost::asio::io_context io_{1};
  kube::Client client_;
  FakeDays days_;
  DayOperatorOptions options_;
  std::optional<Error> admission_;
  std::unique_ptr<DayOperator> operator_;
};

TEST_F(DayOperatorTest, ApplyingTheFileBeginsTheDayOfWhoCreatedIt) {
  begun();
  EXPECT_THAT(days_.asked, testing::ElementsAre("jane pay-u1"));
  const auto entries = days_.entries("pay-u1");
  EXPECT_EQ(entries[1].kind, api::EntryKind::started);
  EXPECT_EQ(entries[1].who, "jane");
  EXPECT_EQ(entries[1].via, "kubectl");
  ASSERT_TRUE(until([&] { return said("step") == "briefing"; }));
  EXPECT_EQ(said("day"), "pay-u1");
  EXPECT_THAT(said("next"), HasSubstr("somebody to confirm briefing: Everybody is here"));
  EXPECT_EQ(said("report"), "/api/v1/gamedays/pay-u1/report");
}

TEST_F(DayOperatorTest, ADayThatSomebodyElseLeadsWaitsForThem) {
  lead();
  put(gameday("u1", R"({"facilitator": ["joe"]})"));
  ASSERT_TRUE(until([&] { return said("phase") == "waiting"; }));
  settle();
  EXPECT_EQ(said("phase"), "waiting");
  EXPECT_EQ(said("next"), "somebody who starts it");
  write("start", "joe");
  EXPECT_TRUE(until([&] { return said("phase") == "running"; }));
}

TEST_F(DayOperatorTest, AWordIsSaidOnceByWhoWroteIt) {
  begun();
  write("next briefing all here", "joe");
  ASSERT_TRUE(until([&] { return !answer().empty(); }));
  EXPECT_EQ(answer(), "entry 4 of the timeline");
  settle();
  const auto entries = days_.entries("pay-u1");
  ASSERT_EQ(entries.size(), 4U);
  EXPECT_EQ(entries[3].who, "joe");
  EXPECT_EQ(entries[3].text, "all here");
  // Another controller, which does not know that it was said, and whose store does.
  cluster_.change("gamedays", "shop", "pay",
                  [](json::object& object) { object["status"].as_object().erase("word"); });
  ASSERT_TRUE(until([&] { return answer() == "entry 4 of the timeline"; }));
  EXPECT_EQ(days_.entries("pay-u1").size(), 4U);
  EXPECT_EQ(cluster_.all("events").empty(), false);
}

TEST_F(DayOperatorTest, TheSameWordsAgainAreAnotherWord) {
  begun();
  write("note hello", "joe", "a");
  ASSERT_TRUE(until([&] { return answer() == "entry 4 of the timeline"; }));
  write("note hello", "joe", "b");
  EXPECT_TRUE(until([&] { return answer() == "entry 5 of the timeline"; }));
}

TEST_F(DayOperatorTest, WhoMayNotIsToldWhyAndNothingIsSaid) {
  days_.denied = {"mallory"};
  begun();
  write("abort", "mallory");
  ASSERT_TRUE(until([&] { return !answer().empty(); }));
  EXPECT_EQ(answer(), "mallory may not");
  EXPECT_FALSE(status().at("word").at("taken").as_bool());
  write("abort", "", "b");
  ASSERT_TRUE(until([&] { return answer() != "mallory may not"; }));
  EXPECT_THAT(answer(), HasSubstr("not proven"));
  EXPECT_EQ(days_.entries("pay-u1").size(), 3U);
}

TEST_F(DayOperatorTest, AWordWaitsUntilItCanBeStored) {
  begun();
  days_.busy = true;
  write("note hello", "joe");
  settle();
  EXPECT_EQ(answer(), "");
  days_.busy = false;
  EXPECT_TRUE(until([&] { return answer() == "entry 4 of the timeline"; }));
}

TEST_F(DayOperatorTest, DeletingTheObjectEndsTheDay) {
  begun();
  cluster_.remove("gamedays", "shop", "pay");
  ASSERT_TRUE(until([&] { return !days_.ended.empty(); }));
  EXPECT_THAT(days_.ended[0], HasSubstr("pay-u1: the GameDay shop/pay was deleted"));
}

TEST_F(DayOperatorTest, ADayWhoseObjectIsGoneEndsWhenSomebodyLeadsAgain) {
  begun();
  operator_->stop();
  operator_.reset();
  cluster_.remove("gamedays", "shop", "pay");
  lead();
  ASSERT_TRUE(until([&] { return !days_.ended.empty(); }));
  EXPECT_THAT(days_.ended[0], HasSubstr("its GameDay was deleted"));
}

TEST_F(DayOperatorTest, WhatWasNotAdmittedDoesNotBegin) {
  admission_ = Error{Errc::kDenied, "the webhook was not asked", 0};
  lead();
  put(gameday());
  ASSERT_TRUE(until([&] { return said("phase") == "failed"; }));
  EXPECT_EQ(said("reason"), "the webhook was not asked");
  EXPECT_EQ(said("verdict"), "failed");
  EXPECT_THAT(days_.asked, IsEmpty());
  // A word on it is answered all the same.
  write("next", "joe");
  EXPECT_TRUE(until([&] { return answer().find("did not begin") != std::string::npos; }));
}

TEST_F(DayOperatorTest, SurprisesAndFilesPastTheWebhookAreRefused) {
  lead();
  json::object object = gameday("u1", R"({"facilitator": ["jane"]})");
  object["spec"].as_object()["steps"].as_array()[1].as_object()["surprise"] = true;
  put(object);
  ASSERT_TRUE(until([&] { return said("phase") == "failed"; }));
  EXPECT_THAT(said("reason"), HasSubstr("would see the surprise"));
}

class HiddenDayTest : public DayOperatorTest {
 protected:
  static constexpr const char* kAt = "spec.steps[2].experiment.secret";
  json::object hidden() const {
    json::object object = gameday("u1", R"({"facilitator": ["jane"]})");
    object["spec"].as_object()["steps"].as_array().push_back(
        {{"name", "boom"},
         {"surprise", true},
         {"experiment", {{"secret", "pay-surprise/slow.yaml"}}}});
    return object;
  }
  static std::string experiment() {
    return "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: x}\nspec: "
           "{purpose: payroll waits, target: {selector: {labelSelectors: {app: payroll}}}, faults: "
           "[{networkLatency: {latency: 50ms}}]}\n";
  }
  // All that the API server was told.
  std::string told() const {
    std::string all = json::serialize(cluster_.get("gamedays", "shop", "pay"));
    for (const json::object& event : cluster_.all("events")) all += json::serialize(event);
    return all;
  }
  void tells_nothing() const {
    for (const char* word : {"payroll", "networkLatency", "50ms"})
      EXPECT_THAT(told(), testing::Not(HasSubstr(word)));
  }
};

TEST_F(HiddenDayTest, NothingOfTheSecretIsInStatusOrEventsWhileTheStepRuns) {
  days_.secrets = {{kAt, experiment()}};
  lead();
  put(hidden());
  ASSERT_TRUE(until([&] { return said("phase") == "running"; })) << json::value(status());
  const auto& document = days_.all.at("pay-u1")->record().document;
  ASSERT_TRUE(document.spec.steps[2].experiment->spec);
  days_.add("pay-u1", api::EntryKind::step_begun, "", "boom");
  days_.add("pay-u1", api::EntryKind::run_begun, "", "boom");
  days_.add("pay-u1", api::EntryKind::held, "", "boom");
  ASSERT_TRUE(until([&] { return said("phase") == "held"; }));
  write("note what is this", "joe");
  ASSERT_TRUE(until([&] { return !answer().empty(); }));
  EXPECT_FALSE(cluster_.all("events").empty());
  tells_nothing();
  EXPECT_EQ(said("step"), "");
}

TEST_F(HiddenDayTest, WhatIsAppliedWithItIsWaitedForAndNotForLong) {
  days_.refused = Error{Errc::kDenied, "the controller may not read the Secret", 0};
  days_.secrets = {{kAt, experiment()}};
  options_.applied_beside = 10s;
  lead();
  put(hidden());
  ASSERT_TRUE(until([&] { return days_.asked.size() > 1; }));
  EXPECT_EQ(said("phase"), "starting");
  days_.refused.reset();
  EXPECT_TRUE(until([&] { return said("phase") == "running"; }));
}

TEST_F(HiddenDayTest, ARightThatDoesNotComeRefusesTheDay) {
  days_.refused = Error{Errc::kNotFound, "there is no Secret shop/pay-surprise", 0};
  options_.applied_beside = 1s;
  lead();
  put(hidden());
  ASSERT_TRUE(until([&] { return said("phase") == "failed"; }));
  EXPECT_EQ(said("reason"), "there is no Secret shop/pay-surprise");
}

TEST_F(HiddenDayTest, AWrongSecretIsRefusedWithoutItsContent) {
  days_.secrets = {{kAt, "apiVersion: payroll\nkind: networkLatency\n"}};
  lead();
  put(hidden());
  ASSERT_TRUE(until([&] { return said("phase") == "failed"; }));
  EXPECT_THAT(said("reason"), HasSubstr("the key slow.yaml of the Secret pay-surprise holds no"));
  ASSERT_TRUE(until([&] { return !cluster_.all("events").empty(); }));
  tells_nothing();
}

TEST_F(DayOperatorTest, DaysThatAreOverAreDeletedWhenTheirTimeIsOver) {
  options_.kept_for = [] { return std::optional<std::chrono::seconds>(1h); };
  const auto over = [&](const char* name, const char* uid, std::chrono::seconds ago,
                        const char* ttl = nullptr) {
    json::object object = gameday(uid);
    object["metadata"].as_object()["name"] = name;
    object["status"] = {{"phase", "completed"},
                        {"day", std::string(name) + "-" + uid},
                        {"completedAt", kube::format_time(clock_.utc() - ago)}};
    if (ttl != nullptr) object["spec"].as_object()["ttlAfterFinished"] = ttl;
    put(object);
  };
  over("by-policy", "u1", 2h);
  over("fresh", "u2", 1min);
  over("own", "u3", 2h, "90m");
  over("longer", "u4", 2h, "3h");
  over("always", "u5", 2h, "never");
  // Its last word is answered first.
  over("spoken", "u6", 2h);
  cluster_.change("gamedays", "shop", "spoken", [](json::object& object) {
    object["metadata"].as_object()["annotations"] = {{kDayWord, "note late"}};
  });
  lead();
  ASSERT_TRUE(until([&] { return operator_->state().deleted == 3; }));
  settle();
  std::vector<std::string> left;
  for (const json::object& object : cluster_.all("gamedays"))
    left.emplace_back(object.at("metadata").at("name").as_string());
  EXPECT_THAT(left, testing::ElementsAre("always", "fresh", "longer"));
  bool answered = false;
  for (const std::string& write : cluster_.writes())
    answered = answered || write.find(
                               "PATCH /apis/faultline.dev/v1alpha1/namespaces/shop/gamedays/"
                               "spoken/status") != write.npos;
  EXPECT_TRUE(answered);
  EXPECT_THAT(days_.ended, IsEmpty());
}

TEST_F(DayOperatorTest, AStatusThatSaysOverWhileTheDayGoesOnIsWrittenOverAndDeletesNothing) {
  options_.kept_for = [] { return std::optional<std::chrono::seconds>(0); };
  begun();
  cluster_.change("gamedays", "shop", "pay", [&](json::object& object) {
    object["status"] = {{"phase", "completed"},
                        {"verdict", "met"},
                        {"completedAt", kube::format_time(clock_.utc() - 1h)}};
  });
  EXPECT_TRUE(until([&] { return said("phase") == "running"; })) << json::value(status());
  settle();
  EXPECT_EQ(said("phase"), "running");
  EXPECT_THAT(days_.ended, IsEmpty());
}

TEST_F(DayOperatorTest, WhoMayNotAStepIsRefusedAndWhatIsNotThereYetIsWaitedFor) {
  days_.refused = Error{Errc::kUnavailable, "no agent is connected", 0};
  lead();
  put(gameday());
  ASSERT_TRUE(until([&] { return days_.asked.size() > 1; }));
  EXPECT_EQ(said("phase"), "starting");
  days_.refused = Error{Errc::kDenied, "jane may not create in bank", 0};
  ASSERT_TRUE(until([&] { return said("phase") == "failed"; }));
  EXPECT_EQ(said("reason"), "jane may not create in bank");
}

TEST_F(DayOperatorTest, ADayThatMayHaveBegunBeforeIsNotBegunAgain) {
  lead();
  json::object object = gameday();
  object["status"] = {{"phase", "starting"}, {"day", "pay-u1"}};
  put(object);
  ASSERT_TRUE(until([&] { return said("phase") == "failed"; }));
  EXPECT_THAT(said("reason"), HasSubstr("A day does not begin twice"));
  EXPECT_THAT(days_.asked, IsEmpty());
}

TEST_F(DayOperatorTest, WithAStoreThatOutlivesControllersItIs) {
  days_.durable = true;
  lead();
  json::object object = gameday();
  object["status"] = {{"phase", "starting"}, {"day", "pay-u1"}};
  put(object);
  EXPECT_TRUE(until([&] { return said("phase") == "running"; }));
  EXPECT_EQ(days_.asked.size(), 1U);
}

TEST_F(DayOperatorTest, AStoreThatIsAwayIsNoDayThatIsLost) {
  begun();
  days_.away = true;
  write("note hello", "joe");
  settle();
  EXPECT_EQ(said("phase"), "running");
  days_.away = false;
  EXPECT_TRUE(until([&] { return answer() == "entry 4 of the timeline"; }));
}

TEST_F(DayOperatorTest, TheEndIsToldWithItsVerdict) {
  begun();
  days_.add("pay-u1", api::EntryKind::step_over, "", "briefing", api::StepOutcome::done);
  days_.add("pay-u1", api::EntryKind::step_begun, "", "mend");
  days_.add("pay-u1", api::EntryKind::step_over, "", "mend", api::StepOutcome::missed);
  days_.add("pay-u1", api::EntryKind::step_begun, "", "mend");  // done again, and better
  days_.add("pay-u1", api::EntryKind::step_over, "", "mend", api::StepOutcome::met);
  days_.add("pay-u1", api::EntryKind::over, "completed");
  ASSERT_TRUE(until([&] { return said("phase") == "completed"; }));
  EXPECT_EQ(said("verdict"), "missed");
  EXPECT_NE(said("completedAt"), "");
  ASSERT_TRUE(until([&] { return operator_->state().followed == 0; }));
  const auto writes = operator_->state().status_writes;
  settle();
  EXPECT_EQ(operator_->state().status_writes, writes) << "what is over costs nothing";
}

TEST_F(DayOperatorTest, HostileWordsStayText) {
  begun();
  write("note \x1b[31mred\n\x07", "joe\x1b[0m");
  ASSERT_TRUE(until([&] { return !answer().empty(); }));
  const std::string all = json::serialize(status());
  EXPECT_EQ(all.find("\\u001b"), all.npos) << all;
}

}  // namespace
}  // namespace faultline::controller
