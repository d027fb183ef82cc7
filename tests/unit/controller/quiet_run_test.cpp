// SPDX-License-Identifier: Apache-2.0
// Which runs agents are told to say nothing of: those of surprises, whoever writes what.
#include "api/gameday.h"
#include "run_fixture.h"

namespace faultline::controller::test {
namespace {

class QuietRun : public RunTest {
 protected:
  bool told_quiet(const std::string& uid) {
    api::RunRecord head{.run = "slow-1", .experiment = experiment("")};
    head.experimentUid = uid;
    head.experiment.metadata.annotations[std::string(api::kQuietNote)] = "true";
    head.pods.push_back({pod("shop", "payments-n1", "n1"), api::PodRole::target});
    head.nodes.push_back({.node = "n1"});
    run_.emplace(std::move(head), RunTimes{}, clock_.now());
    const auto desired = run_->desired("n1", "i-n1", clock_.now());
    EXPECT_TRUE(desired);
    return desired &&
           desired->experiment.metadata.annotations.contains(std::string(api::kQuietNote));
  }
};

TEST_F(QuietRun, AgentsAreToldOfASurprise) { EXPECT_TRUE(told_quiet("gameday/pay-1/boom/0")); }

TEST_F(QuietRun, NobodyHushesUpAnExperimentOfTheirOwn) {
  EXPECT_FALSE(told_quiet(""));
  EXPECT_FALSE(told_quiet("5a1e2f34-0000-4000-8000-123456789abc"));
}

}  // namespace
}  // namespace faultline::controller::test
