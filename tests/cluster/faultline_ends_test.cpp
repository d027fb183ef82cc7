// SPDX-License-Identifier: Apache-2.0
// Things that come and go while a fault is armed. It ends on time or as documented, the status says
// what happened, and nothing is left on any node (Faultline::TearDown).
#include <signal.h>

#include <boost/json.hpp>
#include <iostream>
#include <thread>

#include "tests/cluster/faultline.h"

namespace faultline::test {
namespace {

using testing::HasSubstr;

class FaultlineEnds : public Faultline {
 protected:
  void TearDown() override {
    for (const char* node : {"n1", "n2"}) cluster({"join", node});
    cluster({"start", "etcd", "apiserver", "n1-containerd", "n1-kubelet", "n2-containerd",
             "n2-kubelet"});
    ASSERT_TRUE(comes_true([] { return kubectl({"get", "--raw", "/readyz"}).status == 0; }, 60s));
    for (const char* workload : {"deployment/faultline-controller", "daemonset/faultline-agent"})
      must_kubectl({"-n", "faultline", "rollout", "status", workload, "--timeout=90s"});
    shop.must_kubectl({"rollout", "status", "deployment/web", "--timeout=90s"});
    Faultline::TearDown();
  }
  static std::string agent_on(const std::string& node) {
    return must_kubectl(
        {"-n", "faultline", "get", "pods", "-l", "app.kubernetes.io/name=faultline-agent",
         "--field-selector=spec.nodeName=" + node, "-o", "jsonpath={.items[0].metadata.name}"});
  }
  static void expect_healed(const ShopPod& pod, std::chrono::seconds within) {
    EXPECT_TRUE(comes_true([&] { return felt_on(pod.node, pod.ip) < kUntouched; }, within));
  }
};

TEST_F(FaultlineEnds, ADeletedExperimentEndsAtOnce) {
  const ShopPod hit = injected("gone", slow("gone", "60s"));
  shop.must_kubectl({"delete", "experiment", "gone", "--timeout=5s"});
  expect_healed(hit, 5s);
}

TEST_F(FaultlineEnds, AKilledAgentTakesItsFaultAlongAndTheStatusSaysSo) {
  const ShopPod hit = injected("orphan", slow("orphan", "20s"));
  must_kubectl(
      {"-n", "faultline", "delete", "pod", agent_on(hit.node), "--grace-period=0", "--force"});
  expect_healed(hit, 10s);
  ASSERT_TRUE(comes_true([] { return over("orphan"); }, 60s)) << status("orphan");
  EXPECT_NE(text(status("orphan"), "verdict"), "met") << "the fault did not last";
  EXPECT_THAT(text(status("orphan"), "reason"), HasSubstr("agent on " + hit.node));
}

TEST_F(FaultlineEnds, AnUpgradeOfTheAgentsEndsItLikewise) {
  const ShopPod hit = injected("upgrade", slow("upgrade", "40s"));
  must_kubectl({"-n", "faultline", "rollout", "restart", "daemonset/faultline-agent"});
  ASSERT_TRUE(comes_true([] { return over("upgrade"); }, 90s)) << status("upgrade");
  expect_healed(hit, 5s);
  EXPECT_NE(text(status("upgrade"), "verdict"), "met");
}

TEST_F(FaultlineEnds, AStoppedAgentsFaultEndsWithItsLease) {
  const ShopPod hit = injected("stopped", slow("stopped", "30s"));
  const pid_t agent = process_of(agent_on(hit.node), "faultline-agent");
  ASSERT_EQ(::kill(agent, SIGSTOP), 0);
  expect_healed(hit, 6s);
  EXPECT_TRUE(comes_true([] { return over("stopped"); }, 60s)) << status("stopped");
  ASSERT_EQ(::kill(agent, SIGCONT), 0);
  EXPECT_NE(text(status("stopped"), "verdict"), "met");
  std::cout << text(status("stopped"), "reason") << "\n";
}

TEST_F(FaultlineEnds, AKilledControllerIsReplacedAndItsRunIsSaidToBeLost) {
  const ShopPod hit = injected("headless", slow("headless", "60s"));
  must_kubectl({"-n", "faultline", "delete", "pod", "-l",
                "app.kubernetes.io/name=faultline-controller", "--grace-period=0", "--force"});
  expect_healed(hit, 8s);
  ASSERT_TRUE(comes_true([] { return over("headless"); }, 90s)) << status("headless");
  EXPECT_EQ(phase("headless"), "Failed");
  EXPECT_EQ(condition("headless", "Verdict"), "False Lost");
  // And it leads: another experiment runs, as soon as the Service knows the new pod.
  must_kubectl(
      {"-n", "faultline", "rollout", "status", "deployment/faultline-controller", "--timeout=60s"});
  // Agents come back one after the other; until both have, it knows a part of the pods only, and
  // may refuse what would hit all of those.
  bool completed = false;
  for (int i = 0; i < 5 && !completed; ++i) {
    const std::string name = "after-" + std::to_string(i);
    const TemporaryFile file(slow(name, "1s"));
    ASSERT_TRUE(comes_true(
        [&] {
          return shop.kubectl({"apply", "-f", file.path()}).status == 0;
        },
        30s));
    ASSERT_TRUE(comes_true([&] { return over(name); }, 40s)) << status(name);
    completed = phase(name) == "Completed";
  }
  EXPECT_TRUE(completed);
}

// Nobody could stop the run by kubectl then: a leader that cannot renew its Lease for 8 s ends it.
TEST_F(FaultlineEnds, AMinuteWithoutApiServerEndsItAndTheStatusComesLater) {
  const auto restarts = [] {
    return std::stoi(must_kubectl(
        {"-n", "faultline", "get", "pods", "-l", "app.kubernetes.io/name=faultline-controller",
         "-o", "jsonpath={.items[0].status.containerStatuses[0].restartCount}"}));
  };
  const ShopPod hit = injected("silent", slow("silent", "90s"));
  const int before = restarts();
  const auto stopped = std::chrono::steady_clock::now();
  ASSERT_EQ(cluster({"stop", "apiserver"}).status, 0);
  EXPECT_GT(felt_on(hit.node, hit.ip), kDelayed) << "not at once";
  expect_healed(hit, 20s);
  std::this_thread::sleep_until(stopped + 60s);
  ASSERT_EQ(cluster({"start", "apiserver"}).status, 0);
  ASSERT_TRUE(comes_true([] { return over("silent"); }, 60s)) << status("silent");
  std::cout << phase("silent") << ": " << text(status("silent"), "reason") << "\n";
  EXPECT_EQ(phase("silent"), "Aborted");
  EXPECT_LE(restarts(), before + 1) << "it waits for the API server and does not end again";
  EXPECT_NE(text(status("silent"), "reason"), "");
}

TEST_F(FaultlineEnds, ARestartOfEtcdChangesNothing) {
  const ShopPod hit = injected("etcd", slow("etcd", "12s"));
  ASSERT_EQ(cluster({"restart", "etcd"}).status, 0);
  EXPECT_GT(felt_on(hit.node, hit.ip), kDelayed);
  expect_healed(hit, 25s);
  EXPECT_TRUE(comes_true([] { return phase("etcd") == "Completed"; }, 60s)) << status("etcd");
  EXPECT_EQ(text(status("etcd"), "verdict"), "met") << status("etcd");
}

TEST_F(FaultlineEnds, WithoutKubeletAndContainerdItGoesOnAndEndsOnTime) {
  const ShopPod hit = injected("bare", slow("bare", "10s"));
  ASSERT_EQ(cluster({"stop", hit.node + "-kubelet", hit.node + "-containerd"}).status, 0);
  EXPECT_GT(felt_on(hit.node, hit.ip), kDelayed);
  expect_healed(hit, 20s);
  EXPECT_TRUE(comes_true([] { return phase("bare") == "Completed"; }, 30s)) << status("bare");
  EXPECT_EQ(text(status("bare"), "verdict"), "met");
}

// The node where the controller is not.
TEST_F(FaultlineEnds, ANodeThatIsCutOffEndsItsFaultByTheLease) {
  const std::string controller = must_kubectl({"-n", "faultline", "get", "pods", "-l",
                                               "app.kubernetes.io/name=faultline-controller", "-o",
                                               "jsonpath={.items[0].spec.nodeName}"});
  const std::string other = controller == "n1" ? "n2" : "n1";
  const ShopPod hit =
      injected("cut", slow("cut", "30s", "{labelSelectors: {app: web}, nodes: [" + other + "]}"));
  ASSERT_EQ(cluster({"cut", other}).status, 0);
  expect_healed(hit, 8s);
  EXPECT_TRUE(comes_true([] { return over("cut"); }, 60s)) << status("cut");
  EXPECT_NE(text(status("cut"), "verdict"), "met");
  std::cout << text(status("cut"), "reason") << "\n";
}

TEST_F(FaultlineEnds, AContainerThatRestartsKeepsTheFaultOfItsPod) {
  const ShopPod hit = injected("crash", slow("crash", "20s"));
  shop.must_kubectl({"exec", hit.name, "--", "nginx", "-s", "stop"});
  EXPECT_TRUE(comes_true(
      [&] {
        return shop.must_kubectl({"get", "pod", hit.name, "-o",
                                  "jsonpath={.status.containerStatuses[0].restartCount}"}) == "1";
      },
      20s));
  EXPECT_TRUE(comes_true([&] { return felt(hit.ip) > kDelayed; }, 10s));
  EXPECT_TRUE(comes_true([] { return phase("crash") == "Completed"; }, 40s)) << status("crash");
  EXPECT_EQ(text(status("crash"), "verdict"), "met");
}

TEST_F(FaultlineEnds, APodThatIsReplacedEndsItsPartAndTheNewOneIsNotTouched) {
  const ShopPod hit = injected("replaced", slow("replaced", "15s"));
  shop.must_kubectl({"delete", "pod", hit.name, "--grace-period=0", "--force"});
  shop.must_kubectl({"rollout", "status", "deployment/web", "--timeout=30s"});
  for (const ShopPod& pod : web()) EXPECT_LT(felt(pod.ip), kUntouched) << pod.name;
  EXPECT_TRUE(comes_true([] { return over("replaced"); }, 60s)) << status("replaced");
  std::cout << status("replaced") << "\n";
}

TEST_F(FaultlineEnds, WithFollowAnotherPodTakesThePlaceOfOneThatIsGone) {
  std::string document = slow("follow", "20s");
  document.replace(document.find("mode: one"), 9, "mode: one, follow: true");
  const ShopPod hit = injected("follow", document);
  shop.must_kubectl({"delete", "pod", hit.name, "--grace-period=0", "--force"});
  const auto delayed = [] {
    int n = 0;
    for (const ShopPod& pod : web()) n += felt_on(pod.node, pod.ip) > kDelayed ? 1 : 0;
    return n;
  };
  EXPECT_TRUE(comes_true([&] { return delayed() == 1; }, 12s)) << delayed() << " pods are delayed";
  ASSERT_TRUE(comes_true([] { return over("follow"); }, 60s)) << status("follow");
  EXPECT_EQ(phase("follow"), "Completed") << status("follow");
  EXPECT_EQ(status("follow").at("targets").as_array().size(), 2U) << status("follow");
  for (const ShopPod& pod : web()) EXPECT_LT(felt_on(pod.node, pod.ip), kUntouched) << pod.name;
}

TEST_F(FaultlineEnds, ADeletedNamespaceGoesWithItsExperiment) {
  auto space = std::make_unique<Namespace>("doomed");
  space->nginx("web", "n2");
  space->apply(slow("doomed", "60s", "{pods: {doomed: [web]}}"));
  ASSERT_TRUE(comes_true(
      [&] {
        return space->must_kubectl({"get", "experiment", "doomed", "-o",
                                    "jsonpath={.status.phase}"}) == "Injecting";
      },
      30s))
      << space->must_kubectl({"get", "experiment", "doomed", "-o", "yaml"});
  space.reset();
  EXPECT_TRUE(comes_true([] { return kubectl({"get", "namespace", "doomed"}).status != 0; }, 60s));
}

}  // namespace
}  // namespace faultline::test
