// SPDX-License-Identifier: Apache-2.0
// Two controllers, runs in etcd: who leads may go at any time, and a run goes on under the other.
#include <signal.h>

#include <boost/json.hpp>
#include <iostream>

#include "tests/cluster/faultline.h"

namespace faultline::test {
namespace {

using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

class FaultlineHa : public Faultline {
 protected:
  static void SetUpTestSuite() { install("tests/cluster/manifests/ha"); }
  static void TearDownTestSuite() { uninstall("tests/cluster/manifests/ha"); }

  void TearDown() override {
    cluster({"start", "n1-kubelet", "n2-kubelet"});
    must_kubectl({"-n", "faultline", "rollout", "status", "deployment/faultline-controller",
                  "--timeout=90s"});
    EXPECT_TRUE(comes_true(
        [] {
          return shop->kubectl({"exec", "caller", "--", "curl", "--version"}).status == 0;
        },
        30s));
    Faultline::TearDown();
  }
  // The pod that leads; empty: nobody.
  static std::string leader() {
    const auto lease = kubectl({"-n", "faultline", "get", "lease", "faultline-controller", "-o",
                                "jsonpath={.spec.holderIdentity}"});
    return lease.status == 0 ? lease.output.substr(0, lease.output.find('_')) : "";
  }
  static void expect_went_on(const std::string& experiment, const ShopPod& hit,
                             const std::string& former) {
    EXPECT_GT(felt_on(hit.node, hit.ip), kDelayed) << "it goes on";
    ASSERT_TRUE(comes_true([&] { return over(experiment); }, 90s)) << status(experiment);
    EXPECT_EQ(phase(experiment), "Completed") << status(experiment);
    EXPECT_EQ(text(status(experiment), "verdict"), "met") << status(experiment);
    EXPECT_NE(leader(), former);
    EXPECT_TRUE(comes_true([&] { return felt_on(hit.node, hit.ip) < kUntouched; }, 5s));
  }
};

// As if its node had died: nobody starts it again, and it gives nothing back.
TEST_F(FaultlineHa, AKilledLeaderIsReplacedInTimeAndItsRunGoesOnToATruthfulEnd) {
  const ShopPod hit = injected("headless", slow("headless", "25s"));
  const std::string former = leader();
  ASSERT_NE(former, "");
  const std::string node =
      must_kubectl({"-n", "faultline", "get", "pod", former, "-o", "jsonpath={.spec.nodeName}"});
  const pid_t process =
      process_of(former, "faultline-contr");  // 15 characters, as the kernel has it
  ASSERT_EQ(cluster({"stop", node + "-kubelet"}).status, 0);
  const auto killed = Clock::now();
  ASSERT_EQ(::kill(process, SIGKILL), 0);
  ASSERT_TRUE(comes_true(
      [&] {
        const std::string now = leader();
        return !now.empty() && now != former;
      },
      15s));
  std::cout << "another leader after "
            << std::chrono::duration<double>(Clock::now() - killed).count() << " s\n";
  expect_went_on("headless", hit, former);
  // It says so, and nothing is missing: the agents kept what they had measured.
  const auto run = text(status("headless"), "run");
  std::cout << must_kubectl({"-n", "faultline", "logs", leader(), "--tail=20"}) << run << "\n";
}

TEST_F(FaultlineHa, AnUpgradeOfTheControllersHandsTheRunOver) {
  const ShopPod hit = injected("rolling", slow("rolling", "30s"));
  const std::string former = leader();
  must_kubectl({"-n", "faultline", "rollout", "restart", "deployment/faultline-controller"});
  must_kubectl(
      {"-n", "faultline", "rollout", "status", "deployment/faultline-controller", "--timeout=60s"});
  expect_went_on("rolling", hit, former);
}

TEST_F(FaultlineHa, RunsOfAnEarlierLeaderAreStillThere) {
  const ShopPod hit = injected("kept", slow("kept", "6s"));
  ASSERT_TRUE(comes_true([&] { return over("kept"); }, 30s)) << status("kept");
  const std::string run = text(status("kept"), "run");
  EXPECT_TRUE(comes_true(
      [&] {
        return must_kubectl({"-n", "faultline", "get", "runlogs", "-l",
                             "faultline.dev/run-log=finished", "-o",
                             "jsonpath={.items[*].spec.run}"})
                   .find(run) != std::string::npos;
      },
      20s));
  ASSERT_NE(run, "");
  EXPECT_EQ(must_kubectl({"-n", "faultline", "get", "runlogs", "-l", "faultline.dev/run-log=open",
                          "-o", "jsonpath={.items[?(@.spec.run=='" + run + "')].metadata.name}"}),
            "");
}

}  // namespace
}  // namespace faultline::test
