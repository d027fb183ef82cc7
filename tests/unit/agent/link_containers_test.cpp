// SPDX-License-Identifier: Apache-2.0
// Experiments that name containers: which cgroups are hit, and when they are hit anew.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "link_doubles.h"

namespace faultline::agent::test {
namespace {

using api::RunPhase;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Container container(const std::string& name, std::uint64_t cgroup) {
  return {name, "/cgroup/" + name, CgroupId{cgroup}};
}

api::Experiment held_to(std::vector<std::string> names,
                        const std::string& fault =
                            "socketError: {operations: [connect], errno: "
                            "EACCES}") {
  auto e = experiment("[{" + fault + "}]");
  e.spec.target.containerNames = std::move(names);
  return e;
}

class LinkContainers : public testing::Test {
 protected:
  LinkContainers() { node_.pods[0].containers = {container("app", 71), container("log", 72)}; }
  void begin(api::Experiment e) {
    experiment_ = std::move(e);
    node_.begin(RunPhase::baseline, experiment_);
    node_.answer({Node::run(RunPhase::fault, experiment_)});
  }
  [[nodiscard]] std::vector<std::uint64_t> hit() const {
    std::vector<std::uint64_t> cgroups;
    for (const World::Armed* armed : node_.world.alive()) cgroups.push_back(number(armed->cgroup));
    return cgroups;
  }
  [[nodiscard]] std::string last_event() const { return node_.told.events.back().text; }
  Node node_;
  api::Experiment experiment_;
};

TEST_F(LinkContainers, OnlyTheNamedOneIsHit) {
  begin(held_to({"app"}));
  EXPECT_THAT(hit(), ElementsAre(71));
}

TEST_F(LinkContainers, SeveralAreArmedAsOneFault) {
  begin(held_to({"log", "app"}));
  EXPECT_THAT(hit(), ElementsAre(71, 72));
  EXPECT_NE(node_.world.armed[0]->seed, node_.world.armed[1]->seed);
  node_.world.armed[0]->counters.matched = node_.world.armed[0]->counters.injected = 3;
  node_.world.armed[1]->counters.matched = node_.world.armed[1]->counters.injected = 4;
  node_.answer({Node::run(RunPhase::recovery, experiment_)});
  EXPECT_THAT(hit(), IsEmpty());
  EXPECT_EQ(node_.status().injected, 7U);
}

TEST_F(LinkContainers, WithoutNamesTheWholePodIsHitOnce) {
  begin(held_to({}));
  EXPECT_THAT(hit(), ElementsAre(1001));
}

TEST_F(LinkContainers, PodWithoutAnyOfThemIsBlockedNeverHitAsAWhole) {
  begin(held_to({"db"}));
  EXPECT_THAT(hit(), IsEmpty());
  EXPECT_EQ(node_.status().state, api::InjectionState::blocked);
  EXPECT_EQ(node_.status().reason, "rule containerNames: the pod has none of them");
}

TEST_F(LinkContainers, FaultThatHitsWholePodsOnlyIsBlocked) {
  begin(held_to({"app"}, "processPause: {}"));
  EXPECT_THAT(hit(), IsEmpty());
  EXPECT_THAT(node_.status().reason, HasSubstr("cannot hold it to containers"));
}

// The agent does not rely on the controller's check.
TEST_F(LinkContainers, FaultOfTheSharedNetworkIsBlocked) {
  begin(held_to({"app"}, "networkLatency: {latency: 20ms}"));
  EXPECT_THAT(hit(), IsEmpty());
  EXPECT_THAT(node_.status().reason, HasSubstr("all containers of a pod share its network"));
}

TEST_F(LinkContainers, RestartedOneIsHitAnewWithoutMeasuringThePodAnew) {
  begin(held_to({"app"}));
  node_.world.armed[0]->counters.matched = node_.world.armed[0]->counters.injected = 5;
  node_.pods[0].containers[0] = container("app", 171);
  node_.give();
  EXPECT_THAT(hit(), ElementsAre(171));
  EXPECT_EQ(node_.told.events.back().kind, api::RunEventKind::pod_restarted);
  EXPECT_EQ(last_event(),
            "its containers changed: container app is there, the faults are armed again");
  EXPECT_EQ(node_.world.count("measure shop/a"), 1);
  node_.answer({Node::run(RunPhase::recovery, experiment_)});
  EXPECT_EQ(node_.status().injected, 5U) << "what the old one felt counts";
}

TEST_F(LinkContainers, RestartOfAnotherOneChangesNothing) {
  begin(held_to({"app"}));
  node_.pods[0].containers[1] = container("log", 172);
  node_.give();
  EXPECT_THAT(node_.world.armed, SizeIs(1));
  EXPECT_THAT(node_.events(), ElementsAre("measuring", "armed"));
}

TEST_F(LinkContainers, OneThatIsGoneForAWhileIsHitWhenItIsBack) {
  begin(held_to({"app"}));
  const Container app = node_.pods[0].containers[0];
  std::erase(node_.pods[0].containers, app);
  node_.give();
  EXPECT_THAT(hit(), IsEmpty());
  EXPECT_EQ(last_event(), "the containers to be hit are not there");
  node_.pass(500ms, {Node::run(RunPhase::fault, experiment_)});
  EXPECT_EQ(node_.status().state, api::InjectionState::disarmed) << "not blocked for ever";
  node_.pods[0].containers.insert(node_.pods[0].containers.begin(), container("app", 171));
  node_.give();
  EXPECT_THAT(hit(), ElementsAre(171));
}

// It comes back without its containers, which start a moment later.
TEST_F(LinkContainers, RestartedPodIsHitAsSoonAsItsContainerIsThere) {
  begin(held_to({"app"}));
  node_.pods[0] = pod("a", 5);
  node_.give();
  EXPECT_THAT(hit(), IsEmpty());
  node_.pods[0].containers = {container("app", 271)};
  node_.give();
  EXPECT_THAT(hit(), ElementsAre(271));
  EXPECT_EQ(node_.world.count("measure shop/a"), 2);
}

}  // namespace
}  // namespace faultline::agent::test
