// SPDX-License-Identifier: Apache-2.0
// faultline run in a cluster: it makes an Experiment and follows it, and shows the controller
// nothing that is good for the API server. API server and controller are doubles.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/cluster/controller_token.h"
#include "tests/unit/cli/in_cluster.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class ClusterRun : public InCluster {};

TEST_F(ClusterRun, IsAnExperimentOfTheApiServerAndEndsInAReport) {
  serve("leads-0");
  EXPECT_EQ(run_file(), 0) << shell_.err.str();
  EXPECT_EQ(asked("POST " + path() + " "), 1);
  EXPECT_EQ(controller_->starts(), 0) << "the controller was not asked to start anything";
  ASSERT_TRUE(stored_) << "the object stays, as the record of the run";
  EXPECT_EQ(kube::meta(*stored_, "namespace"), "shop");
  EXPECT_EQ(stored_->at("status").at("phase"), "Completed")
      << "whoever looks at it when the command has ended sees its end";
  EXPECT_THAT(shell_.out.str(), HasSubstr("experiment   shop/slow"));
  EXPECT_TRUE(std::filesystem::exists(folder_.path() + "/out/report.json"));
}
TEST_F(ClusterRun, TheExperimentSaysWhichPlanWasAgreedTo) {
  serve("leads-0");
  EXPECT_EQ(run_file(), 0) << shell_.err.str();
  ASSERT_TRUE(stored_);
  EXPECT_EQ(stored_->at("spec").at("seed"), 42);
  EXPECT_EQ(stored_->at("metadata").at("annotations").at("faultline.dev/choice"), "choice-0");
}
TEST_F(ClusterRun, APlanThatDoesNotHoldAnyMoreIsShownAnewAndAskedFor) {
  moves_ = 1;
  serve("leads-0");
  shell_.console.in_is_terminal = shell_.console.out_is_terminal = true;
  shell_.in.str("y\nn\n");
  EXPECT_EQ(run_file(), 4) << shell_.err.str();
  const std::string out = shell_.out.str();
  const std::size_t changed = out.find("The pods have changed since this plan was made");
  ASSERT_NE(changed, out.npos) << out;
  EXPECT_THAT(out.substr(changed), HasSubstr("hits      shop/payments-1 on node-1"));
  EXPECT_EQ(asked("POST " + path() + " "), 1);
}
TEST_F(ClusterRun, TheNewPlanTakesThePlaceOfTheOneThatWasRefused) {
  moves_ = 1;
  serve("leads-0");
  EXPECT_EQ(run_file({"--yes"}), 0) << shell_.err.str();
  EXPECT_EQ(asked("DELETE " + path("slow")), 1);
  EXPECT_EQ(asked("POST " + path() + " "), 2);
  EXPECT_EQ(stored_->at("metadata").at("annotations").at("faultline.dev/choice"), "choice-1");
}
TEST_F(ClusterRun, PodsThatChangeAgainAndAgainAreARefusal) {
  moves_ = 100;
  serve("leads-0");
  EXPECT_EQ(run_file({"--yes"}), 5);
  EXPECT_THAT(shell_.err.str(), HasSubstr("was refused: the pods have changed"));
}
TEST_F(ClusterRun, ADryRunMakesNothing) {
  serve("leads-0");
  EXPECT_EQ(run_file({"--dry-run"}), 0) << shell_.err.str();
  EXPECT_EQ(asked("POST " + path()), 0);
  EXPECT_THAT(shell_.out.str(), HasSubstr("not started: --dry-run"));
}
TEST_F(ClusterRun, WhatTheWebhookRefusesDoesNotBegin) {
  webhook_says_ = "admission webhook \"x\" denied the request: jane may not create here";
  serve("leads-0");
  EXPECT_EQ(run_file(), 5);
  EXPECT_THAT(shell_.err.str(), HasSubstr("jane may not create here"));
  EXPECT_FALSE(stored_);
}
TEST_F(ClusterRun, AFinishedOneOfItsNameIsReplacedOnlyWhenAsked) {
  there_is({{"phase", "Completed"}, {"run", "slow-1"}});
  serve("leads-0");
  EXPECT_EQ(run_file(), 5);
  EXPECT_THAT(shell_.err.str(), HasSubstr("shop/slow is there already, finished (run slow-1)"));
  EXPECT_THAT(shell_.err.str(), HasSubstr("--replace"));
  EXPECT_EQ(kube::meta(*stored_, "uid"), "old");
  EXPECT_EQ(run_file({"--replace"}), 0) << shell_.err.str();
  EXPECT_EQ(kube::meta(*stored_, "uid"), "new");
}
TEST_F(ClusterRun, OneThatIsUnderWayIsNeverReplaced) {
  there_is({{"phase", "Injecting"}, {"run", "slow-1"}});
  serve("leads-0");
  EXPECT_EQ(run_file({"--replace"}), 5);
  EXPECT_THAT(shell_.err.str(), HasSubstr("'kubectl faultline stop shop/slow' ends it"));
  EXPECT_EQ(kube::meta(*stored_, "uid"), "old");
}
TEST_F(ClusterRun, OneThatHasNotBegunIsTakenAwayByKubectl) {
  there_is({{"phase", "Pending"}});
  serve("leads-0");
  EXPECT_EQ(run_file(), 5);
  EXPECT_THAT(shell_.err.str(), HasSubstr("'kubectl -n shop delete experiment slow'"));
}
TEST_F(ClusterRun, AnInterruptBeforeItBeginsDeletesTheExperiment) {
  operator_works_ = false;
  interrupt_at_ = "Pending";
  serve("leads-0");
  EXPECT_EQ(run_file(), 4) << shell_.err.str();
  EXPECT_EQ(asked("DELETE " + path("slow")), 1);
  EXPECT_FALSE(stored_);
}
TEST_F(ClusterRun, ARefusalInTheStatusHasItsExitCode) {
  operator_works_ = false;
  end_status_ = {{"phase", "Failed"},
                 {"reason", "no pod matches"},
                 {"conditions", boost::json::array{{{"type", "Selected"},
                                                    {"status", "False"},
                                                    {"reason", "NoMatch"},
                                                    {"message", "no pod matches"},
                                                    {"lastTransitionTime", "2026-11-28T10:00:00Z"},
                                                    {"observedGeneration", 1}}}}};
  serve("leads-0");
  EXPECT_EQ(run_file(), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("was refused: no pod matches"));
}

TEST_F(ClusterRun, AServiceAccountShowsTheControllerATokenForItAlone) {
  serve("leads-0");
  EXPECT_EQ(shell_.run({"get"}), 0) << shell_.err.str();
  bool found = false;
  for (const std::string& request : api_->requests())
    if (request.starts_with("POST /api/v1/namespaces/shop/serviceaccounts/robot/token")) {
      found = true;
      EXPECT_THAT(request, HasSubstr(R"("audiences":["faultline-controller"])"));
    }
  EXPECT_TRUE(found);
}
TEST_F(ClusterRun, WhoMayNotMakeSuchATokenIsToldWhichRightIsMissing) {
  tokens_are_forbidden_ = true;
  serve("leads-0");
  EXPECT_EQ(shell_.run({"get"}), 5);
  EXPECT_THAT(shell_.err.str(), HasSubstr("create serviceaccounts/token, named robot, in "
                                          "namespace shop"));
  EXPECT_THAT(targets(), IsEmpty());
}
TEST_F(ClusterRun, AnotherTokenStaysAwayFromTheController) {
  token_ = "an-oidc-token-an-oidc-token";
  script_.token = token_;  // it would be taken
  serve("leads-0");
  EXPECT_EQ(shell_.run({"get"}), 5);
  EXPECT_THAT(shell_.err.str(), HasSubstr("the controller is not shown this one"));
  EXPECT_THAT(targets(), IsEmpty());
}
TEST_F(ClusterRun, WithoutTheControllerTheStatusIsFollowed) {
  token_ = "an-oidc-token-an-oidc-token";
  end_status_ = {{"phase", "Completed"}, {"run", "slow-1"}, {"verdict", "missed"}, {"pods", 2}};
  serve("leads-0");
  EXPECT_EQ(run_file(), 1) << shell_.err.str();
  EXPECT_EQ(asked("POST " + path() + "?dryRun=All"), 1) << "what is wrong is told before the start";
  EXPECT_THAT(shell_.out.str(), HasSubstr("followed by the Experiment's status"));
  EXPECT_THAT(targets(), IsEmpty());
}
TEST_F(ClusterRun, WithoutTheControllerAnInterruptDeletesTheExperiment) {
  token_ = "an-oidc-token-an-oidc-token";
  interrupt_at_ = "Injecting";
  serve("leads-0");
  EXPECT_EQ(run_file(), 4) << shell_.err.str();
  EXPECT_FALSE(stored_);
}

TEST(ControllerToken, WhoseATokenIsIsReadFromItsClaims) {
  const auto account = account_of(account_token("shop", "robot"));
  ASSERT_TRUE(account);
  EXPECT_EQ(account->ns, "shop");
  EXPECT_EQ(account->name, "robot");
  for (const std::string& other :
       {std::string(), std::string("opaque"), std::string("a.b.c"), std::string("a.!!.c"),
        std::string("a..c"), account_token("", "robot"), account_token("shop", ""),
        account_token("shop", "robot").substr(0, 25)})
    EXPECT_FALSE(account_of(other)) << other;
}

}  // namespace
}  // namespace faultline::cli
