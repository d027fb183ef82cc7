// SPDX-License-Identifier: Apache-2.0
// What a person sees of a game day.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/mp11.hpp>

#include "cli/gameday/view.h"
#include "cli/gameday/words.h"
#include "cli/text.h"
#include "tests/unit/cli/gamedays.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

api::DayEntry entry(api::EntryKind kind) {
  api::DayEntry one{.number = 1, .kind = kind, .who = "jane@example.com"};
  one.at = *api::Timestamp::parse("2026-11-29T09:00:12Z");
  one.recordedAt = one.at;
  one.role = api::DayRole::commander;
  one.step = "mend";
  one.run = "pay-slow-1";
  one.word = "Slow";
  one.text = "because";
  one.item = 2;
  one.good = true;
  return one;
}

TEST(EntryLine, TellsTimeRoleAndWhat) {
  EXPECT_EQ(entry_line(entry(api::EntryKind::tick)),
            "09:00:12Z  commander    ticks item 2 of mend: it worked: because");
  api::DayEntry late = entry(api::EntryKind::note);
  late.recordedAt = *api::Timestamp::parse("2026-11-29T09:03:00Z");
  late.role = api::DayRole::none;
  EXPECT_EQ(entry_line(late), "09:00:12Z  somebody     because (told at 09:03:00Z)");
  late.who.clear();
  EXPECT_THAT(entry_line(late), HasSubstr("  controller   because"));
}

TEST(EntryLine, EveryKindHasWordsAndNoNames) {
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<api::EntryKind>>([](auto kind) {
    const std::string line = entry_line(entry(kind.value));
    EXPECT_GT(line.size(), 24U) << kind.name;
    EXPECT_THAT(line, Not(HasSubstr("jane"))) << "people are told by their roles";
    testing_words::expect_tame(entry_line(testing_words::all_hostile(entry(kind.value))),
                               kind.name);
  });
}

api::GameDayView day(std::size_t steps) {
  api::GameDayView view{.day = "pay-1", .name = "pay"};
  view.title = "Payments is slow";
  view.state = api::DayState::running;
  view.next = "a person: mend";
  for (std::size_t i = 0; i < steps; ++i) {
    api::StepView step{.name = "step-" + std::to_string(i), .kind = "task", .state = "waiting"};
    step.depth = static_cast<std::int64_t>(i % 3);
    view.steps.push_back(step);
  }
  return view;
}

TEST(DayScreen, FitsAndShowsWhatIsUnderWay) {
  api::GameDayView view = day(100);
  for (std::size_t i = 0; i < 60; ++i) {
    view.steps[i].state = "over";
    view.steps[i].outcome = api::StepOutcome::met;
  }
  view.steps[60].state = "running";
  const std::vector<api::DayEntry> entries(50, entry(api::EntryKind::note));
  for (const std::size_t height : {3U, 10U, 24U, 200U})
    for (const std::size_t width : {20U, 80U}) {
      const auto lines = day_screen(view, entries, width, height);
      EXPECT_LE(lines.size(), height);
      for (const std::string& line : lines) EXPECT_LE(columns(line), width);
    }
  std::string all;
  for (const std::string& line : day_screen(view, entries, 100, 24)) all += line + "\n";
  EXPECT_THAT(all, HasSubstr("pay-1  running"));
  EXPECT_THAT(all, HasSubstr("waits for  a person: mend"));
  EXPECT_THAT(all, HasSubstr("[>] step-60"));
  EXPECT_THAT(all, HasSubstr("[+] step-59"));
  EXPECT_THAT(all, HasSubstr("100 steps in all"));
  EXPECT_THAT(all, HasSubstr("09:00:12Z"));
}

TEST(DayScreen, HasAMarkForEachOutcome) {
  for (const auto& [outcome, mark] :
       std::vector<std::pair<api::StepOutcome, std::string>>{{api::StepOutcome::done, "[+]"},
                                                             {api::StepOutcome::missed, "[!]"},
                                                             {api::StepOutcome::partial, "[!]"},
                                                             {api::StepOutcome::skipped, "[-]"},
                                                             {api::StepOutcome::failed, "[x]"},
                                                             {api::StepOutcome::aborted, "[x]"}}) {
    api::StepView step{.name = "s", .kind = "task", .state = "over", .outcome = outcome};
    EXPECT_THAT(step_line(step), HasSubstr(mark + " s"));
  }
}

TEST(DayScreen, AStepThatIsDoneAgainIsUnderWay) {
  const api::Timestamp at = *api::Timestamp::parse("2026-11-23T10:15:02Z");
  api::StepView step{.name = "s", .kind = "task", .state = "running"};
  step.outcome = api::StepOutcome::missed;  // of the time before
  step.reason = "nobody answered";
  step.begunAt = at;
  EXPECT_THAT(step_line(step), HasSubstr("[>] s"));
  EXPECT_THAT(step_line(step), HasSubstr("since 10:15:02Z"));
  EXPECT_THAT(step_line(step), Not(HasSubstr("nobody answered")));
  step.state = "waiting";  // the day is held between the two
  EXPECT_THAT(step_line(step), HasSubstr("[ ] s"));
}

TEST(DayScreen, HostileTextsStayOnTheirLines) {
  api::GameDayView view = day(2);
  view.steps[0].items = {"a"};
  view.entries = {entry(api::EntryKind::note)};
  view = testing_words::all_hostile(view);
  testing_words::expect_tame(day_text(view), "the whole day");
  for (const std::string& line : day_screen(view, view.entries, 1000, 24)) {
    testing_words::expect_tame(line, "the page");
    EXPECT_EQ(line.find('\n'), line.npos);
  }
}

TEST(DayWords, AHostileDocumentIsTame) {
  api::GameDay document = *api::parse_gameday(kGameDay, "d");
  document.spec.abortWhen = {{.promql = "up", .below = "1"}};
  testing_words::expect_tame(
      gameday_text(testing_words::all_hostile(document), std::nullopt, false, 80), "explain");
  api::GameDayPlan plan;
  plan.steps = {{.step = "a", .experiment = "b", .problem = "c"}};
  plan.notes = {"d"};
  plan = testing_words::all_hostile(plan);
  testing_words::expect_tame(day_plan_text(plan, 80), "plan");
}

TEST(DayExitCode, EachRoundOfAStepCounts) {
  api::GameDayView view{.state = api::DayState::completed};
  view.steps = {{.name = "s", .outcome = api::StepOutcome::met}};
  std::vector<api::DayEntry> entries{entry(api::EntryKind::step_over)};
  entries[0].outcome = api::StepOutcome::missed;
  EXPECT_EQ(day_exit_code(view, entries), 2);
  EXPECT_EQ(day_exit_code(view, {}), 0);
}

}  // namespace
}  // namespace faultline::cli
