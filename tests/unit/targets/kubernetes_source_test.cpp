// SPDX-License-Identifier: Apache-2.0
// Which pods count, and why others do not. Pods that are found: tests/kernel/kubernetes_test.cpp,
// where there is a cgroup2.
#include "agent/targets/kubernetes_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "made_up_node.h"

namespace faultline::agent::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class TestClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady() const override { return now; }
  [[nodiscard]] UtcTime utc() const override { return UtcTime(now.time_since_epoch()); }
  SteadyTime now{std::chrono::hours(1)};
};

class KubernetesPods : public testing::Test {
 protected:
  KubernetesPods()
      : source_(std::move(KubernetesSource::open("node-1", node_.roots(), clock_).value())) {}
  static KubePod pod(const std::string& name, const std::string& phase = "Running") {
    KubePod p;
    p.namespace_ = "shop";
    p.name = name;
    p.uid = kUidA;
    p.node = "node-1";
    p.phase = phase;
    return p;
  }
  // Of the only pod.
  MissingPod missing(KubePod pod) {
    source_.replace({std::move(pod)});
    EXPECT_TRUE(source_.poll());
    EXPECT_THAT(source_.pods(), IsEmpty());
    EXPECT_EQ(source_.missing().size(), 1U);
    return source_.missing().empty() ? MissingPod{} : source_.missing().front();
  }
  MadeUpNode node_;
  TestClock clock_;
  KubernetesSource source_;
};

TEST_F(KubernetesPods, PodThatDoesNotRunYetSaysWhatItWaitsFor) {
  KubePod waiting = pod("a", "Pending");
  waiting.containers = {{.name = "app", .reason = "ImagePullBackOff"}};
  const MissingPod seen = missing(waiting);
  EXPECT_EQ(seen.ref.id(), "shop/a");
  EXPECT_EQ(seen.ref.node, "node-1");
  EXPECT_EQ(seen.reason, "it does not run yet (Pending): container app waits (ImagePullBackOff)");
  EXPECT_FALSE(seen.awaited);
  waiting.containers = {{.name = "migrate",
                         .kind = KubeContainer::Kind::kInit,
                         .state = KubeContainer::State::kRunning},
                        {.name = "app", .reason = "PodInitializing"}};
  EXPECT_EQ(missing(waiting).reason, "it does not run yet (Pending): init container migrate runs");
}

TEST_F(KubernetesPods, CompletedAndHostNetworkPodsAreToldAndNotAwaited) {
  EXPECT_EQ(missing(pod("a", "Succeeded")).reason, "it has completed (Succeeded)");
  EXPECT_EQ(missing(pod("a", "Failed")).reason, "it has completed (Failed)");
  KubePod host = pod("a");
  host.host_network = true;
  const MissingPod seen = missing(host);
  EXPECT_THAT(seen.reason, HasSubstr("the node's own network namespace"));
  EXPECT_FALSE(seen.awaited);
}

// The API is believed about what it says, the node about what it is.
TEST_F(KubernetesPods, PodWhoseProcessesAreInTheNodesNamespaceIsRefusedWhateverTheApiSays) {
  const std::string container = "kubepods/pod" + kUidA + "/" + hex_id('1');
  node_.make_cgroup(container);
  node_.process(20, container, MadeUpNode::kNodeNetns);
  const MissingPod seen = missing(pod("a"));
  EXPECT_THAT(seen.reason, HasSubstr("the node's own network namespace"));
  EXPECT_FALSE(seen.awaited);
}

TEST_F(KubernetesPods, PodOfAnotherNodeIsNotOurs) {
  KubePod other = pod("a");
  other.node = "node-2";
  source_.replace({other});
  EXPECT_FALSE(source_.poll().value());
  EXPECT_THAT(source_.missing(), IsEmpty());
  source_.upsert(pod("a"));
  EXPECT_TRUE(source_.poll().value());
  source_.upsert(other);
  EXPECT_TRUE(source_.poll().value());
  EXPECT_THAT(source_.missing(), IsEmpty());
}

TEST_F(KubernetesPods, PodWithoutProcessesIsAwaitedForAWhile) {
  EXPECT_EQ(missing(pod("a")).reason, "it has no cgroup on this node");
  EXPECT_TRUE(source_.missing()[0].awaited);
  node_.make_cgroup("kubepods/pod" + kUidA + "/" + hex_id('1'));
  EXPECT_EQ(missing(pod("a")).reason, "no process of it was found");
  clock_.now += std::chrono::seconds(31);
  EXPECT_TRUE(source_.poll().value());
  EXPECT_FALSE(source_.missing()[0].awaited);
}

TEST_F(KubernetesPods, PodThatIsOnlyInCgroupV1SaysSo) {
  node_.process(20, "", 77);
  node_.cgroup_lines(20, "4:memory:/kubepods/pod" + kUidA + "/" + hex_id('1') + "\n0::/\n");
  EXPECT_THAT(missing(pod("a")).reason, HasSubstr("in cgroup v1 only"));
}

TEST_F(KubernetesPods, DriversThatDifferAreNamed) {
  node_.make_cgroup("kubepods.slice/kubepods-podaaaaaaaa_8c6e_4d0b_9a53_1b9df1d7c2aa.slice");
  node_.make_cgroup(
      "system.slice/kubepods-podaaaaaaaa_8c6e_4d0b_9a53_1b9df1d7c2aa.slice:cri-containerd:" +
      hex_id('1'));
  const MissingPod seen = missing(pod("a"));
  EXPECT_THAT(seen.reason, HasSubstr("different cgroup drivers"));
  EXPECT_FALSE(seen.awaited);
}

TEST_F(KubernetesPods, TreeThatShowsOnlyAPartOfTheNodeIsNamed) {
  node_.process(20, "", 77);
  node_.cgroup_lines(20, "0::/../../pod" + kUidA + "/" + hex_id('1') + "\n");
  EXPECT_THAT(missing(pod("a")).reason, HasSubstr("is not below " + node_.roots().cgroup2 +
                                                  ": the node's whole cgroup tree"));
}

// Annotations are free to write; the status is not.
TEST_F(KubernetesPods, MirrorThatKnowsNoContainerOfTheStaticPodIsNotTaken) {
  const std::string hash(32, 'a');
  const std::string container = "kubepods/pod" + hash + "/" + hex_id('1');
  node_.make_cgroup(container);
  node_.process(20, container, 77);
  KubePod forged = pod("a");
  forged.config_hash = hash;
  EXPECT_THAT(missing(forged).reason, HasSubstr("none of its containers is in"));
}

TEST_F(KubernetesPods, RemovedPodIsGoneAndAListIsWhole) {
  source_.upsert(pod("a"));
  source_.upsert(pod("b"));
  EXPECT_TRUE(source_.poll().value());
  EXPECT_EQ(source_.missing().size(), 2U);
  source_.remove("shop", "a");
  EXPECT_TRUE(source_.poll().value());
  ASSERT_EQ(source_.missing().size(), 1U);
  EXPECT_EQ(source_.missing()[0].ref.id(), "shop/b");
  source_.replace({pod("c")});
  EXPECT_TRUE(source_.poll().value());
  ASSERT_EQ(source_.missing().size(), 1U);
  EXPECT_EQ(source_.missing()[0].ref.id(), "shop/c");
}

TEST_F(KubernetesPods, CgroupTreeThatGoesAwayIsAnErrorOfTheSource) {
  std::filesystem::remove_all(node_.roots().cgroup2);
  source_.upsert(pod("a"));
  const auto polled = source_.poll();
  ASSERT_FALSE(polled);
  EXPECT_THAT(polled.error().message, HasSubstr("cannot read the cgroup tree"));
}

}  // namespace
}  // namespace faultline::agent::test
