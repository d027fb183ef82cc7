// SPDX-License-Identifier: Apache-2.0
// The commands that ask once, against the test double of harness.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "api/gameday_status.h"
#include "cli/text.h"
#include "tests/unit/cli/harness.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kPods = R"(
pods:
  - {namespace: shop, name: payments-0, labels: {app: payments}, cgroup: /sys/fs/cgroup/a, netns: /run/netns/a}
  - {namespace: shop, name: checkout-0, labels: {app: checkout}, cgroup: /sys/fs/cgroup/b, netns: /run/netns/b}
)";

TEST(Validate, AValidDocumentIsZeroAnInvalidOneThreeWithItsLine) {
  Folder folder;
  Shell shell;
  const std::string good = folder.file("good.yaml", kExperiment);
  EXPECT_EQ(shell.run({"validate", good}), 0);
  EXPECT_EQ(shell.out.str(), good + ": valid: slow, networkLatency\n");
  EXPECT_THAT(shell.err.str(), HasSubstr("note: 1 s before and 1 s with the fault: too short to "
                                         "tell a change from chance"));
  std::string text = kExperiment;
  text.replace(text.find("latency: 50ms"), 13, "latenzy: 50ms");
  const std::string bad = folder.file("bad.yaml", text);
  EXPECT_EQ(shell.run({"validate", bad}), 3);
  EXPECT_THAT(shell.err.str(), testing::StartsWith(bad + ":8:"));
  EXPECT_THAT(shell.err.str(), HasSubstr("latency"));
  EXPECT_EQ(shell.run({"validate", bad, "--output", "json"}), 3);
  EXPECT_EQ(shell.json().at("error").at("code"), "invalid");
  EXPECT_EQ(shell.run({"validate", good, "--output", "json"}), 0);
  EXPECT_EQ(shell.json().at("valid"), true);
}

TEST(Validate, ReadsTheStandardInput) {
  Shell shell;
  shell.in.str(kExperiment);
  EXPECT_EQ(shell.run({"validate", "-"}), 0);
  EXPECT_THAT(shell.out.str(), HasSubstr("<stdin>: valid"));
}

TEST(Validate, WhatCannotBeReadIsBadInput) {
  Folder folder;
  Shell shell;
  EXPECT_EQ(shell.run({"validate", folder.path() + "/none.yaml"}), 3);
  EXPECT_EQ(shell.err.str(), folder.path() + "/none.yaml: No such file or directory\n");
  EXPECT_EQ(shell.run({"validate", folder.path()}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("Is a directory"));
  const std::string huge = folder.file("huge.yaml", std::string(5 << 20, '#'));
  EXPECT_EQ(shell.run({"validate", huge}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("longer than 4 MB"));
}

TEST(Explain, SaysWhoWhatAndHowItEnds) {
  Folder folder;
  Shell shell;
  const std::string file = folder.file("slow.yaml", kExperiment);
  EXPECT_EQ(shell.run({"explain", file, "--pods", folder.file("pods.yaml", kPods)}), 0);
  const std::string text = shell.out.str();
  EXPECT_THAT(text, HasSubstr("slow: \"Checkout stays fast\""));
  EXPECT_THAT(text, HasSubstr("app=payments in shop: all of them"));
  EXPECT_THAT(text, HasSubstr("shop/payments-0; at most 1 may be hit"));
  EXPECT_THAT(text, HasSubstr("shop/checkout-0"));
  EXPECT_THAT(text, HasSubstr("50 ms"));
  EXPECT_THAT(text, HasSubstr("at once if the agent dies"));
  EXPECT_THAT(text, HasSubstr("note      1 s before and 1 s with the fault: too short"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(Explain, NamesTheContainersAndAPodWithoutThem) {
  Folder folder;
  Shell shell;
  std::string text = kExperiment;
  text.replace(text.find("networkLatency: {latency: 50ms}"), 31,
               "socketError: {operations: [connect], errno: EACCES}");
  text.replace(text.find("mode: all"), 9, "mode: all, containerNames: [app]");
  const std::string file = folder.file("slow.yaml", text);
  std::string pods = kPods;
  EXPECT_EQ(shell.run({"explain", file, "--pods", folder.file("pods.yaml", pods)}), 0);
  EXPECT_THAT(shell.out.str(), HasSubstr("container app of each pod; its other containers are"));
  EXPECT_THAT(shell.out.str(), HasSubstr("in the pods file shop/payments-0 has none"));
  pods.insert(pods.find(", netns: /run/netns/a"),
              ", containers: [{name: app, cgroup: /sys/fs/cgroup/a/app}]");
  EXPECT_EQ(shell.run({"explain", file, "--pods", folder.file("pods.yaml", pods)}), 0);
  EXPECT_THAT(shell.out.str(), Not(HasSubstr("has none")));
}

TEST(Explain, AsksAControllerForThePlan) {
  Folder folder;
  Shell shell;
  ControllerDouble controller({});
  controller.use(shell, folder);
  EXPECT_EQ(shell.run({"explain", folder.file("slow.yaml", kExperiment), "-o", "json"}), 0);
  EXPECT_EQ(shell.json().at("plan").at("matching"), 1);
  EXPECT_EQ(controller.starts(), 0);
}

TEST(Controller, WithoutATokenOrWithAWrongOneItIsDenied) {
  Folder folder;
  Shell shell;
  ControllerDouble controller({});
  EXPECT_EQ(shell.run({"get", "--controller", controller.url()}), 5);
  EXPECT_THAT(shell.err.str(), HasSubstr("a token is needed"));
  const std::string wrong = folder.file("wrong", "another-token-another-token");
  EXPECT_EQ(shell.run({"get", "--controller", controller.url(), "--token-file", wrong}), 5);
  EXPECT_THAT(shell.err.str(), HasSubstr("not known here"));
  EXPECT_EQ(shell.run({"get", "--controller", controller.url(), "--token-file", "/none"}), 3);
  EXPECT_EQ(shell.run({"get", "--controller", "not a url"}), 3);
}

TEST(Controller, OneThatIsNotThereIsFive) {
  Shell shell;
  EXPECT_EQ(shell.run({"nodes", "--controller", "http://127.0.0.1:1"}), 5);
  EXPECT_THAT(shell.err.str(), HasSubstr("cannot connect to 127.0.0.1:1"));
}

TEST(Get, ListsAndShows) {
  Folder folder;
  Shell shell;
  ControllerDouble controller({});
  controller.use(shell, folder);
  EXPECT_EQ(shell.run({"get"}), 0);
  EXPECT_EQ(shell.out.str(), "no runs yet\n");
  EXPECT_EQ(shell.run({"get", "slow"}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr("there is no run slow"));
  EXPECT_EQ(shell.run({"run", folder.file("slow.yaml", kExperiment), "--report", folder.path()}),
            0);
  EXPECT_EQ(shell.run({"get"}), 0);
  EXPECT_THAT(shell.out.str(), HasSubstr("slow-20261123T101502Z"));
  EXPECT_THAT(shell.out.str(), HasSubstr("Completed"));
  EXPECT_EQ(shell.run({"get", "-o", "json"}), 0);
  EXPECT_EQ(shell.json().at("runs").as_array().size(), 1u);
  EXPECT_EQ(shell.run({"get", "slow"}), 0);
  EXPECT_THAT(shell.out.str(), HasSubstr("shop/payments-0 on node-1"));
}

TEST(Nodes, ShowsWhatTheyCan) {
  Folder folder;
  Shell shell;
  ControllerDouble controller({});
  controller.use(shell, folder);
  EXPECT_EQ(shell.run({"nodes"}), 0);
  EXPECT_THAT(shell.out.str(), HasSubstr("networkLatency"));
  EXPECT_THAT(shell.out.str(), Not(HasSubstr("syscallError")));
  EXPECT_THAT(shell.out.str(), HasSubstr("shop/payments-0  app=payments"));
  EXPECT_EQ(shell.run({"nodes", "-o", "json"}), 0);
  EXPECT_EQ(shell.json().at("nodes").as_array().size(), 1u);
}

TEST(Alerts, ListsWhatWasShownToFireAndWhatNeverWas) {
  Folder folder;
  Shell shell;
  ControllerDouble controller({});
  controller.use(shell, folder);
  EXPECT_EQ(shell.run({"alerts"}), 0);
  EXPECT_THAT(shell.out.str(), testing::ContainsRegex("NeverYet +never"));
  EXPECT_THAT(shell.out.str(), testing::ContainsRegex("PaymentsSlow +2026-11-23T10:15:02Z +12.5 s "
                                                      "+not notified"));
  EXPECT_THAT(shell.out.str(), HasSubstr("1 of 2 alert rules ever shown to fire (50 %)"));
  EXPECT_THAT(shell.out.str(), HasSubstr("note: said"));
  EXPECT_EQ(shell.run({"alerts", "-o", "json"}), 0);
  EXPECT_EQ(shell.json().at("tested"), 1);
}

TEST(RuleTest, WritesTwoFilesAndSaysHowToRunThem) {
  Folder folder;
  Shell shell;
  ControllerDouble controller({.phase = milliseconds(1)});
  controller.use(shell, folder);
  ASSERT_EQ(shell.run({"run", folder.file("slow.yaml", kExperiment), "--report", folder.path()}),
            0);
  const std::string there = folder.path() + "/tests";
  EXPECT_EQ(shell.run({"rule-test", "slow", "Slow", "-d", there}), 0) << shell.err.str();
  EXPECT_EQ(folder.read("tests/Slow.rules.yml"), "groups: []\n");
  EXPECT_EQ(folder.read("tests/Slow.test.yml"), "tests: []\n");
  EXPECT_THAT(shell.out.str(), HasSubstr("promtool test rules " + there + "/Slow.test.yml"));
  EXPECT_EQ(shell.run({"rule-test", "slow", "Slow", "-d", there, "-o", "json"}), 0);
  EXPECT_EQ(shell.json().at("notes").as_array().size(), 1U);
  EXPECT_EQ(shell.run({"rule-test", "slow"}), 3);
  // A name that leads out of the folder is none.
  EXPECT_EQ(shell.run({"rule-test", "slow", "../x", "-d", there}), 5);
  EXPECT_THAT(shell.err.str(), HasSubstr("names a file"));
}

TEST(Tune, ShowsTheTradeAndMarksThePresentSetting) {
  Folder folder;
  Shell shell;
  ControllerDouble controller({.phase = milliseconds(1)});
  controller.use(shell, folder);
  ASSERT_EQ(shell.run({"run", folder.file("slow.yaml", kExperiment), "--report", folder.path()}),
            0);
  const std::string page = folder.path() + "/tune.html";
  EXPECT_EQ(
      shell.run({"tune", "slow", "Slow", "--for", "0s,15s", "--history", "14d", "--html", page}), 0)
      << shell.err.str();
  const std::string out = shell.out.str();
  std::cout << out;
  EXPECT_EQ(controller.tuned().at("alert"), "Slow");
  EXPECT_EQ(controller.tuned().at("run"), "slow-20261123T101502Z");
  EXPECT_EQ(controller.tuned().at("for"), "0s,15s");
  EXPECT_EQ(controller.tuned().at("history"), "14d");
  EXPECT_FALSE(controller.tuned().contains("threshold"));
  EXPECT_THAT(out, testing::ContainsRegex("15s +0.4 +- +5.00 s +10 +20.0 +90.0 s +now"));
  EXPECT_THAT(out, testing::ContainsRegex("0s +0.8 +- +missed +10 +20.0"));
  EXPECT_THAT(out, HasSubstr("0.500 days without 3 runs that are left out"));
  EXPECT_THAT(out, HasSubstr("not all detected"));
  EXPECT_THAT(out, HasSubstr("it fired after 12.5 s in the run itself; said"));
  EXPECT_THAT(out, HasSubstr("note: said, too"));
  for (const std::string& line : split_lines(out)) EXPECT_LE(columns(line), 100U) << line;
  EXPECT_THAT(folder.read("tune.html"), HasSubstr("<svg"));
  EXPECT_EQ(shell.run({"tune", "slow", "Slow", "-o", "json"}), 0);
  EXPECT_EQ(shell.json().at("settings").as_array().size(), 9U);
  EXPECT_EQ(shell.run({"tune", "slow"}), 3);
  EXPECT_EQ(shell.run({"tune", "slow", "Slow", "--html", folder.path() + "/no/x.html"}), 3);
}

TEST(Tune, LeavesOutWhatAnotherSettingBeatsUnlessAsked) {
  Folder folder;
  Shell shell;
  ControllerDouble controller({.phase = milliseconds(1), .fors = 20});
  controller.use(shell, folder);
  ASSERT_EQ(shell.run({"run", folder.file("slow.yaml", kExperiment), "--report", folder.path()}),
            0);
  EXPECT_EQ(shell.run({"tune", "slow", "Slow"}), 0) << shell.err.str();
  EXPECT_THAT(shell.out.str(), HasSubstr("56 settings that another one beats not shown"));
  EXPECT_EQ(shell.run({"tune", "slow", "Slow", "--all"}), 0);
  EXPECT_THAT(shell.out.str(), Not(HasSubstr("not shown")));
}

TEST(Probe, OfAControllerTellsEachNodesReasons) {
  Folder folder;
  Shell shell;
  ControllerDouble controller({});
  controller.use(shell, folder);
  EXPECT_EQ(shell.run({"probe"}), 0);
  EXPECT_THAT(shell.out.str(), HasSubstr("fentry          no   Operation not permitted"));
  EXPECT_THAT(shell.out.str(), HasSubstr("networkLatency  yes  by delay-line"));
  EXPECT_THAT(shell.out.str(), HasSubstr("syscallError    no   no trampolines"));
}

TEST(Probe, HereRunsTheAgentBesideTheCommand) {
  Folder folder;
  Shell shell;
  shell.console.programs = folder.path();
  EXPECT_EQ(shell.run({"probe"}), 5);
  EXPECT_THAT(shell.err.str(), HasSubstr("there is no faultline-agent"));
  // A test double of the agent.
  folder.file("faultline-agent",
              "#!/bin/sh\n[ \"$1\" = --probe ] || exit 9\n"
              "echo '{\"name\": \"here\", \"kernel\": \"6.1\", \"features\": [{\"name\": \"tun\", "
              "\"available\": true, \"enables\": \"delays\"}]}'\n",
              true);
  EXPECT_EQ(shell.run({"probe"}), 0) << shell.err.str();
  EXPECT_THAT(shell.out.str(), HasSubstr("here: kernel 6.1"));
  EXPECT_THAT(shell.out.str(), HasSubstr("tun  yes  delays"));
  folder.file("faultline-agent", "#!/bin/sh\necho 'cannot load' >&2\nexit 7\n", true);
  EXPECT_EQ(shell.run({"probe", "-o", "json"}), 5);
  const std::string message(shell.json().at("error").at("message").as_string());
  EXPECT_THAT(message, HasSubstr("exited with code 7"));
  EXPECT_THAT(message, HasSubstr("  | cannot load"));
}

TEST(Report, InEachForm) {
  Folder folder;
  Shell shell;
  ControllerDouble controller({.phase = milliseconds(1)});
  controller.use(shell, folder);
  EXPECT_EQ(shell.run({"run", folder.file("slow.yaml", kExperiment), "--report", folder.path()}),
            0);
  EXPECT_EQ(shell.run({"report", "slow"}), 0);
  EXPECT_THAT(shell.out.str(), HasSubstr("verdict"));
  EXPECT_EQ(shell.run({"report", "slow", "--format", "md"}), 0);
  EXPECT_EQ(shell.out.str(), "md of slow-20261123T101502Z\n");
  EXPECT_EQ(shell.run({"report", "slow", "-o", "json"}), 0);
  EXPECT_EQ(shell.json().at("run"), "slow-20261123T101502Z");
  EXPECT_EQ(shell.run({"report", "slow", "--report", folder.path() + "/a/b"}), 0);
  EXPECT_EQ(folder.read("a/b/report.html"), "html of slow-20261123T101502Z");
  EXPECT_EQ(shell.run({"report", "slow", "--report", folder.path(), "--format", "md"}), 3);
  EXPECT_EQ(shell.run({"report", "other"}), 3);
}

TEST(Stop, NeedsANameOrAll) {
  Shell shell;
  EXPECT_EQ(shell.run({"stop"}), 3);
  EXPECT_EQ(shell.run({"stop", "x", "--all"}), 3);
}

TEST(Stop, AllWhileNothingRuns) {
  Folder folder;
  Shell shell;
  ControllerDouble controller({});
  controller.use(shell, folder);
  EXPECT_EQ(shell.run({"stop", "--all"}), 0);
  EXPECT_EQ(shell.out.str(), "nothing runs\n");
  EXPECT_EQ(controller.stops(), 1);
  EXPECT_EQ(shell.run({"stop", "slow"}), 3);
}

TEST(Completion, OfBashOffersCommandsOptionsAndValues) {
  Folder folder;
  Shell shell;
  ASSERT_EQ(shell.run({"completion", "bash"}), 0);
  const std::string script = folder.file("completion.bash", shell.out.str());
  const std::string test = folder.file("test.bash", "source " + script + R"(
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _faultline; echo "${COMPREPLY[*]}"; }
ask faultline va
ask faultline run --po
ask faultline run x --output ""
ask faultline completion f
ask faultline stop --a
ask faultline gameday no
ask faultline gameday done d --outcome pa
ask faultline gameday tick d s 1 --fa
ask faultline gameday run --unat
)");
  FILE* out = popen(("bash " + test + " 2>&1").c_str(), "r");
  ASSERT_NE(out, nullptr);
  std::string got;
  for (char line[256]; std::fgets(line, sizeof line, out);) got += line;
  EXPECT_EQ(WEXITSTATUS(pclose(out)), 0);
  EXPECT_EQ(got,
            "validate\n--pods\ntext json\nfish\n--all --all-namespaces\nnote\npartial\n--failed\n"
            "--unattended\n");
}

TEST(Completion, OfZshAndFishNamesEveryOption) {
  Shell shell;
  for (const char* name : {"zsh", "fish"}) {
    ASSERT_EQ(shell.run({"completion", name}), 0);
    for (const Command& command : commands()) {
      for (const Option& option : command.options)
        EXPECT_THAT(shell.out.str(), HasSubstr(std::string(option.name))) << name;
      for (const Command& verb : command.verbs)
        for (const Option& option : verb.options)
          EXPECT_THAT(shell.out.str(), HasSubstr(std::string(option.name))) << name;
    }
  }
}

TEST(Schema, IsAJsonSchema) {
  Shell shell;
  EXPECT_EQ(shell.run({"schema", "--gameday"}), 0);
  EXPECT_TRUE(shell.json().at("$defs").as_object().contains("GameDaySpec"));
  EXPECT_EQ(shell.run({"schema", "--gameday", "--crd"}), 0);
  EXPECT_EQ(shell.out.str(), api::gameday_crd_yaml());
  EXPECT_EQ(shell.run({"schema", "--sweep", "--crd"}), 3);
  EXPECT_EQ(shell.run({"schema", "--gameday", "--sweep"}), 3);
  EXPECT_EQ(shell.run({"schema"}), 0);
  EXPECT_TRUE(shell.json().contains("$schema"));
  EXPECT_EQ(shell.run({"schema", "--crd"}), 0);
  EXPECT_EQ(shell.out.str(), api::experiment_crd_yaml());
  EXPECT_EQ(shell.run({"schema", "--crd", "--output", "json"}), 0);
  EXPECT_EQ(shell.json().at("kind"), "CustomResourceDefinition");
}

TEST(ExitCodes, FollowTheKindOfError) {
  EXPECT_EQ(exit_code_of(Errc::kInvalid), 3);
  EXPECT_EQ(exit_code_of(Errc::kNotFound), 3);
  EXPECT_EQ(exit_code_of(Errc::kUnsupported), 2);
  for (const Errc code : {Errc::kConflict, Errc::kDenied, Errc::kUnavailable, Errc::kInternal})
    EXPECT_EQ(exit_code_of(code), 5);
}

}  // namespace
}  // namespace faultline::cli
