// SPDX-License-Identifier: Apache-2.0
// What a controller, a document or an argument says never steers the terminal: every command with a
// controller that fills each text of its messages with what would.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/plan_text.h"
#include "cli/progress.h"
#include "harness.h"

namespace faultline::cli {
namespace {

using testing_words::all_hostile;
using testing_words::expect_tame;
using testing_words::kHostile;
using testing_words::kHostileBytes;

api::Experiment experiment() {
  api::Experiment e = *api::parse_experiment(kExperiment, "slow.yaml");
  e.spec.expect.effects.push_back({.metric = "request.latency", .quantile = 0.99, .below = "1s"});
  return e;
}

TEST(WordsOfOthers, ThePlanIsTame) {
  api::RunPlan plan{.matching = 1, .allowed = 1};
  plan.targets = plan.observed = plan.control = {{"shop", "web-0", "node-1", {{"app", "web"}}}};
  plan.unsupported = {{"node-1", "networkLatency", "no tun"}};
  api::NodeStatus node;
  node.info.name = "node-1";
  node.info.faults = {{"networkLatency", true, "delay-line", ""}};
  const api::RunPlan hostile = all_hostile(plan);
  expect_tame(plan_text(all_hostile(experiment()), hostile, {all_hostile(node), node}, 80), "plan");
  Shell shell;
  print_error(shell.console, plan_problem(hostile).error(), false, {});
  EXPECT_THAT(shell.err.str(), testing::HasSubstr("\\x1b]0;PWNED\\x07"));
}

TEST(WordsOfOthers, TheExplanationIsTame) {
  api::PodsFile pods;
  pods.pods.push_back({});
  pods.pods[0].name = "web-0";
  expect_tame(explain_text(all_hostile(experiment()), all_hostile(pods), 80), "explain");
}

TEST(WordsOfOthers, TheLiveViewIsTame) {
  api::RunSummary summary{.run = "slow-1", .name = "slow"};
  summary.stateReason = "waits";
  summary.phaseTotal = summary.phaseElapsed = 1;
  summary.injections = {{.pod = {"shop", "web-0", "n", {}}, .fault = "networkLatency"}};
  api::EffectWindow window{.pod = {"shop", "web-0", "n", {}}};
  window.to.value = UtcTime(std::chrono::seconds(1));
  window.samples = {{.metric = "request.rate", .labels = {{"side", "server"}}, .value = 5}};
  summary.effects = {window};
  for (const bool terminal : {false, true})
    for (const auto state : {api::RunState::Pending, api::RunState::Baseline,
                             api::RunState::Injecting, api::RunState::Failed}) {
      Shell shell;
      shell.console.out_is_terminal = terminal;
      Progress progress(shell.console, all_hostile(experiment()), false);
      summary.state = state;
      progress.show(all_hostile(summary));
      progress.say(kHostileBytes);
      std::string out = shell.out.str();
      if (terminal) {  // how the line is drawn anew
        std::erase(out, '\r');
        if (const auto at = out.find("\033[K"); at != std::string::npos) out.erase(at, 3);
      }
      expect_tame(out, "live view");
      expect_tame(shell.err.str(), "what is said beside it");
    }
}

// Each command; what it printed on both outputs.
TEST(WordsOfOthers, EveryCommandIsTameWhateverTheControllerSays) {
  ControllerDouble controller({.phase = milliseconds(30), .hostile = true});
  ASSERT_TRUE(controller.started());
  const Folder folder;
  const std::string file = folder.file("slow.yaml", kExperiment);
  Shell shell;
  controller.use(shell, folder);
  const std::vector<std::vector<std::string>> commands{
      {"explain", file},
      {"run", file, "--yes", "--report", folder.path() + "/out"},
      {"get"},
      {"get", "slow"},
      {"watch", "slow"},
      {"nodes"},
      {"probe"},
      {"report", "slow"},
      {"alerts"},
      {"rule-test", "slow", "Slow", "-d", folder.path()},
      {"tune", "slow", "Slow"},
      {"stop", "slow"},
      {"get", kHostile}};
  for (std::vector<std::string> words : commands) {
    for (const bool json : {false, true}) {
      if (json) words.insert(words.end(), {"--output", "json"});
      const int code = shell.run(words);
      const std::string out = shell.out.str() + shell.err.str();
      EXPECT_FALSE(out.empty()) << words[0] << " " << code;
      expect_tame(out, words[0]);
    }
  }
}

TEST(WordsOfOthers, ARefusalIsTame) {
  ControllerDouble controller({.refuse_start = true, .hostile = true});
  const Folder folder;
  Shell shell;
  controller.use(shell, folder);
  EXPECT_EQ(shell.run({"run", folder.file("slow.yaml", kExperiment), "--yes"}), kExitCouldNotRun);
  EXPECT_THAT(shell.err.str(), testing::HasSubstr("PWNED"));
  // Lines of a problem stay lines: each says who speaks.
  EXPECT_EQ(printable_lines(shell.err.str()), shell.err.str());
  EXPECT_THAT(shell.err.str(), testing::HasSubstr("\nfaultline: FORGED"));
}

TEST(WordsOfOthers, DocumentsAndArgumentsAreTame) {
  const Folder folder;
  Shell shell;
  const std::string name =
      folder.file("a.yaml", "spec: {purpose: \"\\e[2J\\u202e\", \"\\e[31m\": 1}\n");
  for (const std::vector<std::string>& words : {std::vector<std::string>{"validate", name},
                                                {"validate", folder.path() + "/" + kHostileBytes},
                                                {"convert", name},
                                                {kHostileBytes},
                                                {"--" + kHostileBytes},
                                                {"run", "x", "--" + kHostileBytes, "y"},
                                                {"get", "--output", kHostileBytes}}) {
    shell.run(words);
    const std::string said = shell.out.str() + shell.err.str();
    EXPECT_FALSE(said.empty()) << words[0];
    EXPECT_EQ(printable_lines(said), said) << words[0];
  }
}

}  // namespace
}  // namespace faultline::cli
