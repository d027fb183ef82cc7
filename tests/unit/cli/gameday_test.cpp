// SPDX-License-Identifier: Apache-2.0
// `faultline gameday` against the test double of gamedays.h.
#include "cli/commands/gameday.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "api/codec.h"
#include "api/gameday_status.h"
#include "cli/gameday/files.h"
#include "cli/gameday/follow.h"
#include "tests/unit/cli/gamedays.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

// Every run of blanks and line breaks as one blank.
std::string on_one_line(const std::string& text) {
  std::istringstream in(text);
  std::string out;
  for (std::string word; in >> word;) out += (out.empty() ? "" : " ") + word;
  return out;
}

// The documents of what was printed.
std::vector<std::string> documents_of(const std::string& text) {
  std::vector<std::string> all{""};
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    if (line == "---")
      all.emplace_back();
    else
      all.back() += line + "\n";
  return all;
}

TEST_F(GameDays, ManifestIsADayWithoutFiles) {
  std::string open = kGameDay;
  open.replace(open.find("    surprise: true\n"), std::string("    surprise: true\n").size(), "");
  const std::string whole = folder_.file("open.yaml", open);
  EXPECT_EQ(run({"manifest", whole}), 0) << shell_.err.str();
  EXPECT_EQ(shell_.err.str(), "");
  EXPECT_THAT(shell_.out.str(), Not(HasSubstr("unattended")));
  const auto day = api::parse_gameday(shell_.out.str(), "manifest");
  ASSERT_TRUE(day) << day.error().message;
  EXPECT_THAT(api::missing_files(*day), testing::IsEmpty());
  EXPECT_EQ(day->spec.steps[2].parallel[0].task->runbook->text, "# Mend\n1. look\n2. mend\n");
}

TEST_F(GameDays, ManifestPutsWhatASurpriseDoesIntoASecretAndTellsWhatIsLeftToSee) {
  std::string titled = kGameDay;
  titled.replace(titled.find("    surprise: true\n"), 0, "    title: payments loses packets\n");
  const std::string file = folder_.file("titled.yaml", titled);
  EXPECT_EQ(run({"manifest", file}), 0) << shell_.err.str();
  const std::string printed = shell_.out.str();
  const auto documents = documents_of(printed);
  ASSERT_EQ(documents.size(), 4U) << printed;
  EXPECT_THAT(documents[0], HasSubstr("kind: Secret"));
  EXPECT_THAT(documents[0], HasSubstr("networkLatency"));
  EXPECT_THAT(documents[1], HasSubstr("resourceNames:\n  - pay-surprises\n"));
  EXPECT_THAT(documents[2], HasSubstr("kind: RoleBinding"));
  EXPECT_THAT(documents[3], Not(HasSubstr("networkLatency")));
  EXPECT_THAT(documents[3], Not(HasSubstr("loses packets")));
  const auto day = api::parse_gameday(documents[3], "manifest");
  ASSERT_TRUE(day) << day.error().message;
  EXPECT_EQ(api::not_for_an_object(*day), "");
  EXPECT_EQ(day->spec.steps[1].experiment->secret, "pay-surprises/slow.yaml");
  EXPECT_THAT(shell_.err.str(), HasSubstr("step slow: its title is left out"));
  EXPECT_THAT(shell_.err.str(), HasSubstr("sees its name, its place, and that it is a surprise"));
  EXPECT_EQ(run({"manifest", file, "--unattended"}), 0);
  EXPECT_THAT(shell_.out.str(), HasSubstr("faultline.dev/gameday-unattended: \"true\""));
  // What is in the Secret is what the step does.
  EXPECT_EQ(run({"manifest", file, "-o", "json"}), 0);
  const boost::json::value list = shell_.json();
  const auto text = list.at_pointer("/items/0/stringData/slow.yaml").as_string();
  const auto whole = api::with_secrets(
      *day, {{"spec.steps[1].experiment.secret", std::string(text.data(), text.size())}});
  ASSERT_TRUE(whole) << whole.error().message;
  auto meant = api::parse_experiment(kExperiment, "slow.yaml");
  ASSERT_TRUE(meant) << meant.error().message;
  const std::string asked = api::to_yaml(*meant);
  meant->spec = *whole->spec.steps[1].experiment->spec;
  EXPECT_EQ(api::to_yaml(*meant), asked);
}

TEST_F(GameDays, ManifestRefusesSurprisesThatCannotBeHidden) {
  std::string sweep = kGameDay;
  sweep.replace(sweep.find("experiment: {file: slow.yaml}"), 29, "note: payments is slow");
  EXPECT_EQ(run({"manifest", folder_.file("note.yaml", sweep)}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("spec.steps[1].note: whoever may read this object"));
}

TEST_F(GameDays, ValidateExplainAndRunKnowTheDocument) {
  EXPECT_EQ(shell_.run({"validate", file_}), 0) << shell_.err.str();
  EXPECT_EQ(shell_.out.str(), file_ + ": valid: pay, a game day of 5 steps, at least 43 s\n");
  EXPECT_EQ(shell_.run({"validate", file_, "-o", "json"}), 0);
  EXPECT_EQ(shell_.json().at("steps"), 5);
  EXPECT_EQ(shell_.run({"run", file_}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("is a GameDay: 'faultline gameday run' runs it"));
  EXPECT_EQ(shell_.run({"explain", file_}), 0);
  const std::string text = shell_.out.str(), all = on_one_line(text);
  EXPECT_THAT(text, HasSubstr("pay: a game day, \"Payments is slow\""));
  EXPECT_THAT(all, HasSubstr("jane (facilitator): leads the day, knows the surprises"));
  EXPECT_THAT(text, HasSubstr("hits      app=payments in shop: all of them"));
  EXPECT_THAT(text, HasSubstr("- briefing  waits for a person: \"Everybody is here\""));
  EXPECT_THAT(text, HasSubstr("- slow  experiment: networkLatency"));
  EXPECT_THAT(all, HasSubstr("a miss holds the day; a surprise for all but the facilitator"));
  EXPECT_THAT(text, HasSubstr("- both  at the same time:"));
  EXPECT_THAT(text, HasSubstr("      - mend  task of the commander: \"Bring it back\""));
  EXPECT_THAT(all, HasSubstr("only if slow is met"));
  EXPECT_THAT(all, HasSubstr("'faultline gameday plan'"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST_F(GameDays, AFileThatIsNotThereIsToldAtItsPlace) {
  std::filesystem::remove(folder_.path() + "/mend.md");
  EXPECT_EQ(shell_.run({"validate", file_}), 3);
  EXPECT_EQ(shell_.err.str(), file_ +
                                  ":19: spec.steps[2].parallel[0].task.runbook.file: mend.md: "
                                  "No such file or directory\n");
  const Folder other;
  std::filesystem::create_symlink(other.file("secret", "x"), folder_.path() + "/mend.md");
  EXPECT_EQ(shell_.run({"validate", file_}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("is a link that leads out of the folder"));
}

TEST_F(GameDays, ThePlanTellsWhatStandsInTheWay) {
  api::StepPlan step{.step = "slow", .experiment = "pay-slow"};
  step.plan = api::RunPlan{.matching = 1, .targets = {{"shop", "payments-0", "n", {}}}};
  step.plan->alerts = {{.alert = "Slow", .possible = false, .reason = "it looks once an hour"}};
  GameDayDouble controller({.plans = {step}});
  controller.use(shell_, folder_);
  EXPECT_EQ(run({"plan", file_}), 3);
  EXPECT_THAT(shell_.out.str(), HasSubstr("shop/payments-0 on node-1; 1 in all"));
  EXPECT_THAT(shell_.out.str(), HasSubstr("alert Slow: could NOT fire: it looks once an hour"));
  EXPECT_THAT(shell_.err.str(), HasSubstr("slow: Slow cannot be noticed: it looks once an hour"));
  EXPECT_THAT(controller.document(), HasSubstr("1. look")) << "what files say is sent";
  EXPECT_EQ(run_file({"--yes"}), 3);
  EXPECT_EQ(controller.created(), 0);
  EXPECT_EQ(run_file({"--yes", "--anyway"}), 0) << shell_.err.str();
  EXPECT_EQ(controller.created(), 1);
}

TEST_F(GameDays, AStepThatCouldNotBeginIsARefusal) {
  GameDayDouble controller({.plans = {{.step = "slow", .problem = "no pod matches"}}});
  controller.use(shell_, folder_);
  EXPECT_EQ(run_file({"--yes", "--anyway"}), 5);
  EXPECT_THAT(shell_.err.str(), HasSubstr("slow: no pod matches"));
  EXPECT_EQ(controller.created(), 0);
}

TEST_F(GameDays, RunMakesStartsFollowsAndReports) {
  GameDayDouble controller({});
  controller.use(shell_, folder_);
  EXPECT_EQ(run_file(), 0) << shell_.err.str();
  const std::string out = shell_.out.str();
  EXPECT_THAT(out, HasSubstr("facilitator  asks for the day"));
  EXPECT_THAT(out, HasSubstr("check of agents: good"));
  EXPECT_THAT(out, HasSubstr("briefing begins"));
  EXPECT_THAT(out, HasSubstr("waits for  a person: everybody is here"));
  EXPECT_THAT(out, HasSubstr("briefing is over: met"));
  EXPECT_THAT(out, HasSubstr("\n  completed\n"));
  EXPECT_THAT(out, HasSubstr(folder_.path() + "/out/report.html"));
  EXPECT_EQ(folder_.read("out/report.md"), "md of pay-1");
  EXPECT_THAT(folder_.read("out/report.json"), HasSubstr("What it showed."));
  EXPECT_THAT(out, HasSubstr("\n  Payments is slow (pay-1)\n  What it showed.\n"));
  ASSERT_EQ(controller.words().size(), 1U);
  EXPECT_EQ(controller.words()[0].kind, api::EntryKind::started);
}

TEST_F(GameDays, TheOutcomeIsTheExitCode) {
  for (const auto& [outcome, end, code] :
       std::vector<std::tuple<api::StepOutcome, api::DayState, int>>{
           {api::StepOutcome::skipped, api::DayState::completed, 0},
           {api::StepOutcome::missed, api::DayState::completed, 2},
           {api::StepOutcome::partial, api::DayState::completed, 2},
           {api::StepOutcome::failed, api::DayState::completed, 5},
           {api::StepOutcome::met, api::DayState::aborted, 4},
           {api::StepOutcome::met, api::DayState::failed, 5}}) {
    GameDayDouble controller({.outcome = outcome, .end = end});
    controller.use(shell_, folder_);
    EXPECT_EQ(run_file({"--unattended", "-o", "json"}), code) << shell_.err.str();
    EXPECT_EQ(shell_.json().at("exitCode"), code);
    EXPECT_EQ(shell_.json().at("report").at("day"), "pay-1");
    EXPECT_THAT(controller.asked(), testing::Contains(HasSubstr("unattended=true")));
  }
}

TEST_F(GameDays, OnATerminalItAsksAfterTheChecks) {
  GameDayDouble controller({});
  controller.use(shell_, folder_);
  shell_.console.in_is_terminal = shell_.console.out_is_terminal = true;
  shell_.in.str("n\n");
  EXPECT_EQ(run_file(), 4);
  const std::string out = shell_.out.str();
  EXPECT_LT(out.find("check of agents: good"), out.find("Start? [y/N]")) << out;
  ASSERT_EQ(controller.words().size(), 1U);
  EXPECT_EQ(controller.words()[0].kind, api::EntryKind::aborted);
  EXPECT_THAT(out, HasSubstr("\033[")) << "drawn in place";
}

TEST_F(GameDays, ChecksThatAreNotGoodEndTheDay) {
  GameDayDouble controller({.checks_good = false});
  controller.use(shell_, folder_);
  EXPECT_EQ(run_file({"--yes"}), 5);
  EXPECT_THAT(shell_.err.str(), HasSubstr("not good: agents; --anyway starts all the same"));
  ASSERT_EQ(controller.words().size(), 1U);
  EXPECT_EQ(controller.words()[0].kind, api::EntryKind::aborted);
}

TEST_F(GameDays, CtrlCAbortsTheDay) {
  GameDayDouble controller({.step = std::chrono::seconds(20)});
  controller.use(shell_, folder_);
  std::thread person([&] {
    while (controller.created() == 0) std::this_thread::sleep_for(milliseconds(5));
    std::this_thread::sleep_for(milliseconds(100));
    kill(getpid(), SIGINT);
  });
  EXPECT_EQ(run_file({"--yes"}), 4);
  person.join();
  ASSERT_EQ(controller.words().size(), 1U);
  EXPECT_EQ(controller.words()[0].kind, api::EntryKind::aborted);
  EXPECT_THAT(shell_.err.str(), HasSubstr("aborting pay-1; once more to leave at once"));
}

TEST_F(GameDays, WatchShowsWhatBecomesVisibleLater) {
  GameDayDouble controller({.step = milliseconds(100), .surprise = true});
  controller.use(shell_, folder_);
  EXPECT_EQ(run_file({"--yes"}), 0) << shell_.err.str();
  EXPECT_THAT(shell_.out.str(), HasSubstr("the hidden one"));
  EXPECT_EQ(run({"watch", "pay"}), 0);
  EXPECT_THAT(shell_.out.str(), HasSubstr("the hidden one"));
  EXPECT_EQ(run({"watch", "pay", "-o", "json"}), 0);
  std::istringstream lines(shell_.out.str());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    EXPECT_TRUE(api::from_json_text<api::DayEntry>(line)) << line;
  EXPECT_EQ(count, 7);
}

TEST_F(GameDays, WatchLeavesTheDayAloneOnCtrlC) {
  GameDayDouble controller({});
  controller.use(shell_, folder_);
  controller.begin_day();
  std::thread person([] {
    std::this_thread::sleep_for(milliseconds(200));
    kill(getpid(), SIGINT);
  });
  EXPECT_EQ(run({"watch", "pay"}), 0);
  person.join();
  EXPECT_TRUE(controller.words().empty());
  EXPECT_THAT(shell_.err.str(),
              HasSubstr("pay-1 goes on; 'faultline gameday abort pay-1' ends it"));
}

TEST_F(GameDays, ListShowAndReport) {
  GameDayDouble controller({});
  controller.use(shell_, folder_);
  controller.begin_day();
  EXPECT_EQ(run({"list"}), 0);
  EXPECT_THAT(shell_.out.str(), HasSubstr("pay-1"));
  EXPECT_EQ(run({"list", "-o", "json"}), 0);
  EXPECT_EQ(shell_.json().at("gamedays").as_array().size(), 1U);
  EXPECT_EQ(run({"show", "pay", "--as", "jane doe"}), 0);
  EXPECT_THAT(shell_.out.str(), HasSubstr("[>] briefing"));
  EXPECT_THAT(shell_.out.str(), HasSubstr("[ ] 1. look"));
  EXPECT_THAT(controller.asked(), testing::Contains(HasSubstr("/api/v1/gamedays")));
  EXPECT_EQ(run({"report", "pay"}), 0);
  EXPECT_EQ(shell_.out.str(), "md of pay-1\n");
  EXPECT_EQ(run({"report", "pay", "-o", "json"}), 0);
  EXPECT_EQ(shell_.json().at("day"), "pay-1");
  EXPECT_EQ(run({"report", "pay", "--format", "html", "-o", "json"}), 3);
  EXPECT_EQ(run({"report", "pay", "--names", "-d", folder_.path() + "/r"}), 0);
  EXPECT_EQ(folder_.read("r/report.html"), "html of pay-1");
  EXPECT_THAT(controller.asked(), testing::Contains(HasSubstr("names=true")));
  EXPECT_EQ(run({"report", "pay", "--format", "incident", "-d", folder_.path() + "/i"}), 0);
  EXPECT_EQ(folder_.read("i/metrics/pods.prom"), "y");
  EXPECT_EQ(run({"report", "none"}), 3);
}

TEST_F(GameDays, AnIncidentStaysInItsFolder) {
  for (const char* name : {"../x", "/tmp/x", "a/../../x", "a//b", ".bashrc", "a/.ssh/b", "", "-rf",
                           "a\nb", "a\\b", "a/"}) {
    EXPECT_FALSE(is_path_below(name)) << name;
    GameDayDouble controller({.incident = {{"good.txt", "x"}, {name, "y"}}});
    controller.use(shell_, folder_);
    EXPECT_EQ(run({"report", "pay", "--format", "incident", "-d", folder_.path() + "/bad"}), 5);
    EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/bad/good.txt"));
  }
}

TEST(TimeOf, AClockTimeIsTheLastOne) {
  const UtcTime now = api::Timestamp::parse("2026-11-29T10:00:00Z")->value;
  EXPECT_EQ(time_of("09:59", now)->format(), "2026-11-29T09:59:00.000000Z");
  EXPECT_EQ(time_of("10:15:30", now)->format(), "2026-11-28T10:15:30.000000Z");
  EXPECT_EQ(time_of("2026-11-29T11:00:00+02:00", now)->format(), "2026-11-29T09:00:00.000000Z");
  EXPECT_FALSE(time_of("10:1", now));
  EXPECT_FALSE(time_of("25:00", now));
  EXPECT_FALSE(time_of("", now));
}

// Whatever the controller says, no verb steers the terminal.
TEST_F(GameDays, EveryVerbIsTame) {
  using testing_words::expect_tame;
  using testing_words::kHostileBytes;
  GameDayDouble controller({.hostile = true});
  controller.use(shell_, folder_);
  const std::vector<std::vector<std::string>> verbs{
      {"run", file_, "--yes", "--report", folder_.path() + "/out"},
      {"plan", file_},
      {"list"},
      {"show", "pay"},
      {"watch", "pay"},
      {"note", "pay", "x"},
      {"tick", "pay", "mend", "1"},
      {"action", "pay", "x"},
      {"report", "pay"},
      {"note", "pay", kHostileBytes},
      {"note", kHostileBytes, "x", "--wait", "0s"},
      {"next", "pay"}};
  for (std::vector<std::string> words : verbs)
    for (const bool json : {false, true}) {
      if (json) words.insert(words.end(), {"--output", "json"});
      const int code = run(words);
      const std::string out = shell_.out.str() + shell_.err.str();
      EXPECT_FALSE(out.empty()) << words[0] << " " << code;
      expect_tame(out, words[0]);
    }
}

}  // namespace
}  // namespace faultline::cli
