// SPDX-License-Identifier: Apache-2.0
// Containers of pods: in the pods file, in what an agent reports, and in an experiment.
#include <gtest/gtest.h>

#include "api/codec.h"

namespace faultline::api {
namespace {

std::string pods_with(const std::string& containers) {
  return "pods:\n  - namespace: a\n    name: b-0\n    cgroup: /c/pod\n    netns: /n\n    "
         "containers:\n" +
         containers;
}

TEST(PodsFile, ContainersAreReadAndMayBeLeftOut) {
  const auto file = parse_pods_file(
      pods_with(
          "      - {name: app, cgroup: /c/pod/app}\n      - {name: log, cgroup: /c/pod/x/log/}\n"),
      "p");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->pods[0].containers.size(), 2U);
  EXPECT_EQ(file->pods[0].containers[1].name, "log");
  EXPECT_EQ(file->pods[0].containers[1].cgroup, "/c/pod/x/log/");
  const auto without = parse_pods_file(pods_with("      []\n"), "p");
  ASSERT_TRUE(without) << without.error().message;
  EXPECT_TRUE(without->pods[0].containers.empty());
}

struct WrongContainers {
  const char* containers;
  const char* message;
};
class Containers : public testing::TestWithParam<WrongContainers> {};

TEST_P(Containers, ThatCannotBeAreRefusedByLineAndField) {
  const auto file = parse_pods_file(pods_with(GetParam().containers), "p");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message, GetParam().message);
}
INSTANTIATE_TEST_SUITE_P(
    Wrong, Containers,
    testing::Values(
        WrongContainers{"      - {name: app, cgroup: app}\n",
                        "p:7: pods[0].containers[0].cgroup: expected an absolute path, got "
                        "\"app\""},
        WrongContainers{"      - {name: app, cgroup: /c/pod}\n",
                        "p:7: pods[0].containers[0].cgroup: expected a directory below the pod's "
                        "cgroup /c/pod, got \"/c/pod\""},
        WrongContainers{"      - {name: app, cgroup: /c/podium}\n",
                        "p:7: pods[0].containers[0].cgroup: expected a directory below the pod's "
                        "cgroup /c/pod, got \"/c/podium\""},
        WrongContainers{"      - {name: app, cgroup: /c/pod/../other}\n",
                        "p:7: pods[0].containers[0].cgroup: expected a directory below the pod's "
                        "cgroup /c/pod, got \"/c/pod/../other\""},
        WrongContainers{"      - {name: app, cgroup: /c/pod/a}\n      - {name: app, cgroup: "
                        "/c/pod/b}\n",
                        "p:8: pods[0].containers[1].name: container app of pod b-0 is given twice"},
        WrongContainers{"      - {name: app, cgroup: /c/pod/a}\n      - {name: log, cgroup: "
                        "/c/pod/a}\n",
                        "p:8: pods[0].containers[1].cgroup: is the cgroup of container app "
                        "already"},
        WrongContainers{
            "      - {name: App, cgroup: /c/pod/a}\n",
            "p:7: pods[0].containers[0].name: expected a name of at most 63 small letters, "
            "digits and -, that begins and ends with a letter or digit, got \"App\""},
        WrongContainers{"      - {name: app}\n",
                        "p:7: pods[0].containers[0]: missing required key \"cgroup\""},
        WrongContainers{"      - {name: app, cgrop: /c/pod/a}\n",
                        "p:7: pods[0].containers[0].cgrop: unknown key, expected one of name, "
                        "cgroup; did you mean \"cgroup\"?"}));

// An agent that knows no containers, or an earlier one, leaves them out.
TEST(Machine, PodWithoutContainersIsValid) {
  const auto old =
      from_json_text<PodRef>(R"({"namespace":"shop","name":"a","node":"n","labels":{"app":"x"}})");
  ASSERT_TRUE(old) << old.error().message;
  EXPECT_TRUE(old->containers.empty());
  PodRef with = *old;
  with.containers = {"app", "log"};
  const auto again = from_json_text<PodRef>(to_json_text(with));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, with);
  EXPECT_FALSE(*again == *old);
}

Result<Experiment> held_to(const std::string& names, const std::string& fault) {
  return parse_experiment(
      "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: a}\nspec:\n"
      "  target:\n    selector: {nodes: [n]}\n    containerNames: " +
          names + "\n  faults: [" + fault + "]\n",
      "f");
}

std::string refusal(const std::string& names, const std::string& fault) {
  const auto parsed = held_to(names, fault);
  return parsed ? "" : parsed.error().message;
}

constexpr const char* kError = "{socketError: {operations: [connect], errno: EACCES}}";

TEST(ContainerNames, GoWithFaultsOfSocketsSystemCallsAndProcesses) {
  for (const char* fault :
       {kError, "{syscallError: {syscalls: [openat], errno: EIO}}",
        "{syscallLatency: {syscalls: [fsync], latency: 1ms}}", "{processPause: {}}"}) {
    const auto parsed = held_to("[app, log]", fault);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->spec.target.containerNames, (std::vector<std::string>{"app", "log"}));
  }
}

// Ignoring them would hit what they were meant to spare.
TEST(ContainerNames, AreRefusedWithFaultsOfTheNetworkThatContainersShare) {
  for (const char* fault : {"networkLatency: {latency: 1ms}", "networkLoss: {loss: 1%}",
                            "networkDuplicate: {duplicate: 1%}", "networkCorrupt: {corrupt: 1%}",
                            "networkReorder: {reorder: 1%}", "networkBandwidth: {rate: 1mbps}",
                            "networkPartition: {}", "tcpReset: {}", "dnsError: {drop: true}"}) {
    const std::string name = std::string(fault).substr(0, std::string(fault).find(':'));
    EXPECT_EQ(refusal("[app]", std::string(kError) + ", {" + fault + "}"),
              "f:7: spec.target.containerNames: goes not together with " + name +
                  ": all containers of a pod share its network; leave it out, or give that fault "
                  "an experiment of its own");
  }
}

TEST(ContainerNames, ThatCannotBeAreRefused) {
  EXPECT_EQ(refusal("[]", kError),
            "f:7: spec.target.containerNames: must not be empty: it names nothing, so everything "
            "would match; leave the key out if that is meant");
  EXPECT_EQ(refusal("[app, app]", kError), "f:7: spec.target.containerNames[1]: is given twice");
  EXPECT_EQ(refusal("[\"\"]", kError), "f:7: spec.target.containerNames[0]: must not be empty");
  EXPECT_EQ(refusal("[My_app]", kError),
            "f:7: spec.target.containerNames[0]: expected a name of at most 63 small letters, "
            "digits and -, that begins and ends with a letter or digit, got \"My_app\"");
}

}  // namespace
}  // namespace faultline::api
