// SPDX-License-Identifier: Apache-2.0
// Whom a fault's peers stand for, over all nodes, and how a run follows it.
#include "controller/engine/peers.h"

#include <gmock/gmock.h>

#include "controller/engine/engine.h"
#include "controller/engine/scope.h"
#include "fixtures.h"

namespace faultline::controller::test {
namespace {

using api::RunEventKind;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

api::PodRef at(std::string name, std::string app, std::vector<std::string> addresses,
               std::string space = "shop") {
  api::PodRef p = pod(std::move(space), std::move(name), "", {{"app", std::move(app)}});
  p.addresses = std::move(addresses);
  return p;
}

const std::vector<api::PodRef> kOne{at("db-0", "db", {"10.0.1.5", "fd00::5"}),
                                    at("web-0", "web", {"10.0.1.6"})};
const std::vector<api::PodRef> kTwo{at("db-1", "db", {"10.0.2.5"})};
const PodLists kNodes{&kOne, &kTwo};

api::ExperimentSpec loss(const std::string& filter) {
  return experiment("  faults: [{networkLoss: {loss: 10%, " + filter + "}}]\n").spec;
}
const std::string kDb = "{namespaces: [shop], labelSelectors: {app: db}}";

TEST(Peers, AreTheAddressesOfAllNodesPodsInBothFamilies) {
  const auto found = resolve_peers(loss("peer: " + kDb), kNodes, {});
  ASSERT_THAT(found.sets, SizeIs(1));
  EXPECT_EQ(found.sets[0].index, 0);
  EXPECT_FALSE(found.sets[0].except);
  EXPECT_THAT(found.sets[0].addresses, ElementsAre("10.0.1.5", "10.0.2.5", "fd00::5"));
}

TEST(Peers, EachSelectorOfEachFaultHasItsOwnSet) {
  const auto spec = experiment(
                        "  faults: [{networkLatency: {latency: 1ms}}, {networkLoss: {loss: "
                        "10%, peer: " +
                        kDb +
                        ", except: {peer: {namespaces: [shop], "
                        "labelSelectors: {app: web}}}}}]\n")
                        .spec;
  const auto found = resolve_peers(spec, kNodes, {});
  ASSERT_THAT(found.sets, SizeIs(2));
  EXPECT_EQ(found.sets[0].index, 1);
  EXPECT_EQ(found.sets[1].index, 1);
  EXPECT_TRUE(found.sets[1].except);
  EXPECT_THAT(found.sets[1].addresses, ElementsAre("10.0.1.6"));
  EXPECT_TRUE(names_peers(spec));
  EXPECT_FALSE(names_peers(experiment().spec));
}

TEST(Peers, AServiceThatLeadsToThemIsReachedByItsAddresses) {
  const std::vector<KnownService> services{
      {"shop/db", {"10.96.0.7", "fd00:96::7"}, {"10.0.1.5", "10.0.2.5"}},
      {"shop/web", {"10.96.0.8"}, {"10.0.1.6"}},
      {"shop/all", {"10.96.0.9"}, {"10.0.1.5", "10.0.1.6"}},
      {"shop/none", {"10.96.0.10"}, {}}};
  const auto found = resolve_peers(loss("peer: " + kDb), kNodes, services);
  EXPECT_THAT(found.sets[0].addresses,
              ElementsAre("10.0.1.5", "10.0.2.5", "10.96.0.7", "fd00:96::7", "fd00::5"));
  EXPECT_THAT(found.left_out,
              ElementsAre("spec.faults[0].networkLoss.peer, Service shop/all: it leads to other "
                          "pods, too, so that packets to its address 10.96.0.9 are not hit"));
  // Whoever is to be left alone is so behind every Service that may lead to them.
  const auto spared = resolve_peers(loss("except: {peer: " + kDb + "}"), kNodes, services);
  EXPECT_THAT(spared.sets[0].addresses, testing::Contains("10.96.0.9"));
  EXPECT_THAT(spared.left_out, IsEmpty());
}

TEST(Peers, ASelectorThatStandsForNobodyIsRefusedByItsField) {
  const auto refusal = [](const std::string& filter, const PodLists& pods) {
    const auto spec = loss(filter);
    const auto known = peers_are_known(spec, pods, resolve_peers(spec, pods, {}));
    return known ? std::string() : known.error().message;
  };
  EXPECT_EQ(refusal("peer: " + kDb, kNodes), "");
  EXPECT_THAT(refusal("peer: {namespaces: [shop], labelSelectors: {app: dbb}}", kNodes),
              testing::AllOf(testing::StartsWith("spec.faults[0].networkLoss.peer: no pod matches"),
                             HasSubstr("so that nothing would be hit")));
  EXPECT_THAT(refusal("except: {peer: {namespaces: [ops]}}", kNodes),
              testing::AllOf(testing::StartsWith("spec.faults[0].networkLoss.except.peer: no pod"),
                             HasSubstr("nobody would be left alone")));
  const std::vector<api::PodRef> silent{at("db-0", "db", {})};
  EXPECT_THAT(refusal("peer: " + kDb, {&silent}), HasSubstr("no agent has told an address"));
  std::vector<api::PodRef> many;
  for (std::size_t i = 0; i <= kMostPeerAddresses; ++i)
    many.push_back(at("db-" + std::to_string(i), "db", {"fd00::" + std::to_string(i)}));
  EXPECT_THAT(refusal("peer: " + kDb, {&many}), HasSubstr("20001 addresses, at most 20000"));
}

TEST(Peers, AnExceptionsNamespaceIsSettledAndAskedForAsAPeers) {
  auto asked = experiment(
      "  faults: [{networkLoss: {loss: 10%, except: {peer: {labelSelectors: "
      "{app: probe}}}}}]\n");
  asked.metadata.namespace_ = "team";
  const auto settled = in_own_namespace(asked);
  EXPECT_THAT(scope_of(settled).seen, ElementsAre("team"));
  const auto named = experiment(
      "  faults: [{networkLoss: {loss: 10%, except: {peer: {namespaces: "
      "[monitoring]}}}}]\n");
  EXPECT_THAT(scope_of(named).seen, ElementsAre("monitoring"));
}

TEST(Peers, AQueryOfTheMonitoringIsARightOfItsOwn) {
  EXPECT_FALSE(
      scope_of(experiment("  expect: {alerts: [{name: HighLatency, within: 30s}]}\n")).queries);
  EXPECT_TRUE(
      scope_of(experiment("  expect: {signals: [{promql: up, equals: request.rate}]}\n")).queries);
  EXPECT_TRUE(scope_of(experiment("  abortWhen: [{promql: up, below: 1}]\n")).queries);
  EXPECT_FALSE(
      scope_of(experiment("  abortWhen: [{effect: request.errors, above: 10%}]\n")).queries);
}

class PeersOfARun : public testing::Test {
 protected:
  PeersOfARun() : engine_({.first_revision = 1000, .random = [] { return 6; }}) {
    tell("n1", {at("payments-0", "payments", {"10.0.1.2"}), at("db-0", "db", {"10.0.1.5"})});
    tell("n2", {at("db-1", "db", {"10.0.2.5"})});
  }
  void tell(const std::string& node, std::vector<api::PodRef> pods) {
    api::SyncRequest request{.instance = "a"};
    request.info = node_info(node);
    request.pods = std::move(pods);
    ASSERT_TRUE(engine_.hello(node, request, clock_.now()));
  }
  std::string start(const std::string& filter = "peer: " + kDb) {
    auto head = engine_.prepare(experiment("  faults: [{networkLoss: {loss: 10%, " + filter +
                                           "}}]\n  phases: {baseline: 300s}\n"),
                                "person", clock_.now());
    if (!head) {
      ADD_FAILURE() << head.error().message;
      return "";
    }
    engine_.begin(head->run, clock_.now());
    return head->run;
  }
  // Of the one selector, as n1 is told it; nothing: n1 is told nothing of it.
  std::optional<std::vector<std::string>> told() {
    const auto runs = engine_.desired("n1", "a", clock_.now());
    if (runs.empty() || runs[0].peers.empty()) return std::nullopt;
    return runs[0].peers[0].addresses;
  }
  void pass(std::chrono::nanoseconds time, const std::vector<std::string>& alive = {"n1", "n2"}) {
    for (; time > seconds(0); time -= milliseconds(500)) {
      clock_.after(milliseconds(500));
      for (const std::string& node : alive) engine_.answered(node, "a", clock_.now());
      engine_.tick(clock_.now());
    }
  }

  HandClock clock_;
  Engine engine_;
};

TEST_F(PeersOfARun, AgentsAreToldOfAllNodes) {
  start();
  EXPECT_THAT(told(), testing::Optional(ElementsAre("10.0.1.5", "10.0.2.5")));
}

TEST_F(PeersOfARun, AChangeOnAnotherNodeIsANewRevision) {
  start();
  const std::uint64_t before = engine_.revision("n1");
  (void)engine_.take_changes();
  tell("n2", {at("db-1", "db", {"10.0.2.9"}), at("db-2", "db", {"10.0.2.10"})});
  EXPECT_GT(engine_.revision("n1"), before);
  EXPECT_THAT(engine_.take_changes().nodes, testing::Contains("n1"));
  EXPECT_THAT(told(), testing::Optional(ElementsAre("10.0.1.5", "10.0.2.10", "10.0.2.9")));
  const std::uint64_t now = engine_.revision("n1");
  tell("n2", {at("db-1", "db", {"10.0.2.9"}), at("db-2", "db", {"10.0.2.10"}),
              at("other", "web", {"10.0.2.77"})});
  EXPECT_EQ(engine_.revision("n1"), now) << "nothing that the run is about";
}

TEST_F(PeersOfARun, ServicesAreFollowed) {
  start();
  engine_.services({{"shop/db", {"10.96.0.7"}, {"10.0.1.5", "10.0.2.5"}}}, clock_.now());
  EXPECT_THAT(told(), testing::Optional(ElementsAre("10.0.1.5", "10.0.2.5", "10.96.0.7")));
  const std::uint64_t before = engine_.revision("n1");
  engine_.services({{"shop/db", {"10.96.0.7"}, {"10.0.1.5", "10.0.2.5"}}}, clock_.now());
  EXPECT_EQ(engine_.revision("n1"), before);
  engine_.services({}, clock_.now());
  EXPECT_THAT(told(), testing::Optional(ElementsAre("10.0.1.5", "10.0.2.5")));
}

TEST_F(PeersOfARun, NobodyIsTheirPeerAnyMoreIsToldToo) {
  start();
  tell("n1", {at("payments-0", "payments", {"10.0.1.2"})});
  tell("n2", {});
  EXPECT_THAT(told(), testing::Optional(IsEmpty())) << "and not: we do not know";
}

TEST_F(PeersOfARun, ANodeThatIsSilentForLongHasNoPeersAnyMore) {
  const std::string run = start();
  api::RunBatch batch{.run = run};
  batch.events = {event(RunEventKind::measuring, clock_.now().utc)};
  engine_.answered("n1", "a", clock_.now());
  engine_.apply("n1", "a", {{1, batch}}, clock_.now());
  pass(seconds(30), {"n1"});
  EXPECT_THAT(told(), testing::Optional(ElementsAre("10.0.1.5", "10.0.2.5"))) << "for a moment";
  pass(seconds(40), {"n1"});
  EXPECT_THAT(told(), testing::Optional(ElementsAre("10.0.1.5")));
}

TEST_F(PeersOfARun, IsRefusedAtStartAndInThePlanWhenNobodyMatches) {
  const auto asked = experiment(
      "  faults: [{networkLoss: {loss: 10%, peer: {namespaces: [shop], "
      "labelSelectors: {app: dbb}}}}]\n");
  const auto plan = engine_.plan(asked, clock_.now());
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, Errc::kNotFound);
  EXPECT_THAT(plan.error().message, testing::StartsWith("spec.faults[0].networkLoss.peer: "));
  EXPECT_FALSE(engine_.prepare(asked, "person", clock_.now()));
}

TEST_F(PeersOfARun, ARecordHoldsNoAddresses) {
  const std::string run = start();
  for (const api::RunPod& pod : engine_.find(run)->head().pods)
    EXPECT_THAT(pod.pod.addresses, IsEmpty()) << pod.pod.id();
}

// A controller that goes on with a run knows no pods at first, and says nothing of peers then:
// agents keep those that they have.
TEST_F(PeersOfARun, ASuccessorSaysNothingUntilTheNodesHaveCome) {
  const std::string run = start();
  api::RunRecord head = engine_.find(run)->head();
  Engine next({.first_revision = 5000, .random = [] { return 6; }});
  next.adopt(controller::Run(head, {}, clock_.now()));
  const auto says = [&]() -> std::optional<std::size_t> {
    const auto runs = next.desired("n1", "a", clock_.now());
    if (runs.empty() || runs[0].peers.empty()) return std::nullopt;
    return runs[0].peers[0].addresses.size();
  };
  const auto hear = [&](const std::string& node, std::vector<api::PodRef> pods) {
    api::SyncRequest request{.instance = "a"};
    request.info = node_info(node);
    request.pods = std::move(pods);
    ASSERT_TRUE(next.hello(node, request, clock_.now()));
  };
  next.tick(clock_.now());
  hear("n1", {at("payments-0", "payments", {"10.0.1.2"}), at("db-0", "db", {"10.0.1.5"})});
  EXPECT_EQ(says(), std::nullopt);
  hear("n2", {at("db-1", "db", {"10.0.2.5"})});
  for (int i = 0; i < 11; ++i) {
    clock_.after(seconds(1));
    for (const char* node : {"n1", "n2"}) next.answered(node, "a", clock_.now());
    api::RunBatch batch{.run = run};
    batch.events = {event(RunEventKind::measuring, clock_.now().utc)};
    next.apply("n1", "a", {{static_cast<std::uint64_t>(i + 1), batch}}, clock_.now());
    next.tick(clock_.now());
  }
  EXPECT_EQ(says(), 2u);
}

}  // namespace
}  // namespace faultline::controller::test
