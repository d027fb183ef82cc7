// SPDX-License-Identifier: Apache-2.0
// Game days through a whole controller on loopback, with a double of an agent.
#include <gmock/gmock.h>

#include <fstream>

#include "api/gameday_plan.h"
#include "api/gameday_record.h"
#include "house.h"

namespace faultline::controller::test {
namespace {

using api::DayState;
using api::EntryKind;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kSlow =
    "{spec: {target: {selector: {namespaces: [shop], labelSelectors: {app: payments}}}, faults: "
    "[{networkLatency: {latency: 50ms}}], phases: {baseline: 100ms, fault: 500ms, recovery: "
    "100ms}}}";

std::string day_text(const std::string& steps, const std::string& more = "") {
  return "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: pay}\nspec:\n"
         "  title: Payments is slow\n" +
         more + "  steps:\n" + steps;
}

// Everybody of shop may everything there: jane and joe. The token without a name may not.
boost::asio::awaitable<Result<>> of_shop(http::Identity who, std::string verb,
                                         std::set<std::string> namespaces) {
  for (const std::string& space : namespaces)
    if (space != "shop" || who.user.empty())
      co_return fail(Errc::kDenied, who.name() + " may not " + verb + " in " + space);
  co_return Result<>{};
}

class GameDayDoor : public testing::Test {
 protected:
  void open(Service::May may = {}, Service::FetchText config_maps = {}) {
    house_ = std::make_unique<House>(HouseOptions{.store_path = dir_.file("store.db"),
                                                  .port = port_,
                                                  .audit_path = dir_.file("audit.log"),
                                                  .may = std::move(may),
                                                  .config_maps = std::move(config_maps)});
    port_ = house_->port();
    if (!agent_) agent_ = std::make_unique<AgentDouble>(house_->client("agent-token"), "n1");
  }
  // A day is made when the agent has come.
  api::GameDayView create(const std::string& text, const std::string& query,
                          const std::string& token = "person-token") {
    http::ClientResponse answer;
    const bool needs_agents = text.find("experiment") != text.npos;
    for (int i = 0; i < 500 && needs_agents; ++i) {
      const auto plan =
          house_->call("POST", "/api/v1/gamedays?namespace=shop&dryRun=true", text, token);
      if (plan.status == 200 && plan.body.find("\"problem\":\"\"") != plan.body.npos) break;
      std::this_thread::sleep_for(milliseconds(20));
    }
    answer = house_->call("POST", "/api/v1/gamedays?namespace=shop" + query, text, token);
    EXPECT_EQ(answer.status, 201) << answer.body;
    return view_of(answer);
  }
  static api::GameDayView view_of(const http::ClientResponse& answer) {
    auto view = api::from_json_text<api::GameDayView>(answer.body);
    if (view) return std::move(*view);
    ADD_FAILURE() << answer.status << " " << answer.body;
    return {};
  }
  [[nodiscard]] api::GameDayView look(const std::string& day,
                                      const std::string& token = "person-token") const {
    return view_of(house_->call("GET", "/api/v1/gamedays/" + day, "", token));
  }
  api::GameDayView until(const std::string& day, DayState state,
                         const std::string& token = "person-token") const {
    api::GameDayView view = look(day, token);
    for (int i = 0; i < 2000 && view.state != state; ++i) {
      std::this_thread::sleep_for(milliseconds(10));
      view = look(day, token);
    }
    EXPECT_EQ(view.state, state) << view.stateReason << " " << view.next;
    return view;
  }
  http::ClientResponse say(const std::string& day, api::DayWord word,
                           const std::string& token = "person-token") {
    if (word.key.empty()) word.key = "word-number-" + std::to_string(++words_);
    return house_->call("POST", "/api/v1/gamedays/" + day + "/entries", api::to_json_text(word),
                        token);
  }
  static std::optional<api::StepOutcome> outcome(const api::GameDayView& view,
                                                 const std::string& step) {
    for (const api::StepView& one : view.steps)
      if (one.name == step) return one.outcome;
    return std::nullopt;
  }

  TempDir dir_;
  std::uint16_t port_ = 0;
  std::unique_ptr<House> house_;
  std::unique_ptr<AgentDouble> agent_;
  int words_ = 0;
};

TEST_F(GameDayDoor, AnUnattendedDayRunsByItselfAndItsReportSaysSo) {
  open();
  const auto view = create(day_text(std::string("  - {name: slow, experiment: ") + kSlow +
                                    "}\n  - {name: fix, task: {text: Fix it, otherwise: done}}\n"),
                           "&unattended=true");
  EXPECT_EQ(view.state, DayState::checking);
  const auto over = until(view.day, DayState::completed);
  EXPECT_EQ(outcome(over, "slow"), api::StepOutcome::met) << over.stateReason;
  EXPECT_EQ(outcome(over, "fix"), api::StepOutcome::done);
  const auto report = boost::json::parse(house_->call("GET", "/api/v1/gamedays/pay/report").body);
  EXPECT_EQ(report.at("day"), view.day.c_str());
  for (const char* format : {"md", "html", "incident"}) {
    const auto answer =
        house_->call("GET", std::string("/api/v1/gamedays/pay/report?format=") + format);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_THAT(answer.body, HasSubstr("Payments is slow")) << format;
  }
  EXPECT_EQ(house_->call("GET", "/api/v1/gamedays/pay/report?format=pdf").status, 400);
  const auto list = house_->get("/api/v1/gamedays");
  ASSERT_EQ(list.as_array().size(), 1U);
  EXPECT_EQ(list.as_array().at(0).at("state"), "completed");
}

TEST_F(GameDayDoor, KilledAgainAndAgainItBeginsNothingTwice) {
  open();
  const auto view = create(day_text(std::string("  - {name: one, experiment: ") + kSlow +
                                    "}\n  - {name: two, parallel: [{name: a, pause: 1s}, {name: b, "
                                    "experiment: " +
                                    kSlow + "}]}\n  - {name: last, note: Bye}\n"),
                           "&unattended=true");
  for (const int ms : {5, 60, 150, 300, 450}) {
    std::this_thread::sleep_for(milliseconds(ms));
    house_->kill();
    open();
  }
  const auto over = until(view.day, DayState::completed);
  const auto runs = house_->get("/api/v1/experiments");
  EXPECT_EQ(runs.as_array().size(), 2U) << runs;
  std::map<std::string, int> begun;
  for (std::size_t i = 0; i < over.entries.size(); ++i) {
    EXPECT_EQ(over.entries[i].number, i + 1);
    if (over.entries[i].kind == EntryKind::step_begun ||
        over.entries[i].kind == EntryKind::run_begun)
      ++begun[over.entries[i].step + over.entries[i].run];
  }
  for (const auto& [what, times] : begun) EXPECT_EQ(times, 1) << what;
}

TEST_F(GameDayDoor, WhatIsSaidIsNeitherLostNorDoubled) {
  open();
  const auto view = create(day_text("  - {name: sure, waitFor: {person: All well?}}\n"), "");
  until(view.day, DayState::waiting);
  EXPECT_EQ(say(view.day, {.kind = EntryKind::answered, .step = "sure"}).status, 409);
  EXPECT_EQ(say(view.day, {.kind = EntryKind::started}).status, 201);
  until(view.day, DayState::running);
  const api::Timestamp before = look(view.day).entries.back().at;
  const api::DayWord note{
      .kind = EntryKind::note, .at = before, .key = "0123456789abcdef", .text = "a <b>note</b>"};
  std::vector<std::string> numbers;
  for (int i = 0; i < 3; ++i) {
    const auto answer = say(view.day, note);
    EXPECT_EQ(answer.status, 201) << answer.body;
    const auto entry = boost::json::parse(answer.body);
    numbers.push_back(boost::json::serialize(entry.at("number")));
    EXPECT_EQ(entry.at("at"), before.format().c_str());
    if (i == 1) {
      house_->kill();
      open();
    }
  }
  EXPECT_EQ(numbers[0], numbers[1]);
  EXPECT_EQ(numbers[0], numbers[2]);
  EXPECT_EQ(say(view.day, {.kind = EntryKind::created}).status, 400);
  EXPECT_EQ(house_->call("POST", "/api/v1/gamedays/pay/entries", "{\"kind\": \"notee\"}").status,
            400);
  EXPECT_EQ(house_
                ->call("POST", "/api/v1/gamedays/none/entries",
                       "{\"kind\": \"note\", \"key\": \"0123456789\", \"text\": \"x\"}")
                .status,
            404);
  EXPECT_EQ(say(view.day, {.kind = EntryKind::answered}).status, 201);
  until(view.day, DayState::completed);
  // What was learned afterwards belongs to the day, too.
  EXPECT_EQ(say(view.day, {.kind = EntryKind::action,
                           .action = api::ActionItem{.text = "Alert sooner", .due = "2026-12-31"}})
                .status,
            201);
  EXPECT_EQ(say(view.day, {.kind = EntryKind::held}).status, 409);
}

TEST_F(GameDayDoor, WhoHasNoRightsInTheNamespacesOfTheStepsSeesAndChangesNothing) {
  open(of_shop);
  const std::string text = day_text(std::string("  - {name: slow, experiment: ") + kSlow + "}\n");
  const auto view = create(text, "", "jane-token");
  EXPECT_EQ(house_->call("POST", "/api/v1/gamedays?namespace=shop", text).status, 403);
  std::string other = text;
  other.replace(other.find("namespaces: [shop]"), 18, "namespaces: [bank]");
  const auto elsewhere =
      house_->call("POST", "/api/v1/gamedays?namespace=shop", other, "jane-token");
  EXPECT_EQ(elsewhere.status, 403);
  EXPECT_THAT(elsewhere.body, HasSubstr("bank"));
  for (const std::string& target :
       {"/api/v1/gamedays/" + view.day, "/api/v1/gamedays/" + view.day + "/report",
        std::string("/api/v1/gamedays/pay")}) {
    const auto denied = house_->call("GET", target);
    EXPECT_EQ(denied.status, 403) << target;
    EXPECT_THAT(denied.body, testing::Not(HasSubstr("in shop"))) << "where a hidden step acts";
  }
  EXPECT_EQ(boost::json::parse(house_->call("GET", "/api/v1/gamedays").body).as_array().size(), 0U);
  for (const EntryKind kind : {EntryKind::started, EntryKind::aborted, EntryKind::note}) {
    const auto said = say(view.day, {.kind = kind, .as = "jane", .text = "x"});
    EXPECT_EQ(said.status, 403) << said.body;
  }
  EXPECT_EQ(until(view.day, DayState::waiting, "jane-token").entries.back().kind, EntryKind::check);
}

TEST_F(GameDayDoor, ARunbookOfAConfigMapIsFetchedWithTheRightsOfWhoAsks) {
  std::string asked, text = "# Mend\n1. look\n2. <script>mend</script>\n";
  open(of_shop,
       [&](http::Identity who, std::string ns, std::string name,
           std::string key) -> boost::asio::awaitable<Result<std::string>> {
         asked = who.user + " " + ns + "/" + name + "/" + key;
         if (name == "secret") co_return fail(Errc::kDenied, who.user + " may not get it");
         co_return text;
       });
  const auto with = [](const std::string& map) {
    return day_text("  - {name: mend, task: {runbook: {configMap: " + map + "}}}\n");
  };
  const auto view = create(with("books/mend.md"), "&unattended=true", "jane-token");
  EXPECT_EQ(asked, "jane shop/books/mend.md");
  for (int i = 0; i < 500 && look(view.day, "jane-token").steps.at(0).items.empty(); ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(look(view.day, "jane-token").steps.at(0).items,
            (std::vector<std::string>{"look", "<script>mend</script>"}));
  const auto denied =
      house_->call("POST", "/api/v1/gamedays?namespace=shop", with("secret/mend.md"), "jane-token");
  EXPECT_EQ(denied.status, 403);
  EXPECT_THAT(denied.body, HasSubstr("spec.steps[0].task.runbook.configMap: jane may not get it"));
  text = std::string((64 << 10) + 1, 'x');
  const auto large =
      house_->call("POST", "/api/v1/gamedays?namespace=shop", with("books/all.md"), "jane-token");
  EXPECT_EQ(large.status, 400);
  EXPECT_THAT(large.body, HasSubstr("at most 65536 bytes"));
}

TEST_F(GameDayDoor, AChatWritesNotesAndNothingElse) {
  open();
  const auto view = create(day_text("  - {name: sure, waitFor: {person: All well?}}\n",
                                    "  roles: {facilitator: [jane]}\n"),
                           "");
  const auto chat = [&](const std::string& body, const std::string& day = "pay",
                        const std::string& token = "chat-token") {
    return house_->call("POST", "/api/v1/gamedays/" + day + "/chat", body, token).status;
  };
  EXPECT_EQ(chat(R"({"user": "jane", "text": "it <b>is</b> slow", "key": "0123456789"})"), 201);
  EXPECT_EQ(chat(R"({"user": "jane", "text": "it <b>is</b> slow", "key": "0123456789"})"), 201);
  EXPECT_EQ(chat(R"({"user": "joe", "text": "sure"})", view.day), 201);
  EXPECT_EQ(chat(R"({"user": "joe", "text": "x"})", "none"), 404);
  EXPECT_EQ(chat(R"({"user": "", "text": "x"})"), 400);
  EXPECT_EQ(chat(R"({"user": "joe"})"), 400);
  EXPECT_EQ(chat(R"({"user": "joe", "text": "x", "kind": "aborted"})"), 400);
  EXPECT_EQ(chat(R"([1])"), 400);
  EXPECT_EQ(chat(R"({"user": "joe", "text": ")" + std::string(9000, 'x') + R"("})"), 413);
  // The door is the chat's alone, and the chat has no other.
  EXPECT_EQ(chat(R"({"user": "joe", "text": "x"})", "pay", "person-token"), 403);
  EXPECT_EQ(house_->call("GET", "/api/v1/gamedays", "", "chat-token").status, 403);
  EXPECT_EQ(say(view.day, {.kind = EntryKind::aborted}, "chat-token").status, 403);
  std::vector<api::DayEntry> notes;
  for (const api::DayEntry& entry : look(view.day).entries)
    if (entry.kind == EntryKind::note) notes.push_back(entry);
  ASSERT_EQ(notes.size(), 2U);
  EXPECT_EQ(notes[0].who, "jane (chat)");
  EXPECT_EQ(notes[0].role, api::DayRole::none) << "a name of a chat is nobody's role";
  EXPECT_EQ(notes[0].via, "webhook");
  EXPECT_EQ(notes[0].text, "it <b>is</b> slow");
}

// A second order to end would leave out the recovery.
TEST_F(GameDayDoor, ARunIsToldToEndOnce) {
  open();
  std::string slow = kSlow;
  slow.replace(slow.find("fault: 500ms"), 12, "fault: 20s");
  const auto view =
      create(day_text("  - {name: slow, experiment: " + slow + "}\n"), "&unattended=true");
  for (int i = 0; i < 500 && look(view.day).steps.at(0).runs.empty(); ++i)
    std::this_thread::sleep_for(milliseconds(10));
  const std::string run = look(view.day).steps.at(0).runs.at(0);
  house_->until(run, api::RunState::Injecting);
  EXPECT_EQ(say(view.day, {.kind = EntryKind::aborted, .text = "enough"}).status, 201);
  until(view.day, DayState::aborted);
  std::ifstream audit(dir_.file("audit.log"));
  int stops = 0;
  for (std::string line; std::getline(audit, line);)
    stops += line.find("\"verb\":\"stop\"") != line.npos ? 1 : 0;
  EXPECT_EQ(stops, 1);
}

// Somebody who may only look lets no step begin.
TEST_F(GameDayDoor, WhatLetsTheNextStepBeginNeedsTheRightToBeginIt) {
  open([](http::Identity who, std::string verb,
          std::set<std::string>) -> boost::asio::awaitable<Result<>> {
    if (who.user == "joe" && verb != "get") co_return fail(Errc::kDenied, "joe may only look");
    co_return Result<>{};
  });
  const auto view =
      create(day_text("  - {name: sure, waitFor: {person: All well?}}\n"), "", "jane-token");
  until(view.day, DayState::waiting, "jane-token");
  EXPECT_EQ(say(view.day, {.kind = EntryKind::started}, "jane-token").status, 201);
  until(view.day, DayState::running, "jane-token");
  EXPECT_EQ(say(view.day, {.kind = EntryKind::answered}, "joe-token").status, 403);
  EXPECT_EQ(say(view.day, {.kind = EntryKind::note, .text = "x"}, "joe-token").status, 201);
  EXPECT_EQ(say(view.day, {.kind = EntryKind::answered}, "jane-token").status, 201);
}

TEST_F(GameDayDoor, ASurpriseIsBehindNoDoor) {
  open(of_shop);
  std::string slow = kSlow;
  slow.replace(slow.find("fault: 500ms"), 12, "fault: 20s");
  const auto view = create(
      day_text("  - {name: boom, title: Payments dies, surprise: true, experiment: " + slow + "}\n",
               "  roles: {facilitator: [jane], commander: [joe]}\n"),
      "", "jane-token");
  until(view.day, DayState::waiting, "jane-token");
  EXPECT_EQ(say(view.day, {.kind = EntryKind::started}, "joe-token").status, 403);
  EXPECT_EQ(say(view.day, {.kind = EntryKind::started}, "jane-token").status, 201);
  std::string run;
  for (int i = 0; i < 500 && run.empty(); ++i) {
    std::this_thread::sleep_for(milliseconds(10));
    const auto step = look(view.day, "jane-token").steps.at(0);
    if (!step.runs.empty()) run = step.runs[0];
  }
  ASSERT_FALSE(run.empty());
  EXPECT_THAT(run, Not(HasSubstr("boom")));
  const std::string name = run.substr(0, run.rfind('-'));
  for (const std::string& target :
       {std::string("/api/v1/experiments"), "/api/v1/experiments/" + run,
        "/api/v1/experiments/" + name, "/api/v1/experiments/shop%2F" + name,
        "/api/v1/reports/" + run, "/api/v1/events?run=" + run, "/api/v1/events?run=" + name,
        std::string("/api/v1/gamedays"), "/api/v1/gamedays/" + view.day,
        "/api/v1/gamedays/" + view.day + "/report",
        "/api/v1/experiments/" + run + "/rule-test?alert=x", std::string("/api/v1/alerts")}) {
    const auto joe = house_->call("GET", target, "", "joe-token");
    EXPECT_THAT(joe.body, AllOf(Not(HasSubstr("boom")), Not(HasSubstr("networkLatency")),
                                Not(HasSubstr("Payments dies"))))
        << target;
    if (target.find(run) == target.npos) {
      EXPECT_THAT(joe.body, Not(HasSubstr(run))) << target;
    }
    if (target.starts_with("/api/v1/experiments/") || target.find("run=") != target.npos ||
        target.starts_with("/api/v1/reports/")) {
      EXPECT_EQ(joe.status, 404) << target << " " << joe.body;
    }
  }
  EXPECT_EQ(house_->call("POST", "/api/v1/experiments/" + run + "/stop", "", "joe-token").status,
            404);
  EXPECT_EQ(look(view.day, "jane-token").steps.size(), 1U);
  EXPECT_EQ(house_->call("GET", "/api/v1/experiments/" + run, "", "jane-token").status, 200);
  // Whoever may end everything ends this, too, and still does not learn what it was.
  const auto stopped = house_->call("POST", "/api/v1/stop?now=true", "", "joe-token");
  EXPECT_THAT(stopped.body, Not(HasSubstr(run)));
  const auto over = until(view.day, DayState::completed, "joe-token");
  EXPECT_EQ(outcome(over, "boom"), api::StepOutcome::aborted);
  EXPECT_EQ(house_->call("GET", "/api/v1/experiments/" + run, "", "joe-token").status, 200);
}

}  // namespace
}  // namespace faultline::controller::test
