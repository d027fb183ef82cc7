// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/engine.h"

#include <gmock/gmock.h>

#include "fixtures.h"

namespace faultline::controller::test {
namespace {

using api::RunEventKind;
using api::RunState;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class EngineTest : public testing::Test {
 protected:
  EngineTest() : engine_({.first_revision = 1000, .random = [] { return 6; }}) {}

  api::SyncRequest hello(const std::string& node, const std::string& instance = "a") {
    api::SyncRequest request{.instance = instance};
    request.info = node_info(node);
    request.pods = {pod("shop", "payments-" + node, "", {{"app", "payments"}})};
    return request;
  }
  void connect(const std::string& node, const std::string& instance = "a") {
    ASSERT_TRUE(engine_.hello(node, hello(node, instance), clock_.now()));
  }
  std::string start(const std::string& more = "") {
    auto head = engine_.prepare(experiment(more), "person", clock_.now());
    if (!head) {
      ADD_FAILURE() << head.error().message;
      return "";
    }
    engine_.begin(head->run, clock_.now());
    return head->run;
  }
  // Goes through the baseline and arms the fault on `where`, a pod of n1.
  void arm(const std::string& run, const api::PodRef& where) {
    report("n1", run, RunEventKind::measuring);
    for (int i = 0; i < 20; ++i) {
      engine_.answered("n1", "a", clock_.after(milliseconds(500)));
      engine_.tick(clock_.now());
    }
    api::RunBatch armed{.run = run};
    api::InjectionStatus status = injection(where, 0, 0);
    status.armedAt = {clock_.now().utc};
    armed.injections = {status};
    armed.events = {event(RunEventKind::armed, clock_.now().utc)};
    engine_.apply("n1", "a", {{1, armed}}, clock_.now());
    ASSERT_EQ(engine_.find(run)->step(), RunStep::kFault);
  }
  void report(const std::string& node, const std::string& run, RunEventKind kind) {
    api::RunBatch batch{.run = run};
    batch.events = {event(kind, clock_.now().utc)};
    engine_.answered(node, "a", clock_.now());
    engine_.apply(node, "a", {{1, batch}}, clock_.now());
  }

  HandClock clock_;
  Engine engine_;
};

class Following : public EngineTest {
 protected:
  // Two pods match, one is hit, on n1 or n2.
  std::string begin(const std::string& follow, const std::string& more = "") {
    has("n1", {"web-1"});
    has("n2", {"web-2"});
    const std::string run = start(
        "  target: {selector: {namespaces: [shop]}, mode: one, follow: " + follow + "}\n" + more);
    const std::string node = engine_.find(run)->head().nodes.at(0).node;
    report(node, run, RunEventKind::measuring);
    pass(seconds(10));
    report(node, run, RunEventKind::armed);
    EXPECT_EQ(engine_.find(run)->step(), RunStep::kFault);
    return run;
  }
  void has(const std::string& node, const std::vector<std::string>& names) {
    api::SyncRequest request = hello(node);
    request.pods->clear();
    for (const std::string& name : names) request.pods->push_back(pod("shop", name, node));
    ASSERT_TRUE(engine_.hello(node, request, clock_.now()));
  }
  void pass(std::chrono::nanoseconds time) {
    for (; time > seconds(0); time -= milliseconds(500)) {
      clock_.after(milliseconds(500));
      for (const char* node : {"n1", "n2"}) engine_.answered(node, "a", clock_.now());
      engine_.tick(clock_.now());
    }
  }
  std::vector<std::string> wanted(const std::string& node) {
    std::vector<std::string> names;
    for (const api::DesiredRun& run : engine_.desired(node, "a", clock_.now()))
      for (const api::RunPod& pod : run.pods)
        if (pod.role == api::PodRole::target) names.push_back(pod.pod.name);
    return names;
  }
};

TEST_F(Following, AnotherPodTakesThePlaceOfOneThatIsGone) {
  const std::string run = begin("true");
  const std::string hit = engine_.find(run)->head().nodes.at(0).node;
  const std::string other = hit == "n1" ? "n2" : "n1";
  EXPECT_THAT(wanted(other), IsEmpty());
  has(hit, {"web-9"});  // another one in its place, on the same node
  pass(seconds(1));
  const auto here = wanted(hit), there = wanted(other);
  EXPECT_EQ(here.size() + there.size(), 1U) << "as many as before";
  EXPECT_THAT(here, testing::Not(Contains(hit == "n1" ? "web-1" : "web-2")));
  const auto& pods = engine_.find(run)->head().pods;
  EXPECT_TRUE(pods.front().leftAt.set());
  EXPECT_TRUE(std::ranges::any_of(pods, [](const auto& p) { return p.joinedAt.set(); }));
  for (const api::DesiredRun& told :
       engine_.desired(there.empty() ? hit : other, "a", clock_.now()))
    EXPECT_EQ(told.targets, 1) << "or the agent's own limit would refuse it";
}

TEST_F(Following, WithoutItNobodyDoes) {
  const std::string run = begin("false");
  const std::string hit = engine_.find(run)->head().nodes.at(0).node;
  has(hit, {"web-9"});
  pass(seconds(2));
  EXPECT_EQ(engine_.find(run)->head().pods.size(),
            1U + static_cast<std::size_t>(std::ranges::count(
                     engine_.find(run)->head().pods, api::PodRole::control, &api::RunPod::role)));
}

TEST_F(Following, AnAgentThatIsSilentLosesNoPod) {
  const std::string run = begin("true");
  const std::string hit = engine_.find(run)->head().nodes.at(0).node;
  clock_.after(seconds(4));
  for (const char* node : {"n1", "n2"})
    if (hit != node) engine_.answered(node, "a", clock_.now());
  engine_.tick(clock_.now());
  for (const api::RunPod& pod : engine_.find(run)->head().pods) EXPECT_FALSE(pod.leftAt.set());
}

TEST_F(Following, NobodyJoinsBeyondTheLimits) {
  has("n1", {"web-1"});
  has("n2", {"web-2"});
  const std::string run = start(
      "  target: {selector: {namespaces: [shop]}, mode: all, follow: true}\n"
      "  limits: {maxPods: 2, maxPercent: 100}\n");
  for (const char* node : {"n1", "n2"}) report(node, run, RunEventKind::measuring);
  pass(seconds(1));
  has("n2", {"web-2", "web-3"});
  pass(seconds(1));
  EXPECT_EQ(engine_.find(run)->head().pods.size(), 2U);
  has("n1", {});
  pass(seconds(1));
  EXPECT_EQ(wanted("n2").size(), 2U) << "one has made room";
}

TEST_F(EngineTest, AsksAnUnknownAgentWhatItIs) {
  api::SyncRequest request{.instance = "a"};
  EXPECT_TRUE(*engine_.hello("n1", request, clock_.now()));
  EXPECT_EQ(engine_.connected(clock_.now()), 0U) << "nothing is known of its pods";
  EXPECT_FALSE(*engine_.hello("n1", hello("n1"), clock_.now()));
  EXPECT_FALSE(*engine_.hello("n1", request, clock_.now())) << "once is enough";
  EXPECT_TRUE(*engine_.hello("n1", {.instance = "b"}, clock_.now())) << "another process";
}

TEST_F(EngineTest, ANodeIsConnectedWhileItsSyncIsHeldAndForALeaseAfter) {
  connect("n1");
  engine_.hold("n1");
  EXPECT_EQ(engine_.connected(clock_.after(seconds(20))), 1U);
  engine_.release("n1");
  engine_.answered("n1", "a", clock_.now());
  EXPECT_EQ(engine_.connected(clock_.after(seconds(3))), 1U);
  EXPECT_EQ(engine_.connected(clock_.after(milliseconds(1))), 0U);
  EXPECT_EQ(engine_.plan(experiment(), clock_.now()).error().code, Errc::kUnavailable);
}

TEST_F(EngineTest, ANodeNameThatIsNoneIsRefused) {
  for (const char* name : {"", "a b", "a/b", "a\n"})
    EXPECT_EQ(engine_.hello(name, hello("n1"), clock_.now()).error().code, Errc::kInvalid) << name;
}

TEST_F(EngineTest, TwoAgentsWithOneNameAreToldSo) {
  connect("n1", "a");
  connect("n1", "b");
  const auto back = engine_.hello("n1", hello("n1", "a"), clock_.now());
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code, Errc::kConflict);
  EXPECT_THAT(back.error().message, HasSubstr("another agent calls itself n1"));
  EXPECT_TRUE(engine_.is_current("n1", "b"));
  EXPECT_TRUE(engine_.hello("n1", hello("n1", "a"), clock_.after(seconds(4))))
      << "b is gone: a may come back";
}

TEST_F(EngineTest, ARunRaisesTheRevisionOfItsNodesOnly) {
  connect("n1");
  api::SyncRequest other = hello("n2");
  other.pods->at(0).labels["app"] = "other";
  ASSERT_TRUE(engine_.hello("n2", other, clock_.now()));
  (void)engine_.take_changes();
  EXPECT_EQ(engine_.revision("n1"), 1000U);
  const std::string run = start();
  EXPECT_GT(engine_.revision("n1"), 1000U);
  EXPECT_EQ(engine_.revision("n2"), 1000U);
  const Changes changes = engine_.take_changes();
  EXPECT_THAT(changes.nodes, testing::ElementsAre("n1"));
  EXPECT_THAT(changes.runs, testing::ElementsAre(run));
  EXPECT_EQ(engine_.desired("n1", "a", clock_.now()).size(), 1U);
  EXPECT_THAT(engine_.desired("n2", "a", clock_.now()), IsEmpty());
  EXPECT_THAT(engine_.take_changes().nodes, IsEmpty()) << "told once";
}

TEST_F(EngineTest, APreparedRunHoldsItsPodsAndIsNotTold) {
  connect("n1");
  const auto head = engine_.prepare(experiment(), "person", clock_.now());
  ASSERT_TRUE(head);
  EXPECT_THAT(engine_.desired("n1", "a", clock_.now()), IsEmpty());
  EXPECT_EQ(engine_.prepare(experiment(), "person", clock_.now()).error().code, Errc::kConflict);
  engine_.drop(head->run);
  EXPECT_TRUE(engine_.prepare(experiment(), "person", clock_.now()));
}

class TwoRuns : public EngineTest {
 protected:
  // n1 has two payments and three others.
  void SetUp() override {
    api::SyncRequest request = hello("n1");
    request.pods = {pod("shop", "payments-0", "", {{"app", "payments"}}),
                    pod("shop", "payments-1", "", {{"app", "payments"}}),
                    pod("shop", "cart-0", "", {{"app", "cart"}}),
                    pod("bank", "vault-0", "", {{"app", "vault"}}),
                    pod("bank", "vault-1", "", {{"app", "vault"}})};
    ASSERT_TRUE(engine_.hello("n1", request, clock_.now()));
  }
  static std::string on(const std::string& space, const std::string& name,
                        const std::string& more = "") {
    return "  target: {selector: {pods: {" + space + ": [" + name + "]}}, mode: all}\n" + more;
  }
  api::RunPod of(const std::string& run, const std::string& id) {
    for (const api::RunPod& pod : engine_.find(run)->head().pods)
      if (pod.pod.id() == id) return pod;
    return {};
  }
};

TEST_F(TwoRuns, ControlPodsAndObservedPodsHoldNobodyUp) {
  const std::string first = start(on("shop", "payments-0", "  observe: [{namespaces: [bank]}]\n"));
  EXPECT_EQ(of(first, "bank/vault-0").role, api::PodRole::observed);
  EXPECT_EQ(of(first, "shop/payments-1").role, api::PodRole::control);
  EXPECT_NE(start(on("bank", "vault-0")), "");
  EXPECT_NE(start(on("shop", "payments-1")), "");
  EXPECT_EQ(engine_.prepare(experiment(on("shop", "payments-0")), "p", clock_.now()).error().code,
            Errc::kConflict);
}

TEST_F(TwoRuns, AControlPodThatAnotherRunHitsIsNoneAnyMoreAndItIsTold) {
  const std::string first = start(on("shop", "payments-0"));
  ASSERT_EQ(of(first, "bank/vault-0").role, api::PodRole::control);
  EXPECT_FALSE(of(first, "bank/vault-0").leftAt.set());
  const std::string second = start(on("bank", "vault-0"));
  EXPECT_TRUE(of(first, "bank/vault-0").leftAt.set());
  for (const api::DesiredRun& told : engine_.desired("n1", "a", clock_.now()))
    if (told.run == first) {
      for (const api::RunPod& pod : told.pods) EXPECT_NE(pod.pod.id(), "bank/vault-0");
    }
  ASSERT_EQ(engine_.find(first)->head().gaps.size(), 1U);
  EXPECT_EQ(engine_.find(first)->head().gaps[0].reason,
            "run " + second + " hits this pod: it is no control pod any more");
}

TEST_F(TwoRuns, AnObservedPodThatAnotherRunHitsIsRemarkedWhileItDoes) {
  const std::string seen = "  observe: [{namespaces: [bank]}]\n";
  const std::string first = start(on("shop", "payments-0", seen));
  clock_.after(seconds(1));
  const std::string second = start(on("bank", "vault-0"));
  const std::string third = start(on("shop", "payments-1", seen));  // it is hit already
  for (const std::string& run : {first, third}) {
    ASSERT_FALSE(engine_.find(run)->head().gaps.empty());
    const api::Gap& gap = engine_.find(run)->head().gaps[0];
    EXPECT_EQ(gap.pod, "bank/vault-0");
    EXPECT_EQ(gap.from.value, clock_.now().utc);
    EXPECT_FALSE(gap.to.set());
    EXPECT_THAT(gap.reason, HasSubstr("run " + second + " hits this pod"));
  }
  ASSERT_TRUE(engine_.stop(second, "stopped", Recovery::kNone, clock_.after(seconds(2))));
  report("n1", second, RunEventKind::closed);
  engine_.tick(clock_.now());
  EXPECT_EQ(engine_.find(first)->head().gaps[0].to.value, clock_.now().utc);
  EXPECT_EQ(engine_.find(first)->head().gaps.size(), 2U) << "and payments-1, a control pod of it";
}

TEST_F(EngineTest, SeedZeroIsChosenAndRecorded) {
  connect("n1");
  const auto head = engine_.prepare(experiment("  seed: 0\n"), "person", clock_.now());
  ASSERT_TRUE(head);
  EXPECT_EQ(head->experiment.spec.seed, 7U);
  EXPECT_EQ(engine_.plan(experiment("  seed: 9\n"), clock_.now()).error().code, Errc::kConflict);
}

// What a person agrees to is what is hit, or nothing.
TEST_F(EngineTest, HitsThePodsOfThePlanThatWasAgreedToOrNone) {
  const std::string one = "  target: {selector: {namespaces: [shop]}, mode: one}\n  seed: 0\n";
  for (const char* node : {"n1", "n2", "n3"}) connect(node);
  const auto plan = engine_.plan(experiment(one), clock_.now());
  ASSERT_TRUE(plan) << plan.error().message;
  api::Experiment agreed = experiment(one);
  agreed.spec.seed = plan->seed;
  agreed.metadata.annotations[std::string(api::kChoiceNote)] = plan->choice;
  const auto head = engine_.prepare(agreed, "person", clock_.now());
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->pods.at(0).pod.id(), plan->targets.at(0).id());
  engine_.drop(head->run);

  // The pod that was shown is gone, and the seed chooses another.
  api::SyncRequest empty = hello(plan->targets.at(0).node);
  empty.pods = std::vector<api::PodRef>{};
  ASSERT_TRUE(engine_.hello(plan->targets.at(0).node, empty, clock_.now()));
  const auto refused = engine_.prepare(agreed, "person", clock_.now());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kConflict);
  EXPECT_THAT(refused.error().message, HasSubstr("the pods have changed since the plan was shown"));
  EXPECT_THAT(refused.error().message, HasSubstr("it would be shop/payments-n"));
  const auto again = engine_.plan(agreed, clock_.now());
  ASSERT_TRUE(again) << "a plan is shown, whatever was agreed to before";
  EXPECT_NE(again->choice, plan->choice);
  EXPECT_EQ(again->seed, plan->seed);
}

TEST_F(EngineTest, APodOfTheSameNameOnAnotherNodeIsAnotherChoice) {
  connect("n1");
  const auto before = engine_.plan(experiment(), clock_.now());
  ASSERT_TRUE(before);
  api::SyncRequest moved = hello("n2");
  moved.pods = {pod("shop", "payments-n1", "", {{"app", "payments"}})};
  api::SyncRequest empty = hello("n1");
  empty.pods = std::vector<api::PodRef>{};
  ASSERT_TRUE(engine_.hello("n1", empty, clock_.now()));
  ASSERT_TRUE(engine_.hello("n2", moved, clock_.now()));
  const auto after = engine_.plan(experiment(), clock_.now());
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->targets.at(0).id(), before->targets.at(0).id());
  EXPECT_NE(after->choice, before->choice);
}

TEST(EnginePlan, PromisesTheLeaseOfThisController) {
  Engine engine({.times = {.lease = seconds(15)}, .random = [] { return 6; }});
  HandClock clock;
  api::SyncRequest request{.instance = "a"};
  request.info = node_info("n1");
  request.pods = {pod("shop", "payments-n1", "", {{"app", "payments"}})};
  ASSERT_TRUE(engine.hello("n1", request, clock.now()));
  const auto plan = engine.plan(experiment(), clock.now());
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->leaseSeconds, 15);
}

TEST_F(EngineTest, RunsOfOneSecondHaveDifferentIds) {
  connect("n1");
  const auto first = engine_.prepare(experiment(), "person", clock_.now());
  ASSERT_TRUE(first);
  EXPECT_EQ(first->run, "slow-20261123T101502Z");
  engine_.drop(first->run);
  EXPECT_EQ(engine_.prepare(experiment(), "person", clock_.now())->run, "slow-20261123T101502Z-2");
}

TEST_F(EngineTest, ARunIsForgottenWhenItIsOverAndStored) {
  connect("n1");
  const std::string run = start();
  EXPECT_THAT(engine_.unsaved(), IsEmpty()) << "it was stored before it began";
  ASSERT_TRUE(engine_.stop("slow", "stopped by person", Recovery::kShort, clock_.now()));
  EXPECT_THAT(engine_.unsaved(), Contains(run));
  const std::uint64_t before_end = engine_.find(run)->head_version();
  report("n1", run, RunEventKind::closed);
  engine_.saved(run, before_end);
  ASSERT_NE(engine_.find(run), nullptr) << "the end is not stored yet";
  EXPECT_EQ(engine_.stop(run, "again", Recovery::kShort, clock_.now()).error().code,
            Errc::kNotFound);
  EXPECT_TRUE(engine_.prepare(experiment(), "person", clock_.now())) << "its pods are free";
  engine_.saved(run, engine_.find(run)->head_version());
  EXPECT_EQ(engine_.find(run), nullptr);
}

TEST_F(EngineTest, StoreFailureEndsAllRuns) {
  connect("n1");
  const std::string run = start();
  engine_.fail_all("the controller cannot store what is measured: disk full", clock_.now());
  EXPECT_THAT(engine_.desired("n1", "a", clock_.now()), IsEmpty());
  report("n1", run, RunEventKind::closed);
  EXPECT_EQ(engine_.find(run)->head().state, RunState::Failed);
}

// 100 requests a window, of which `errors` fail.
api::RunBatch fault_window(const std::string& run, const api::PodRef& where, UtcTime end,
                           double errors) {
  api::RunBatch batch{.run = run, .phase = api::RunPhase::fault};
  api::EffectWindow window{
      .pod = where, .phase = api::RunPhase::fault, .from = {end - seconds(1)}, .to = {end}};
  window.samples = {
      {.metric = "request.errors", .labels = {}, .numerator = errors, .denominator = 100}};
  batch.windows = {window};
  return batch;
}

TEST_F(EngineTest, AbortWhenEndsTheFaultWithinASecondOfTheMeasurement) {
  connect("n1");
  const std::string run = start("  abortWhen: [{effect: request.errors, above: 50%}]\n");
  const api::PodRef where = pod("shop", "payments-n1", "n1");
  arm(run, where);

  // 40 % is below the bound, however long it lasts.
  for (int i = 0; i < 12; ++i) {
    engine_.answered("n1", "a", clock_.after(seconds(1)));
    engine_.apply("n1", "a", {{1, fault_window(run, where, clock_.now().utc, 40)}}, clock_.now());
    engine_.tick(clock_.now());
  }
  EXPECT_EQ(engine_.find(run)->head().stateReason, "");
  // All of them fail: the last five seconds decide, not the whole fault.
  int took = 0;
  while (engine_.find(run)->head().stateReason.empty() && ++took < 20) {
    engine_.answered("n1", "a", clock_.after(seconds(1)));
    engine_.apply("n1", "a", {{1, fault_window(run, where, clock_.now().utc, 100)}}, clock_.now());
    engine_.tick(clock_.now());
  }
  EXPECT_LE(took, 2);
  EXPECT_THAT(engine_.find(run)->head().stateReason,
              HasSubstr("abortWhen request.errors above 50"));
  EXPECT_EQ(engine_.find(run)->ending(), RunState::Aborted);
}

TEST_F(EngineTest, AbortWhenOfWhatIsNotMeasuredDoesNotHoldAndSaysSoOnce) {
  connect("n1");
  const std::string run = start("  abortWhen: [{effect: request.errors, above: 50%}]\n");
  const api::PodRef where = pod("shop", "payments-n1", "n1");
  arm(run, where);
  for (int i = 0; i < 12; ++i) {
    engine_.answered("n1", "a", clock_.after(seconds(1)));
    api::RunBatch batch = fault_window(run, where, clock_.now().utc, 0);
    batch.windows[0].samples.clear();
    batch.gaps = {{"n1", where.id(), "request.errors", batch.windows[0].from, batch.windows[0].to,
                   "several requests at once"}};
    engine_.apply("n1", "a", {{1, batch}}, clock_.now());
    engine_.tick(clock_.now());
    if (i == 2) {
      EXPECT_THAT(engine_.find(run)->head().gaps, IsEmpty()) << "too early to say";
    }
  }
  EXPECT_EQ(engine_.find(run)->head().stateReason, "");
  ASSERT_EQ(engine_.find(run)->head().gaps.size(), 1U);
  EXPECT_THAT(engine_.find(run)->head().gaps[0].reason,
              HasSubstr("abortWhen request.errors above 50 % cannot hold: not measured on "
                        "shop/payments-n1: several requests at once"));
}

TEST_F(EngineTest, TimestampsAreMovedToOurClockAndPodsGetTheNodesName) {
  api::SyncRequest request = hello("n1");
  request.clockOffset = 2.0;
  request.clockRoundTrip = 0.001;
  ASSERT_TRUE(engine_.hello("n1", request, clock_.now()));
  const std::string run = start();
  api::RunBatch batch = fault_window(run, pod("shop", "payments-n1", "liar"), clock_.now().utc, 0);
  engine_.correct("n1", batch, clock_.now());
  EXPECT_EQ(batch.windows[0].to.value, clock_.now().utc - seconds(2));
  EXPECT_EQ(batch.windows[0].pod.node, "n1");
  EXPECT_DOUBLE_EQ(engine_.find(run)->head().nodes[0].clockOffset, 2.0);
  EXPECT_NEAR(engine_.find(run)->head().nodes[0].clockUncertainty, 0.0005, 1e-9);
}

}  // namespace
}  // namespace faultline::controller::test
