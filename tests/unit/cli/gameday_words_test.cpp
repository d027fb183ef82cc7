// SPDX-License-Identifier: Apache-2.0
// What people say to a game day by `faultline gameday`, and that each word arrives once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "api/codec.h"
#include "api/gameday_status.h"
#include "cli/commands/gameday.h"
#include "tests/unit/cli/gamedays.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Said {
  std::vector<std::string> words;
  api::EntryKind kind;
  std::function<void(const api::DayWord&)> check;
};

TEST_F(GameDays, EveryWordIsSaidAsItIsMeant) {
  GameDayDouble controller({});
  controller.use(shell_, folder_);
  controller.begin_day();
  const std::vector<Said> all{
      {{"start", "pay"}, api::EntryKind::started, [](const auto&) {}},
      {{"next", "pay"},
       api::EntryKind::answered,
       [](const auto& w) {
         EXPECT_EQ(w.step, "") << "the controller knows which";
         EXPECT_FALSE(w.outcome);
       }},
      {{"done", "pay", "mend", "it", "took long", "--outcome", "partial"},
       api::EntryKind::answered,
       [](const auto& w) {
         EXPECT_EQ(w.step, "mend");
         EXPECT_EQ(w.text, "it took long");
         EXPECT_EQ(w.outcome, api::StepOutcome::partial);
       }},
      {{"hold", "pay"}, api::EntryKind::held, [](const auto& w) { EXPECT_FALSE(w.good); }},
      {{"hold", "pay", "--keep"}, api::EntryKind::held, [](const auto& w) { EXPECT_TRUE(w.good); }},
      {{"resume", "pay"}, api::EntryKind::resumed, [](const auto&) {}},
      {{"skip", "pay", "grid"},
       api::EntryKind::skipped,
       [](const auto& w) { EXPECT_EQ(w.step, "grid"); }},
      {{"abort", "pay-1", "customers", "see it"},
       api::EntryKind::aborted,
       [](const auto& w) { EXPECT_EQ(w.text, "customers see it"); }},
      {{"note", "pay", "a", "b", "--as", "jane", "--at", "2020-11-01T10:15:02Z"},
       api::EntryKind::note,
       [](const auto& w) {
         EXPECT_EQ(w.text, "a b");
         EXPECT_EQ(w.as, "jane");
         EXPECT_EQ(w.at.format(), "2020-11-01T10:15:02.000000Z");
       }},
      {{"tick", "pay", "mend", "2", "--failed"},
       api::EntryKind::tick,
       [](const auto& w) {
         EXPECT_EQ(w.step, "mend");
         EXPECT_EQ(w.item, 2);
         EXPECT_FALSE(w.good);
       }},
      {{"missing", "pay", "mend", "how"},
       api::EntryKind::missing,
       [](const auto& w) {
         EXPECT_EQ(w.step, "mend");
         EXPECT_EQ(w.text, "how");
       }},
      {{"ack", "pay", "Slow"},
       api::EntryKind::acknowledged,
       [](const auto& w) { EXPECT_EQ(w.word, "Slow"); }},
      {{"ack", "pay"}, api::EntryKind::acknowledged, [](const auto&) {}},
      {{"mitigated", "pay", "rolled", "back"},
       api::EntryKind::mitigated,
       [](const auto& w) { EXPECT_EQ(w.text, "rolled back"); }},
      {{"found", "pay", "loss", "--step", "slow"},
       api::EntryKind::found,
       [](const auto& w) {
         EXPECT_EQ(w.text, "loss");
         EXPECT_EQ(w.step, "slow");
       }},
      {{"action", "pay", "mend it", "--owner", "shop", "--due", "2026-12-31", "--retest", "slow"},
       api::EntryKind::action,
       [](const auto& w) {
         ASSERT_TRUE(w.action);
         EXPECT_EQ(w.action->text, "mend it");
         EXPECT_EQ(w.action->owner, "shop");
         EXPECT_EQ(w.action->due, "2026-12-31");
         EXPECT_EQ(w.action->retest, "slow");
       }}};
  std::set<std::string> keys;
  for (const Said& one : all) {
    EXPECT_EQ(run(one.words), 0) << one.words[0] << ": " << shell_.err.str();
    const api::DayWord word = controller.words().back();
    EXPECT_EQ(word.kind, one.kind) << one.words[0];
    EXPECT_TRUE(keys.insert(word.key).second);
    one.check(word);
    controller.change([](api::GameDayView& view) { view.state = api::DayState::running; });
  }
  EXPECT_EQ(controller.words().size(), all.size());
  shell_.env["FAULTLINE_AS"] = "joe";
  EXPECT_EQ(run({"note", "pay", "x", "-o", "json"}), 0);
  EXPECT_EQ(shell_.json().at("entry").at("who"), "joe");
  EXPECT_EQ(shell_.json().at("day"), "pay-1");
}

TEST_F(GameDays, WhatIsWrongIsToldBeforeAnybodyIsAsked) {
  shell_.env["FAULTLINE_CONTROLLER"] = "http://127.0.0.1:1";
  const auto refused = [&](const std::vector<std::string>& words) {
    EXPECT_EQ(run(words), 3) << words[0];
    return shell_.err.str();
  };
  EXPECT_THAT(refused({"tick", "pay", "mend", "two"}), HasSubstr("expected the number of a step"));
  EXPECT_THAT(refused({"tick", "pay", "mend", "0"}), HasSubstr("got '0'"));
  EXPECT_THAT(refused({"tick", "pay", "mend", "201"}), HasSubstr("item"));
  EXPECT_THAT(refused({"done", "pay", "mend", "--outcome", "mett"}),
              HasSubstr("did you mean met?"));
  EXPECT_THAT(refused({"note", "pay", "x", "--at", "soon"}), HasSubstr("--at: expected a time"));
  EXPECT_THAT(refused({"note", "pay", "x", "--at", "2100-01-01T00:00:00Z"}),
              HasSubstr("is still to come"));
  EXPECT_THAT(refused({"note", "pay", "x", "--key", "a b"}), HasSubstr("8 to 64 letters"));
  EXPECT_THAT(refused({"note", "pay", std::string(5000, 'x')}), HasSubstr("at most 4096"));
  EXPECT_THAT(refused({"note", "pay", "x", "--wait", "long"}), HasSubstr("--wait"));
  EXPECT_THAT(refused({"action", "pay", "x", "--due", "soon"}), HasSubstr("a date like"));
}

TEST_F(GameDays, NextAnswersWhatWaits) {
  GameDayDouble controller({});
  controller.use(shell_, folder_);
  EXPECT_EQ(run({"next", "pay"}), 5);
  EXPECT_THAT(shell_.err.str(), HasSubstr("the game day waits for nobody now"));
  controller.begin_day();
  EXPECT_EQ(run({"next", "pay"}), 0);
  EXPECT_THAT(shell_.out.str(), HasSubstr("answers briefing"));
  EXPECT_EQ(run({"next", "pay", "mend"}), 0);
  EXPECT_THAT(shell_.out.str(), HasSubstr("answers mend"));
  EXPECT_EQ(run({"next", "none"}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("there is no game day none"));
}

TEST_F(GameDays, AWordIsNeitherLostNorDoubled) {
  for (const bool taken : {false, true}) {
    GameDayDouble controller({.busy = 2, .takes_busy = taken});
    controller.use(shell_, folder_);
    controller.begin_day();
    EXPECT_EQ(run({"note", "pay", "x"}), 0) << shell_.err.str();
    EXPECT_EQ(controller.words().size(), 1U) << taken;
    EXPECT_THAT(shell_.err.str(), HasSubstr("the controller is away"));
    EXPECT_THAT(shell_.err.str(), HasSubstr("in touch again"));
  }
}

TEST_F(GameDays, WhoIsToldToWaitIsNotToldThatNobodyIsThere) {
  GameDayDouble controller({.too_many = 2});
  controller.use(shell_, folder_);
  controller.begin_day();
  EXPECT_EQ(run({"note", "pay", "x"}), 0) << shell_.err.str();
  EXPECT_THAT(shell_.err.str(), HasSubstr("the controller asks to wait (too many entries"));
  EXPECT_THAT(shell_.err.str(), Not(HasSubstr("away")));
}

TEST_F(GameDays, ADayWhoseAnswerWasLostIsMadeOnceAndFollowed) {
  GameDayDouble controller({.lost = 2});
  controller.use(shell_, folder_);
  EXPECT_EQ(run_file(), 0) << shell_.err.str();
  EXPECT_EQ(controller.created(), 1);
  EXPECT_THAT(shell_.out.str(), HasSubstr("pay-1"));
}

TEST_F(GameDays, WhatIsWrongWithARunbookIsToldOfItsFile) {
  std::ofstream(folder_.path() + "/mend.md") << "1. \xff\xfe";
  EXPECT_EQ(shell_.run({"validate", file_}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("mend.md: is no text in UTF-8"));
  std::ofstream(folder_.path() + "/mend.md") << std::string(2 << 20, 'x');
  EXPECT_EQ(shell_.run({"validate", file_}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("mend.md: is too long"));
}

TEST_F(GameDays, AWordSurvivesARestartOfTheController) {
  auto controller = std::make_unique<GameDayDouble>(GameDayDouble::Script{});
  controller->use(shell_, folder_);
  const std::uint16_t port = controller->port();
  controller.reset();
  std::unique_ptr<GameDayDouble> next;
  std::thread restart([&] {
    std::this_thread::sleep_for(milliseconds(2500));
    next = std::make_unique<GameDayDouble>(GameDayDouble::Script{}, port);
  });
  const UtcTime before = SystemClock().utc();
  EXPECT_EQ(run({"note", "pay", "x"}), 0) << shell_.err.str();
  restart.join();
  ASSERT_EQ(next->words().size(), 1U);
  EXPECT_LT(next->words()[0].at.value - before, milliseconds(500))
      << "its own time, not the late one";
}

TEST_F(GameDays, WhoGivesUpIsToldHowToSayItAgain) {
  GameDayDouble controller({.busy = 1000});
  controller.use(shell_, folder_);
  controller.begin_day();
  EXPECT_EQ(run({"note", "pay", "x", "--wait", "300ms"}), 5);
  EXPECT_THAT(shell_.err.str(), HasSubstr("whether it was taken is not known: the same command "
                                          "with --key "));
}

}  // namespace
}  // namespace faultline::cli
