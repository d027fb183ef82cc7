// SPDX-License-Identifier: Apache-2.0
// A surprise that is in a Secret, through a whole controller on loopback with a double of an agent:
// who may make such a day, what it runs, and what is told of it.
#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <fstream>
#include <sstream>

#include "api/gameday_record.h"
#include "controller/kubernetes/day_control.h"
#include "house.h"

namespace faultline::controller::test {
namespace {

using api::DayState;
using api::EntryKind;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kJane = "jane-token";
constexpr const char* kJoe = "joe-token";
constexpr const char* kDay =
    "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: pay, namespace: shop}\n"
    "spec:\n  title: Something happens\n  preChecks: [agents, targets]\n"
    "  roles: {facilitator: [jane], commander: [joe]}\n  steps:\n"
    "  - {name: sure, waitFor: {person: Ready}}\n"
    "  - {name: boom, surprise: true, experiment: {secret: pay-surprise/slow.yaml}}\n";

std::string experiment(const std::string& space = "shop", const std::string& fault = "20s") {
  return "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: x}\nspec:\n"
         "  purpose: Nobody is to read this\n"
         "  target: {selector: {namespaces: [" +
         space +
         "], labelSelectors: {app: payments}}}\n"
         "  faults: [{networkLatency: {latency: 51ms}}]\n"
         "  phases: {baseline: 100ms, fault: " +
         fault + ", recovery: 100ms}\n";
}

// Everybody with a name may everything in shop.
boost::asio::awaitable<Result<>> of_shop(http::Identity who, std::string verb,
                                         std::set<std::string> namespaces) {
  for (const std::string& space : namespaces)
    if (space != "shop" || who.user.empty())
      co_return fail(Errc::kDenied, who.name() + " may not " + verb + " in " + space);
  co_return Result<>{};
}

class HiddenInASecret : public testing::Test {
 protected:
  void open(bool with_secrets = true) {
    HouseOptions options{.store_path = dir_.file("store.db"),
                         .port = port_,
                         .audit_path = dir_.file("audit.log"),
                         .may = of_shop};
    if (with_secrets)
      options.secrets = [this](http::Identity who, std::string ns, std::string name,
                               std::string key) -> boost::asio::awaitable<Result<std::string>> {
        reads_.push_back(who.user + " " + ns + "/" + name + "/" + key);
        if (who.user != "jane")
          co_return fail(Errc::kDenied, who.user + " may not get the Secret " + ns + "/" + name);
        co_return text_;
      };
    house_ = std::make_unique<House>(options);
    port_ = house_->port();
    if (agent_) return;
    agent_ = std::make_unique<AgentDouble>(house_->client("agent-token"), "n1");
    for (int i = 0; i < 500; ++i) {
      const auto nodes = house_->call("GET", "/api/v1/nodes", "", kJane);
      if (nodes.body.find("payments") != nodes.body.npos) break;
      std::this_thread::sleep_for(milliseconds(20));
    }
  }
  // As the operator makes it of an object.
  Result<> make(const std::string& user, const std::string& id) {
    auto document = api::parse_gameday(kDay, "day");
    EXPECT_TRUE(document) << document.error().message;
    http::Identity who{.role = "person", .user = user};
    return boost::asio::co_spawn(house_->loop(),
                                 house_->service().days().make_day(id, *document, who, false),
                                 boost::asio::use_future)
        .get();
  }
  // Which is hidden from everybody else.
  [[nodiscard]] api::RunRecord record(const std::string& run) const {
    const auto answer = house_->call("GET", "/api/v1/experiments/" + run, "", kJane);
    auto parsed = api::from_json_text<api::RunRecord>(answer.body);
    if (answer.status == 200 && parsed) return std::move(*parsed);
    ADD_FAILURE() << answer.status << " " << answer.body;
    return {};
  }
  [[nodiscard]] api::GameDayView look(const std::string& day, const std::string& token) const {
    const auto answer = house_->call("GET", "/api/v1/gamedays/" + day, "", token);
    auto view = api::from_json_text<api::GameDayView>(answer.body);
    if (view) return std::move(*view);
    ADD_FAILURE() << answer.status << " " << answer.body;
    return {};
  }
  void until(const std::string& day, DayState state) {
    for (int i = 0; i < 2000 && look(day, kJane).state != state; ++i)
      std::this_thread::sleep_for(milliseconds(10));
    EXPECT_EQ(look(day, kJane).state, state) << look(day, kJane).stateReason;
  }
  void say(const std::string& day, EntryKind kind, const std::string& step = "") {
    const api::DayWord word{
        .kind = kind, .key = "word-number-" + std::to_string(++words_), .step = step};
    const auto answer = house_->call("POST", "/api/v1/gamedays/" + day + "/entries",
                                     api::to_json_text(word), kJane);
    EXPECT_EQ(answer.status, 201) << answer.body;
  }
  std::string run_of_boom(const std::string& day) {
    for (int i = 0; i < 2000; ++i) {
      for (const api::StepView& step : look(day, kJane).steps)
        if (step.name == "boom" && !step.runs.empty()) return step.runs.front();
      std::this_thread::sleep_for(milliseconds(10));
    }
    ADD_FAILURE() << "boom never runs: " << look(day, kJane).next;
    return "";
  }
  std::string audited() const {
    std::ifstream in(dir_.file("audit.log"));
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }

  TempDir dir_;
  std::uint16_t port_ = 0;
  std::string text_ = experiment();
  std::vector<std::string> reads_;
  std::unique_ptr<House> house_;
  std::unique_ptr<AgentDouble> agent_;
  int words_ = 0;
};

TEST_F(HiddenInASecret, ItRunsAsWrittenAndOnlyWhoLeadsTheDaySeesIt) {
  open();
  const auto made = make("jane", "pay-u1");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_THAT(reads_, testing::ElementsAre("jane shop/pay-surprise/slow.yaml"));
  until("pay-u1", DayState::waiting);
  say("pay-u1", EntryKind::started);
  say("pay-u1", EntryKind::answered, "sure");
  const std::string run = run_of_boom("pay-u1");
  for (int i = 0; i < 1000 && record(run).state != api::RunState::Injecting; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  const auto record = this->record(run);
  EXPECT_EQ(record.state, api::RunState::Injecting);
  ASSERT_EQ(record.experiment.spec.faults.size(), 1U);
  EXPECT_EQ(record.experiment.spec.purpose, "Nobody is to read this");
  EXPECT_THAT(record.experiment.metadata.name, HasSubstr("pay-s"));
  // What joe may read of it all.
  std::string seen = api::to_json_text(look("pay-u1", kJoe));
  for (const char* target : {"/api/v1/gamedays", "/api/v1/experiments?namespace=shop"})
    seen += house_->call("GET", target, "", kJoe).body;
  for (const char* word : {"boom", "networkLatency", "51ms", "Nobody is to read", "pay-s2"})
    EXPECT_THAT(seen, Not(HasSubstr(word)));
  EXPECT_THAT(api::to_json_text(look("pay-u1", kJane)), HasSubstr("boom"));
  const auto metrics = [&] { return house_->call("GET", "/metrics", "", kJoe).body; };
  for (int i = 0; i < 500 && metrics().find("fault=\"hidden\"") == std::string::npos; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_THAT(metrics(), AllOf(HasSubstr("faultline_fault_events_injected_total{fault=\"hidden\"}"),
                               Not(HasSubstr("networkLatency"))));
}

TEST_F(HiddenInASecret, TheDayKeepsWhatItReadWhateverBecomesOfTheSecretAndTheController) {
  open();
  ASSERT_TRUE(make("jane", "pay-u1"));
  until("pay-u1", DayState::waiting);
  say("pay-u1", EntryKind::started);
  text_ = experiment("shop", "19s");
  house_->kill();
  open();
  say("pay-u1", EntryKind::answered, "sure");
  const std::string run = run_of_boom("pay-u1");
  EXPECT_EQ(record(run).experiment.spec.phases.fault.value, seconds(20));
  EXPECT_EQ(reads_.size(), 1U) << "it was read once, when the day was made";
}

TEST_F(HiddenInASecret, WhoMayNotReadItIsRefusedByNameAndNoDayIsMade) {
  open();
  const auto made = make("joe", "pay-u1");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::kDenied);
  EXPECT_EQ(made.error().message,
            "spec.steps[1].experiment.secret: joe may not get the Secret shop/pay-surprise");
  EXPECT_EQ(house_->call("GET", "/api/v1/gamedays/pay-u1", "", kJane).status, 404);
  // The same by the door of `faultline gameday run`.
  EXPECT_EQ(house_->call("POST", "/api/v1/gamedays?namespace=shop", kDay, kJoe).status, 403);
  EXPECT_EQ(house_->call("POST", "/api/v1/gamedays?namespace=shop&dryRun=true", kDay, kJoe).status,
            403);
}

// Who may write the Secret must not reach with it what only who makes the day may.
TEST_F(HiddenInASecret, ItStaysWithinWhatTheDayItselfNamesAndThatIsAllThatIsSaidOfIt) {
  open();
  std::string observing = experiment(), querying = experiment();
  observing += "  observe: [{namespaces: [bank]}]\n";
  querying += "  abortWhen: [{promql: bank_up, below: \"1\"}]\n";
  for (const std::string& wrong : {experiment("bank"), observing, querying}) {
    text_ = wrong;
    const auto made = make("jane", "pay-u1");
    ASSERT_FALSE(made) << wrong;
    EXPECT_EQ(made.error().code, Errc::kDenied) << made.error().message;
    EXPECT_THAT(made.error().message, AllOf(HasSubstr("is about more than the day itself names"),
                                            Not(HasSubstr("bank"))));
  }
  EXPECT_THAT(audited(), AllOf(HasSubstr("create-gameday"), Not(HasSubstr("bank"))));
}

TEST_F(HiddenInASecret, WhatIsNoExperimentIsRefusedWithoutAWordOfIt) {
  open();
  for (const std::string& wrong : {std::string("bank: bank"), std::string(1 << 20, 'b'),
                                   std::string("\xff\x00 bank", 7), experiment("shop", "25h")}) {
    text_ = wrong;
    const auto made = make("jane", "pay-u1");
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Errc::kInvalid);
    EXPECT_THAT(made.error().message,
                AllOf(Not(HasSubstr("bank")), Not(HasSubstr("bbb")), Not(HasSubstr("25h"))));
  }
  EXPECT_THAT(audited(), Not(HasSubstr("bank")));
}

TEST_F(HiddenInASecret, AControllerThatCannotReadSecretsRefusesTheDay) {
  open(false);
  const auto made = make("jane", "pay-u1");
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("only a controller in a cluster can read a Secret"));
}

}  // namespace
}  // namespace faultline::controller::test
