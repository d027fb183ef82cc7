// SPDX-License-Identifier: Apache-2.0
// Two controllers, runs in etcd: who leads may go at any time, and a run goes on under the other.
// All of it with agents that are not privileged (overlay `hardened`).
#include <signal.h>

#include <boost/json.hpp>
#include <fstream>
#include <iostream>
#include <optional>

#include "testbed/program.h"
#include "testbed/test_pod.h"
#include "tests/cluster/faultline.h"
#include "tests/places.h"

namespace faultline::test {
namespace {

using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

class FaultlineHa : public Faultline {
 protected:
  void TearDown() override {
    cluster({"start", "n1-kubelet", "n2-kubelet"});
    must_kubectl({"-n", "faultline", "rollout", "status", "deployment/faultline-controller",
                  "--timeout=90s"});
    EXPECT_TRUE(comes_true(
        [] {
          return shop.kubectl({"exec", "caller", "--", "curl", "--version"}).status == 0;
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

// Also for somebody who looks at it by `kubectl faultline run`, whose way to the leader breaks.
TEST_F(FaultlineHa, AnUpgradeOfTheControllersHandsTheRunOverAndTheCommandFollows) {
  const TemporaryFile document(slow("rolling", "30s"));
  const testbed::TestFolder folder;
  const std::string said = folder.path() + "/said", report = folder.path() + "/report";
  const std::string program = test::build_dir() / "bin/faultline";
  auto command = testbed::launch(
      {"env", "KUBECONFIG=" + state("pki/admin.kubeconfig"), "HOME=" + folder.path(),
       "PATH=" + programs() + ":/usr/bin:/bin", program, "run", document.path(), "--namespace",
       "shop", "--kubernetes", "--report", report},
      {.file = said});
  const auto text_of = [](const std::string& file) {
    std::ifstream in(file);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  std::optional<ShopPod> hit;
  const auto pods = web();
  ASSERT_TRUE(comes_true(
      [&] {
        for (const ShopPod& pod : pods)
          if (felt_on(pod.node, pod.ip) > kDelayed) hit = pod;
        return hit.has_value();
      },
      30s))
      << text_of(said);
  const std::string former = leader();
  must_kubectl({"-n", "faultline", "rollout", "restart", "deployment/faultline-controller"});
  must_kubectl(
      {"-n", "faultline", "rollout", "status", "deployment/faultline-controller", "--timeout=60s"});
  EXPECT_NE(leader(), former);
  EXPECT_GT(felt_on(hit->node, hit->ip), kDelayed) << "it goes on";
  // Traffic until its end, and after it.
  EXPECT_TRUE(comes_true(
      [&] {
        felt_on(hit->node, hit->ip);
        return testbed::has_ended(command);
      },
      60s))
      << text_of(said);
  EXPECT_EQ(command.wait(), 0) << text_of(said);
  EXPECT_THAT(text_of(report + "/report.json"), HasSubstr("\"state\":\"Completed\""));
  EXPECT_LT(felt_on(hit->node, hit->ip), kUntouched);
}

TEST_F(FaultlineHa, AnAgentThatIsNotPrivilegedFailsCallsToo) {
  shop.apply(experiment("refused",
                        "  target: {selector: {pods: {shop: [caller]}}}\n"
                        "  faults: [{socketError: {operations: [connect], errno: ENETDOWN}}]\n"
                        "  phases: {baseline: 0s, fault: 6s, recovery: 0s}\n"));
  ASSERT_TRUE(comes_true([] { return phase("refused") == "Injecting"; }, 30s)) << status("refused");
  const std::string url = "http://" + web().at(0).ip + "/";
  const auto during = shop.curl("caller", url);
  EXPECT_EQ(during.status, 7) << during.output;  // curl: "Failed to connect to host."
  ASSERT_TRUE(comes_true([] { return over("refused"); }, 30s)) << status("refused");
  EXPECT_EQ(text(status("refused"), "verdict"), "met") << status("refused");
  EXPECT_EQ(shop.curl("caller", url).status, 0);
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
