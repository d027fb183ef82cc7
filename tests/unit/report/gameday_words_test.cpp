// SPDX-License-Identifier: Apache-2.0
// What is shown of a game day: no names, nothing that steers a terminal or a page, nothing left out
// without saying so. FAULTLINE_REPORT_DIR=DIR leaves the page there to look at.
#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/hostile.h"
#include "tests/unit/report/gameday_synthetic.h"

namespace faultline::report {
namespace {

using api::DayRole;
using api::EntryKind;
using synthetic::at;
using synthetic::Day;
using synthetic::kAnn;
using synthetic::kBob;
using synthetic::kCleo;
using synthetic::kDora;
using testing::HasSubstr;
using testing::Not;
using testing_words::all_hostile;
using testing_words::expect_no_markup;
using testing_words::expect_tame;
using testing_words::kHostile;

// Every output by its name.
std::map<std::string, std::string> outputs(const api::GameDayReport& report, const Day& day) {
  std::map<std::string, std::string> out{{"terminal", gameday_terminal(report)},
                                         {"markdown", gameday_markdown(report)},
                                         {"html", gameday_html(report)},
                                         {"json", gameday_json(report)},
                                         {"actions.md", gameday_actions_markdown(report)},
                                         {"actions.json", gameday_actions_json(report)}};
  for (const IncidentFile& file : gameday_incident(report, day.runs))
    out["incident " + file.name] = file.content;
  return out;
}

Day hostile(const Day& day) {
  Day out;
  out.record = all_hostile(day.record);
  for (const auto& [id, report] : day.runs) out.runs[id + kHostile] = all_hostile(report);
  return out;
}

TEST(GameDayWords, HaveASectionForEverything) {
  const Day day = synthetic::payments_day();
  const api::GameDayReport report = day.report();
  const std::string markdown = gameday_markdown(report), html = gameday_html(report);
  for (const char* title :
       {"What we believed", "How far it spread", "Did anyone notice?", "Runbooks",
        "What surprised us", "What never recovered", "Action items", "Beside earlier days"}) {
    EXPECT_THAT(markdown, HasSubstr("## " + std::string(title)));
    EXPECT_THAT(html, HasSubstr(title));
  }
  EXPECT_THAT(html, HasSubstr("<svg class=\"day\""));
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(markdown, HasSubstr("- [ ] Alert on refused connects (the commander, by 2026-12-31, "
                                  "re-test: refused)"));
  if (const char* dir = std::getenv("FAULTLINE_REPORT_DIR"))
    std::ofstream(std::filesystem::path(dir) / "gameday.html") << html;
}

TEST(GameDayWords, TellWhatWasTakenLate) {
  const api::GameDayReport report = synthetic::payments_day().report();
  for (const std::string& text : {gameday_markdown(report), gameday_html(report)})
    EXPECT_THAT(text, testing::ContainsRegex("taken 60.0.* later"));
}

TEST(GameDayWords, NameNobodyUnlessAsked) {
  Day day = synthetic::payments_day();
  day.record.stateReason = "stopped by " + std::string(kBob) + ".";
  api::DayEntry& gap = day.add(EntryKind::gap, 185);
  gap.text = std::string(kCleo) + " was not heard of";
  day.say(EntryKind::note, 186, "zguest", DayRole::none, "I was there");
  day.runs["slow-1"].stateReason = "stopped by zguest";
  for (const auto& [name, text] : outputs(day.report(), day))
    for (const char* person : {kAnn, kBob, kCleo, kDora, "zguest"})
      EXPECT_EQ(text.find(person), text.npos) << person << " in " << name;
  const api::GameDayReport hidden = day.report();
  EXPECT_EQ(hidden.stateReason, "stopped by the commander.");
  EXPECT_EQ(hidden.owner, "the facilitator");
  std::set<std::string> who;
  for (const api::DayLine& line : hidden.timeline) who.insert(line.who);
  EXPECT_EQ(who, (std::set<std::string>{"", "the facilitator", "the commander", "the scribe",
                                        "an observer", "somebody"}));

  const api::GameDayReport named = day.report({}, Names::kShown);
  const std::string text = gameday_markdown(named);
  for (const char* person : {kBob, kCleo, kDora, "zguest"})
    EXPECT_NE(text.find(person), text.npos) << person;
}

TEST(GameDayWords, AnEarlierReportWithNamesDoesNotBringThemBack) {
  Day day = synthetic::payments_day();
  Day before = day;
  before.record.day = "payments-day-1";
  const api::GameDayReport report = day.report({before.report({}, Names::kShown)});
  ASSERT_EQ(report.followUps.size(), 1U);
  for (const auto& [name, text] : outputs(report, day))
    for (const char* person : {kAnn, kBob, kCleo, kDora})
      EXPECT_EQ(text.find(person), text.npos) << person << " in " << name;
}

TEST(GameDayWords, APersonsNameInsideAnotherWordStays) {
  Day day = synthetic::payments_day();
  day.record.stateReason = "zbobby and zbob-1 are pods, zbob is not";
  EXPECT_EQ(day.report().stateReason, "zbobby and zbob-1 are pods, the commander is not");
}

TEST(GameDayWords, OfOthersAreTameEverywhere) {
  const Day day = hostile(synthetic::payments_day());
  Day before = day;
  before.record.day += "-before";
  for (const Names names : {Names::kHidden, Names::kShown})
    for (const auto& [name, text] : outputs(day.report({before.report()}, names), day)) {
      expect_tame(text, name);
      if (name == "html" || name == "markdown" || name.ends_with(".md"))
        expect_no_markup(text, name);
      if (name.ends_with("markdown") || name.ends_with(".md")) {
        EXPECT_EQ(text.find("[a](javascript"), text.npos) << name;
      }
    }
}

TEST(GameDayWords, StayWhatTheyAreInJson) {
  Day day = synthetic::payments_day();
  day.say(EntryKind::note, 100, kDora, DayRole::observer, kHostile);
  const auto value = boost::json::parse(gameday_json(day.report()));
  bool found = false;
  for (const auto& line : value.at("timeline").as_array())
    found = found || std::string_view(line.at("text").as_string()) == kHostile;
  EXPECT_TRUE(found);
}

TEST(GameDayWords, LinesOfAMegabyteAreCutOnPagesAndWholeInJson) {
  Day day = synthetic::payments_day();
  std::string line;
  while (line.size() < (1U << 20)) line += kHostile;
  day.say(EntryKind::note, 100, kDora, DayRole::observer, line);
  day.record.document.spec.title = line;
  day.record.document.spec.hypothesis = line;
  day.record.document.spec.steps[0].parallel[1].task->runbook->text = "1. " + line;
  const api::GameDayReport report = day.report();
  EXPECT_GT(gameday_json(report).size(), line.size());
  for (const auto& [name, text] : outputs(report, day)) {
    expect_tame(text, name);
    if (name == "terminal" || name == "markdown" || name == "html") {
      EXPECT_LT(text.size(), 400'000U) << name;
    }
  }
}

TEST(GameDayWords, OfDaysWithNothingInThem) {
  Day day = synthetic::blank_day();
  for (const auto& [name, text] : outputs(day.report(), day)) EXPECT_FALSE(text.empty()) << name;
  // Steps, but nothing was begun; entries without a time, and of steps that do not exist.
  day.record.document.spec.steps = synthetic::payments_day().record.document.spec.steps;
  day.record.entries.push_back({.number = 7, .kind = EntryKind::tick, .step = "no-such-step"});
  day.record.entries.push_back({.number = 3, .kind = EntryKind::step_over, .step = "slow"});
  day.record.entries.push_back({.number = 3, .kind = EntryKind::run_over, .run = "nobodys"});
  for (const auto& [name, text] : outputs(day.report(), day)) EXPECT_FALSE(text.empty()) << name;
}

TEST(GameDayWords, LongTimelinesAreShortenedToWhatTellsMost) {
  Day day = synthetic::payments_day();
  for (int i = 0; i < 5000; ++i)
    day.say(EntryKind::note, 20 + i * 0.01, kDora, DayRole::observer, "note " + std::to_string(i));
  const api::GameDayReport report = day.report();
  const std::string markdown = gameday_markdown(report);
  EXPECT_THAT(markdown, HasSubstr("more lines are in the JSON"));
  EXPECT_THAT(markdown, HasSubstr("found refused"));
  EXPECT_LT(markdown.size(), 65536U) << "what an issue of GitHub takes";
  EXPECT_EQ(boost::json::parse(gameday_json(report)).at("timeline").as_array().size(),
            report.timeline.size());
}

}  // namespace
}  // namespace faultline::report
