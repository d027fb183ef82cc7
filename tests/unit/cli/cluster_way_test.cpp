// SPDX-License-Identifier: Apache-2.0
// The way into a cluster: which words ask for it, what kubectl says, which pod is chosen. kubectl
// is a script here that tells a port; the real one, and a real cluster, are in tests/cluster.
#include "cli/cluster/cluster_way.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <thread>

#include "cli/cluster/choice.h"
#include "tests/unit/cli/in_cluster.h"

namespace faultline::cli {
namespace {

using kube::FakeApi;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string refusal(Shell& shell, const std::vector<std::string>& words) {
  EXPECT_EQ(shell.run(words), 3) << words[0];
  return shell.err.str();
}
bool cluster(const Shell& shell, const std::vector<std::string>& words) {
  const auto call = parse(*find_command("get"), words);
  const auto wanted = wants_cluster(*call, shell.console);
  EXPECT_TRUE(wanted);
  return wanted && *wanted;
}

TEST(ClusterChoice, AKubeconfigThatIsThereAsksForNothing) {
  Shell shell;
  shell.env["KUBECONFIG"] = "/some/config";
  EXPECT_FALSE(cluster(shell, {}));
  EXPECT_FALSE(cluster(shell, {"--controller", "http://a:1"}));
}
TEST(ClusterChoice, EachOfItsOptionsAsksForTheCluster) {
  Shell shell;
  shell.env["FAULTLINE_CONTROLLER"] = "http://elsewhere:7878";
  EXPECT_FALSE(cluster(shell, {}));
  EXPECT_TRUE(cluster(shell, {"--kubernetes"}));
  EXPECT_TRUE(cluster(shell, {"--kubeconfig", "file"}));
  EXPECT_TRUE(cluster(shell, {"--context", "dev"}));
  EXPECT_TRUE(cluster(shell, {"--controller-namespace", "chaos"}));
}
TEST(ClusterChoice, AsAPluginOfKubectlTheClusterIsMeantUnlessAnAddressIsGiven) {
  Shell shell;
  shell.console.plugin = true;
  shell.env["FAULTLINE_CONTROLLER"] = "http://elsewhere:7878";
  EXPECT_TRUE(cluster(shell, {}));
  EXPECT_FALSE(cluster(shell, {"--controller", "http://a:1"}));
}
TEST(ClusterChoice, TwoWaysAtOnceAreRefused) {
  Shell shell;
  EXPECT_THAT(refusal(shell, {"get", "--controller", "http://a:1", "--context", "dev"}),
              HasSubstr("--controller and --context are two ways to a controller"));
  EXPECT_THAT(refusal(shell, {"get", "--kubernetes", "--token-file", "t"}),
              HasSubstr("the kubeconfig says who you are"));
  const Folder folder;
  const std::string file = folder.file("slow.yaml", kExperiment);
  EXPECT_THAT(refusal(shell, {"run", file, "--pods", "pods.yaml", "--kubernetes"}),
              HasSubstr("--pods is for a run without a controller"));
  EXPECT_THAT(refusal(shell, {"run", file, "--namespace", "shop"}),
              HasSubstr("--namespace is for a controller in a cluster"));
}
TEST(ClusterChoice, WhatIsToBeTypedNextLeadsToTheSameController) {
  Shell shell;
  const auto call = parse(*find_command("watch"), {"slow", "--context", "dev"});
  EXPECT_EQ(same_controller(*call, shell.console, "stop slow-1"),
            "faultline stop slow-1 --context dev");
  shell.console.plugin = true;
  const auto plain = parse(*find_command("watch"), {"slow"});
  EXPECT_EQ(same_controller(*plain, shell.console, "stop slow-1"), "kubectl faultline stop slow-1");
}

TEST(PortForwardWords, ThePortIsReadFromKubectlsLine) {
  EXPECT_EQ(forwarded_port("Forwarding from 127.0.0.1:40123 -> 7878"), 40123);
  EXPECT_EQ(forwarded_port("Forwarding from [::1]:40123 -> 7878"), 40123);
  for (const char* other :
       {"", "Handling connection for 40123", "Forwarding from 127.0.0.1:40123",
        "Forwarding from 127.0.0.1: -> 7878", "Forwarding from 127.0.0.1:70000 -> 7878",
        "Forwarding from 127.0.0.1:0 -> 7878", "Forwarding from x -> 7878"})
    EXPECT_EQ(forwarded_port(other), std::nullopt) << other;
}
TEST(PortForwardWords, ThePodIsWhatStandsBeforeTheAddress) {
  EXPECT_EQ(pod_of_holder("faultline-controller-7d-x_10.0.0.1:7878"), "faultline-controller-7d-x");
  EXPECT_EQ(pod_of_holder("faultline-controller-7d-x"), "faultline-controller-7d-x");
  for (const char* none : {"", "_10.0.0.1:7878", "-x", "Pod", "a b", "../secrets", "a/b"})
    EXPECT_EQ(pod_of_holder(none), "") << none;
  EXPECT_EQ(leader_of(R"({"detail":"no","leader":"pod-1"})"), "pod-1");
  for (const char* none : {"", "[]", "{}", R"({"leader":1})", "not JSON"})
    EXPECT_EQ(leader_of(none), "") << none;
}

TEST(PortForward, GoesWithItsOwner) {
  const Folder folder;
  const std::string script = folder.file(
      "kubectl", "#!/bin/sh\necho Forwarding from 127.0.0.1:4711 -\\> 7878\nexec sleep 1000\n",
      true);
  auto forward = PortForward::start({script}, milliseconds(10'000));
  ASSERT_TRUE(forward) << forward.error().message;
  EXPECT_EQ((*forward)->port(), 4711);
  EXPECT_TRUE((*forward)->running());
  EXPECT_NE(getpgid((*forward)->pid()), getpgrp()) << "Ctrl-C must not reach it";
  const pid_t pid = (*forward)->pid();
  forward->reset();
  EXPECT_EQ(kill(pid, 0), -1);
}
TEST(PortForward, GoesWhenItsOwnerIsKilled) {
  const Folder folder;
  const std::string script = folder.file("kubectl",
                                         "#!/bin/sh\necho $$ > \"$1\"\necho Forwarding from "
                                         "127.0.0.1:4711 -\\> 7878\nexec sleep 1000\n",
                                         true);
  const std::string told = folder.path() + "/pid";
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t owner = fork();
  if (owner == 0) {
    auto forward = PortForward::start({script, told}, milliseconds(10'000));
    if (write(ready[1], forward ? "y" : "n", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char word = 0;
  ASSERT_EQ(read(ready[0], &word, 1), 1);
  ASSERT_EQ(word, 'y');
  const pid_t child = std::stoi(folder.read("pid"));
  EXPECT_EQ(kill(child, 0), 0);
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  // It is somebody else's child now, whose corpse may stay for a moment.
  const auto runs = [&] {
    std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
    std::string text;
    return std::getline(stat, text) && text.find(") Z") == text.npos;
  };
  for (int i = 0; i < 500 && runs(); ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_FALSE(runs());
  close(ready[0]);
  close(ready[1]);
}
TEST(PortForward, SaysWhatKubectlSaid) {
  const Folder folder;
  const std::string script =
      folder.file("kubectl", "#!/bin/sh\necho 'error: no such pod' >&2\nexit 1\n", true);
  EXPECT_EQ(PortForward::start({script}, milliseconds(10'000)).error().message,
            "kubectl port-forward: error: no such pod");
  const std::string silent = folder.file("silent", "#!/bin/sh\nexec sleep 1000\n", true);
  EXPECT_THAT(PortForward::start({silent}, milliseconds(200)).error().message,
              HasSubstr("does not listen"));
  EXPECT_THAT(program_in_path("kubectl", "/nonexistent:" + folder.path()).value_or(""), script);
  EXPECT_THAT(program_in_path("kubectl", "").error().message, HasSubstr("there is no kubectl"));
}

TEST_F(InCluster, ARequestGoesToThePodThatLeads) {
  serve("leads-0_10.0.0.1:7878");
  EXPECT_EQ(shell_.run({"get"}), 0) << shell_.err.str();
  EXPECT_THAT(targets(), ElementsAre("pod/leads-0"));
  EXPECT_THAT(folder_.read("calls"), HasSubstr("--namespace faultline"));
  EXPECT_THAT(folder_.read("calls"), Not(HasSubstr("--context"))) << "kubectl finds its own";
  EXPECT_EQ(shell_.run({"get", "--context", "dev", "--controller-namespace", "faultline"}), 0);
  EXPECT_THAT(folder_.read("calls"), HasSubstr("--context dev"));
}
TEST_F(InCluster, WhoMayNotReadTheLeaseAsksTheDeployment) {
  leases_are_secret_ = true;
  serve("");
  EXPECT_EQ(shell_.run({"get"}), 0) << shell_.err.str();
  EXPECT_THAT(targets(), ElementsAre("deployment/faultline-controller"));
}
TEST_F(InCluster, ALeaderThatIsGoneIsWaitedForUntilItsLeaseIsAnothers) {
  serve("old-pod");
  // The Lease goes over while we wait.
  then_holder_ = "new-pod";
  EXPECT_EQ(shell_.run({"get"}), 0) << shell_.err.str();
  EXPECT_THAT(targets(), ElementsAre("pod/old-pod", "pod/new-pod"));
}
TEST_F(InCluster, WhoIsSentElsewhereGoesThere) {
  script_.leader = "leads-1";
  leases_are_secret_ = true;
  serve("");
  std::thread elected([this] {
    for (int i = 0; i < 500 && folder_.read("calls").find("leads-1") == std::string::npos; ++i)
      std::this_thread::sleep_for(milliseconds(10));
    // Now the same port is the leader's.
    controller_->lead();
  });
  EXPECT_EQ(shell_.run({"get"}), 0) << shell_.err.str();
  elected.join();
  EXPECT_EQ(targets().at(0), "deployment/faultline-controller");
  EXPECT_EQ(targets().at(1), "pod/leads-1");
}
TEST_F(InCluster, AControllerOfAnotherAuthorityIsNotSpokenTo) {
  const http::Authority other("somebody else");
  const http::Pem pem = other.issue({.names = "DNS:faultline-controller.faultline.svc"});
  script_.tls =
      http::ServerTls{folder_.file("o.crt", pem.certificate), folder_.file("o.key", pem.key), ""};
  serve("leads-0");
  EXPECT_EQ(shell_.run({"get"}), 5);
  EXPECT_THAT(shell_.err.str(), HasSubstr("unknown issuer"));
}
TEST_F(InCluster, WhatIsMissingIsSaidInOneLine) {
  serve("leads-0");
  shell_.env["PATH"] = "/nonexistent";
  EXPECT_EQ(shell_.run({"get"}), 3);
  EXPECT_THAT(shell_.err.str(),
              testing::MatchesRegex("faultline: there is no kubectl in PATH: [^\n]*\n"));
  EXPECT_EQ(shell_.run({"get", "--context", "prod"}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("contexts has none named \"prod\""));
  EXPECT_EQ(shell_.run({"get", "--kubeconfig", "/nonexistent/config"}), 3);
  EXPECT_THAT(shell_.err.str(), HasSubstr("there is no kubeconfig at /nonexistent/config"));
}

}  // namespace
}  // namespace faultline::cli
