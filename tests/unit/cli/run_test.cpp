// SPDX-License-Identifier: Apache-2.0
// `run` and `watch` from plan to verdict, against the test double of harness.h.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "cli/follow.h"
#include "tests/unit/cli/harness.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

class Run : public testing::Test {
 protected:
  std::string file(const std::string& text = kExperiment) {
    return folder_.file("slow.yaml", text);
  }
  int run(ControllerDouble& controller, std::vector<std::string> more = {}) {
    controller.use(shell_, folder_);
    std::vector<std::string> words{"run", file(), "--report", folder_.path() + "/out"};
    words.insert(words.end(), more.begin(), more.end());
    return shell_.run(words);
  }
  // Sends SIGINT once the run has been started.
  static std::thread interrupt_when_started(const ControllerDouble& controller) {
    return std::thread([&] {
      while (controller.starts() == 0) std::this_thread::sleep_for(milliseconds(5));
      std::this_thread::sleep_for(milliseconds(100));
      kill(getpid(), SIGINT);
    });
  }
  Folder folder_;
  Shell shell_;
};

TEST_F(Run, ShowsThePlanFollowsAndReports) {
  ControllerDouble controller({});
  EXPECT_EQ(run(controller), 0) << shell_.err.str();
  const std::string out = shell_.out.str();
  EXPECT_THAT(out,
              HasSubstr("hits      shop/payments-0 on node-1; 1 of 1 matching (limit 5, 50 %)"));
  EXPECT_THAT(out, HasSubstr("does      networkLatency 50 ms"));
  EXPECT_THAT(out, HasSubstr("compares  with shop/loadgen-0"));
  const std::size_t baseline = out.find("\n  baseline "), fault = out.find("\n  fault  "),
                    recovery = out.find("\n  recovery "), completed = out.find("\n  completed");
  ASSERT_NE(completed, out.npos) << out;
  EXPECT_LT(baseline, fault);
  EXPECT_LT(fault, recovery);
  EXPECT_LT(recovery, completed);
  EXPECT_THAT(out.substr(fault, recovery - fault), HasSubstr("1 000 of 1 000 delayed"));
  EXPECT_THAT(out, HasSubstr("confirmed"));
  EXPECT_THAT(out, HasSubstr(folder_.path() + "/out/report.html"));
  EXPECT_THAT(out, Not(HasSubstr("\033"))) << "no colours in a pipe";
  EXPECT_EQ(boost::json::parse(folder_.read("out/report.json")).at("run"), "slow-20261123T101502Z");
  EXPECT_EQ(folder_.read("out/report.md"), "md of slow-20261123T101502Z");
  EXPECT_EQ(controller.starts(), 1);
  EXPECT_EQ(controller.stops(), 0);
}

TEST_F(Run, OnATerminalItAsksAndTakesNoForNo) {
  ControllerDouble controller({});
  shell_.console.in_is_terminal = shell_.console.out_is_terminal = true;
  shell_.in.str("n\n");
  EXPECT_EQ(run(controller), 4);
  EXPECT_EQ(controller.starts(), 0);
  EXPECT_THAT(shell_.out.str(), HasSubstr("Start? [y/N] not started"));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/out"));
  shell_.in.clear();
  shell_.in.str("y\n");
  EXPECT_EQ(run(controller), 0);
  EXPECT_EQ(controller.starts(), 1);
  EXPECT_THAT(shell_.out.str(), HasSubstr("\r  fault")) << "drawn in place";
  EXPECT_EQ(run(controller, {"--yes"}), 0);
  EXPECT_EQ(controller.starts(), 2);
}

TEST_F(Run, ForProgramsPrintsOneDocument) {
  ControllerDouble controller({});
  EXPECT_EQ(run(controller, {"--output", "json"}), 0);
  const auto answer = shell_.json();
  EXPECT_EQ(answer.at("exitCode"), 0);
  EXPECT_EQ(answer.at("run"), "slow-20261123T101502Z");
  EXPECT_EQ(answer.at("report").at("verdict"), "met");
  EXPECT_EQ(answer.at("folder").as_string(), folder_.path() + "/out");
  EXPECT_THAT(shell_.err.str(), HasSubstr("baseline"));
}

TEST_F(Run, WithoutTrafficIsTwo) {
  ControllerDouble controller({.matches_traffic = false});
  EXPECT_EQ(run(controller), 2);
  EXPECT_THAT(shell_.out.str(), HasSubstr("no-traffic"));
}

TEST_F(Run, AFaultThatNoAgentCanArmIsTwoAndStartsNothing) {
  ControllerDouble controller({.supported = false});
  EXPECT_EQ(run(controller), 2);
  EXPECT_THAT(shell_.err.str(), HasSubstr("node-1 cannot arm networkLatency: no /dev/net/tun"));
  EXPECT_EQ(controller.starts(), 0);
}

TEST_F(Run, ARefusalIsFive) {
  ControllerDouble controller({.refuse_start = true});
  EXPECT_EQ(run(controller), 5);
  EXPECT_THAT(shell_.err.str(), HasSubstr("is in run other-1 already"));
  EXPECT_EQ(run(controller, {"-o", "json"}), 5);
  EXPECT_EQ(shell_.json().at("error").at("code"), "conflict");
}

TEST_F(Run, StartsWithTheSeedAndTheChoiceOfThePlanThatWasShown) {
  ControllerDouble controller({});
  std::string text = kExperiment;
  text.erase(text.find("  seed: 42\n"));
  controller.use(shell_, folder_);
  EXPECT_EQ(shell_.run({"run", file(text), "--report", folder_.path() + "/out"}), 0);
  EXPECT_EQ(controller.agreed(), "7 choice-0");
}

TEST_F(Run, APlanThatDoesNotHoldAnyMoreIsShownAnewAndAskedFor) {
  ControllerDouble controller({.moves = 1});
  shell_.console.in_is_terminal = shell_.console.out_is_terminal = true;
  shell_.in.str("y\nn\n");
  EXPECT_EQ(run(controller), 4);
  EXPECT_EQ(controller.starts(), 0) << "nobody agreed to the other pod";
  const std::string out = shell_.out.str();
  const std::size_t changed = out.find("The pods have changed since this plan was made");
  ASSERT_NE(changed, out.npos) << out;
  EXPECT_THAT(out.substr(0, changed), HasSubstr("hits      shop/payments-0 on node-1"));
  EXPECT_THAT(out.substr(changed), HasSubstr("hits      shop/payments-1 on node-1"));
  EXPECT_THAT(out.substr(changed), HasSubstr("Start? [y/N] not started"));
}

TEST_F(Run, TheNewPlanIsStartedWhenItIsAgreedTo) {
  ControllerDouble controller({.moves = 1});
  shell_.console.in_is_terminal = shell_.console.out_is_terminal = true;
  shell_.in.str("y\ny\n");
  EXPECT_EQ(run(controller), 0) << shell_.err.str();
  EXPECT_EQ(controller.starts(), 1);
  EXPECT_EQ(controller.agreed(), "42 choice-1");
}

TEST_F(Run, PodsThatChangeAgainAndAgainAreARefusal) {
  ControllerDouble controller({.moves = 100});
  EXPECT_EQ(run(controller, {"--yes"}), 5);
  EXPECT_EQ(controller.starts(), 0);
  EXPECT_THAT(shell_.err.str(), HasSubstr("the pods have changed since the plan was shown"));
}

TEST_F(Run, ThePlanPromisesTheLeaseThatIsInForce) {
  ControllerDouble controller({.lease = 15});
  EXPECT_EQ(run(controller, {"--dry-run"}), 0);
  EXPECT_THAT(shell_.out.str(), HasSubstr("15 s after we lose touch"));
  EXPECT_THAT(shell_.out.str(), Not(HasSubstr("3 s after")));
  ControllerDouble older({.lease = 0});
  EXPECT_EQ(run(older, {"--dry-run"}), 0);
  EXPECT_THAT(shell_.out.str(), HasSubstr("when we lose touch, after the controller's lease"));
}

TEST_F(Run, ABadDocumentIsThreeBeforeAnybodyIsAsked) {
  shell_.env["FAULTLINE_CONTROLLER"] = "http://127.0.0.1:1";
  EXPECT_EQ(shell_.run({"run", file("kind: Experiment\n")}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("slow.yaml"));
}

TEST_F(Run, AFolderThatCannotBeMadeIsThreeBeforeAnythingIsBroken) {
  ControllerDouble controller({});
  controller.use(shell_, folder_);
  const std::string blocked = folder_.file("blocked", "");
  EXPECT_EQ(shell_.run({"run", file(), "--report", blocked + "/out"}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("not a folder"));
  EXPECT_EQ(controller.starts(), 0);
}

TEST_F(Run, CtrlCStopsTheExperimentAndStillReports) {
  ControllerDouble controller({.phase = std::chrono::seconds(20)});
  std::thread person = interrupt_when_started(controller);
  EXPECT_EQ(run(controller), 4);
  person.join();
  EXPECT_EQ(controller.stops(), 1);
  EXPECT_THAT(shell_.err.str(), HasSubstr("stopping slow-20261123T101502Z"));
  EXPECT_THAT(shell_.out.str(), HasSubstr("aborted   stopped by person"));
  EXPECT_NE(folder_.read("out/report.json"), "");
}

TEST_F(Run, StreamsThatEndEarlyAreOpenedAgain) {
  ControllerDouble controller({.cut_streams = true});
  EXPECT_EQ(run(controller), 0) << shell_.err.str();
  EXPECT_THAT(shell_.out.str(), HasSubstr("completed"));
}

TEST_F(Run, WatchLeavesTheRunAloneOnCtrlC) {
  ControllerDouble controller({.phase = std::chrono::seconds(20)});
  controller.use(shell_, folder_);
  const ControllerApi api(
      {.base_url = controller.url(), .bearer_token = "person-token-person-token"});
  ASSERT_TRUE(api.start(kExperiment));
  std::thread person = interrupt_when_started(controller);
  EXPECT_EQ(shell_.run({"watch", "slow"}), 0);
  person.join();
  EXPECT_EQ(controller.stops(), 0);
  EXPECT_THAT(shell_.err.str(), HasSubstr("goes on"));
}

TEST_F(Run, WatchEndsWithTheVerdict) {
  ControllerDouble controller({});
  controller.use(shell_, folder_);
  const ControllerApi api(
      {.base_url = controller.url(), .bearer_token = "person-token-person-token"});
  ASSERT_TRUE(api.start(kExperiment));
  EXPECT_EQ(shell_.run({"watch", "slow"}), 0);
  EXPECT_THAT(shell_.out.str(), HasSubstr("verdict"));
  EXPECT_EQ(shell_.run({"watch", "slow", "-o", "json"}), 0);
  std::istringstream lines(shell_.out.str());
  int n = 0;
  for (std::string line; std::getline(lines, line); ++n)
    EXPECT_TRUE(api::from_json_text<api::RunSummary>(line)) << line;
  EXPECT_GE(n, 1);
}

TEST_F(Run, StopWaitsForTheEnd) {
  ControllerDouble controller({.phase = std::chrono::seconds(20)});
  controller.use(shell_, folder_);
  const ControllerApi api(
      {.base_url = controller.url(), .bearer_token = "person-token-person-token"});
  ASSERT_TRUE(api.start(kExperiment));
  EXPECT_EQ(shell_.run({"stop", "slow"}), 0);
  EXPECT_EQ(shell_.out.str(), "slow-20261123T101502Z: Aborted: stopped by person\n");
}

TEST(Follow, AControllerThatVanishesIsUnavailable) {
  ControllerDouble controller({.phase = std::chrono::seconds(20)});
  const ControllerApi api(
      {.base_url = controller.url(), .bearer_token = "person-token-person-token"});
  auto started = api.start(kExperiment);
  ASSERT_TRUE(started);
  std::thread killer([&] {
    std::this_thread::sleep_for(milliseconds(200));
    controller.vanish();
  });
  Interrupt interrupt;
  std::string said;
  FollowOptions options;
  options.patience = milliseconds(1000);
  const auto begin = std::chrono::steady_clock::now();
  const auto followed = follow(
      api, *started, interrupt, options, [](const api::RunSummary&) {},
      [&](const std::string& line) { said += line + "\n"; });
  killer.join();
  ASSERT_FALSE(followed);
  EXPECT_EQ(followed.error().code, Errc::kUnavailable);
  EXPECT_THAT(followed.error().message, HasSubstr("the controller is gone"));
  EXPECT_THAT(said, HasSubstr("lost touch with the controller"));
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GT(took, milliseconds(1000));
  EXPECT_LT(took, milliseconds(3000));
}

TEST(Follow, DoesNotWaitForAControllerThatIsKnownToBeDead) {
  ControllerDouble controller({.phase = std::chrono::seconds(20)});
  const ControllerApi api(
      {.base_url = controller.url(), .bearer_token = "person-token-person-token"});
  auto started = api.start(kExperiment);
  ASSERT_TRUE(started);
  std::thread killer([&] {
    std::this_thread::sleep_for(milliseconds(100));
    controller.vanish();
  });
  Interrupt interrupt;
  FollowOptions options;
  options.alive = []() -> Result<> { return fail(Errc::kUnavailable, "it was killed by SIGKILL"); };
  const auto begin = std::chrono::steady_clock::now();
  const auto followed = follow(
      api, *started, interrupt, options, [](const api::RunSummary&) {}, [](const std::string&) {});
  killer.join();
  ASSERT_FALSE(followed);
  EXPECT_EQ(followed.error().message, "it was killed by SIGKILL");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(2000));
}

}  // namespace
}  // namespace faultline::cli
