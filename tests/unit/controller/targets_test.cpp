// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/targets.h"

#include <gmock/gmock.h>

#include <set>

#include "controller/engine/dice.h"
#include "fixtures.h"

namespace faultline::controller::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> ids(const std::vector<api::PodRef>& pods) {
  std::vector<std::string> out;
  for (const api::PodRef& pod : pods) out.push_back(pod.id());
  return out;
}

// n1: payments-0, payments-1, checkout-0, cart-0..4; n2: payments-2, payments-3; and one of
// kube-system that calls itself payments.
Cluster shop() {
  Cluster cluster;
  KnownNode n1{"n1", node_info("n1"), {}}, n2{"n2", node_info("n2", {"networkLoss"}), {}};
  const auto app = [](std::string name) {
    return std::map<std::string, std::string>{{"app", std::move(name)}};
  };
  n1.pods = {pod("shop", "payments-0", "n1", app("payments")),
             pod("shop", "payments-1", "n1", app("payments")),
             pod("shop", "checkout-0", "n1", app("checkout")),
             pod("kube-system", "dns-0", "n1", app("payments"))};
  for (int i = 0; i < 5; ++i)
    n1.pods.push_back(pod("shop", "cart-" + std::to_string(i), "n1", app("cart")));
  n2.pods = {pod("shop", "payments-2", "n2", app("payments")),
             pod("shop", "payments-3", "n2", app("payments")),
             pod("shop", "idle-0", "n2", app("idle"))};
  cluster.nodes = {n1, n2};
  return cluster;
}

std::string target(const std::string& mode, const std::string& limits = "{maxPercent: 100}",
                   const std::string& selector =
                       "{namespaces: [shop], labelSelectors: {app: "
                       "payments}}") {
  return "  target: {selector: " + selector + ", mode: " + mode + "}\n  limits: " + limits + "\n";
}

std::string refusal(const std::string& spec, const Cluster& cluster, Errc code) {
  const auto plan = resolve(experiment(spec), cluster);
  EXPECT_FALSE(plan) << spec;
  if (plan) return "";
  EXPECT_EQ(plan.error().code, code) << plan.error().message;
  EXPECT_EQ(plan.error().message.find('\n'), std::string::npos);
  return plan.error().message;
}

struct ModeCase {
  const char* mode;
  std::size_t least, most;
};
class Modes : public testing::TestWithParam<ModeCase> {};

TEST_P(Modes, ChooseAsManyAsTheySay) {
  const auto [mode, least, most] = GetParam();
  std::set<std::size_t> counts;
  for (int seed = 1; seed <= 60; ++seed) {
    const auto plan =
        resolve(experiment(target(mode) + "  seed: " + std::to_string(seed) + "\n"), shop());
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->matching, 4);
    counts.insert(plan->targets.size());
    for (const api::PodRef& pod : plan->targets) EXPECT_EQ(pod.labels.at("app"), "payments");
  }
  EXPECT_EQ(*counts.begin(), least);
  EXPECT_EQ(*counts.rbegin(), most);
}
INSTANTIATE_TEST_SUITE_P(All, Modes,
                         testing::Values(ModeCase{"one", 1, 1}, ModeCase{"all", 4, 4},
                                         ModeCase{"fixed, value: \"3\"", 3, 3},
                                         ModeCase{"fixed-percent, value: \"50\"", 2, 2},
                                         ModeCase{"fixed-percent, value: \"74\"", 2, 2},
                                         ModeCase{"random-max-percent, value: \"75\"", 1, 3},
                                         ModeCase{"random-max-percent, value: \"10\"", 1, 1}));

TEST(Targets, SameSeedChoosesTheSamePodsAndOtherSeedsOthers) {
  std::set<std::string> chosen;
  for (int seed = 1; seed <= 40; ++seed) {
    const auto spec = experiment(target("one") + "  seed: " + std::to_string(seed) + "\n");
    const auto first = resolve(spec, shop()), second = resolve(spec, shop());
    ASSERT_TRUE(first && second);
    EXPECT_EQ(ids(first->targets), ids(second->targets));
    chosen.insert(first->targets[0].id());
  }
  EXPECT_EQ(chosen.size(), 4U) << "each pod has its turn";
}

TEST(Targets, SeedDecidesTheSameOnEveryMachine) {
  // Written down once: a change would change what a recorded seed means.
  Dice dice(42);
  EXPECT_EQ(dice.next(), 13679457532755275413U);
  const auto plan = resolve(experiment(target("fixed, value: \"2\"")), shop());
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->seed, 42U);
}

struct LimitCase {
  const char* mode;
  const char* limits;
  std::int64_t allowed;
  const char* raise;  // what the refusal asks for; empty: none
};
class LimitsOf4 : public testing::TestWithParam<LimitCase> {};

TEST_P(LimitsOf4, AreEnforcedAndTheRefusalSaysWhatToRaise) {
  const auto& c = GetParam();
  const auto plan = resolve(experiment(target(c.mode, c.limits)), shop());
  if (*c.raise == '\0') {
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->allowed, c.allowed);
    return;
  }
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, Errc::kDenied);
  EXPECT_THAT(plan.error().message, HasSubstr("blast radius"));
  EXPECT_THAT(plan.error().message, HasSubstr("allow " + std::to_string(c.allowed) + " "));
  EXPECT_THAT(plan.error().message, HasSubstr(std::string("raise ") + c.raise + ", or"));
}
INSTANTIATE_TEST_SUITE_P(
    All, LimitsOf4,
    testing::Values(
        LimitCase{"all", "{maxPods: 4, maxPercent: 100}", 4, ""},
        LimitCase{"all", "{maxPods: 3, maxPercent: 100}", 3, "spec.limits.maxPods to 4"},
        LimitCase{"all", "{maxPods: 5, maxPercent: 50}", 2, "spec.limits.maxPercent to 100"},
        LimitCase{"fixed, value: \"3\"", "{maxPods: 5, maxPercent: 50}", 2,
                  "spec.limits.maxPercent to 75"},
        LimitCase{"all", "{maxPods: 1, maxPercent: 50}", 1,
                  "spec.limits.maxPods to 4 and spec.limits.maxPercent to 100"},
        LimitCase{"one", "{maxPods: 5, maxPercent: 1}", 1, ""},
        LimitCase{"fixed, value: \"2\"", "{maxPods: 5, maxPercent: 50}", 2, ""}));

TEST(Targets, TheRaiseThatARefusalAsksForIsEnough) {
  // 2 of 3 are 66.7 %: rounded the wrong way, the next try would be refused again.
  Cluster cluster = shop();
  cluster.nodes[1].pods.erase(cluster.nodes[1].pods.begin());
  EXPECT_THAT(refusal(target("fixed, value: \"2\"", "{maxPercent: 50}"), cluster, Errc::kDenied),
              HasSubstr("maxPercent to 67"));
  EXPECT_TRUE(resolve(experiment(target("fixed, value: \"2\"", "{maxPercent: 67}")), cluster));
}

TEST(Targets, AllowedTargetsIsExactForPercentagesWithoutBinaryForm) {
  EXPECT_EQ(api::allowed_targets({.maxPods = 100, .maxPercent = 58}, 50), 29);
  EXPECT_EQ(api::allowed_targets({.maxPods = 100, .maxPercent = 57.9}, 50), 28);
  EXPECT_EQ(api::allowed_targets({.maxPods = 5, .maxPercent = 50}, 1), 1);
  EXPECT_EQ(api::allowed_targets({.maxPods = 5, .maxPercent = 50}, 3), 1);
}

TEST(Targets, ProtectedNamespacesAreNeverTargets) {
  const std::string all = "{labelSelectors: {app: payments}}";
  const auto plan = resolve(experiment(target("all", "{maxPercent: 100}", all)), shop());
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->matching, 4) << "the fifth is in kube-system";
  EXPECT_THAT(ids(plan->targets), testing::Not(testing::Contains("kube-system/dns-0")));

  EXPECT_THAT(
      refusal(target("all", "{}", "{namespaces: [shop, kube-system]}"), shop(), Errc::kDenied),
      HasSubstr("namespace kube-system is protected"));
  EXPECT_THAT(refusal(target("all", "{}", "{pods: {faultline: [agent-0]}}"), shop(), Errc::kDenied),
              HasSubstr("namespace faultline is protected"));
  Cluster only_system = shop();
  std::erase_if(only_system.nodes[0].pods,
                [](const api::PodRef& p) { return p.name.starts_with("payments"); });
  only_system.nodes.pop_back();
  EXPECT_THAT(
      refusal(target("all", "{}", all), only_system, Errc::kDenied),
      HasSubstr("namespace kube-system is protected: its pods are never targets (rule "
                "protectedNamespaces of the controller's default policy); nothing else matches"));
}

TEST(Targets, ObservedPodsAreNotTargetsAndControlPodsAreNeither) {
  const auto plan = resolve(
      experiment(target("all", "{maxPercent: 100}", "{pods: {shop: [payments-0]}}") +
                 "  observe: [{namespaces: [shop], labelSelectors: {app: checkout}}, {namespaces: "
                 "[shop], labelSelectors: {app: payments}}]\n"),
      shop());
  ASSERT_TRUE(plan);
  EXPECT_THAT(ids(plan->targets), ElementsAre("shop/payments-0"));
  EXPECT_THAT(ids(plan->observed), ElementsAre("shop/checkout-0", "shop/payments-1",
                                               "shop/payments-2", "shop/payments-3"));
  EXPECT_THAT(ids(plan->control), ElementsAre("shop/cart-0", "shop/cart-1", "shop/cart-2"))
      << "three, of the target's node, none of kube-system";
}

TEST(Targets, ControlPodsAreDrawnByTheSeed) {
  const auto drawn = [](int seed) {
    const auto plan =
        resolve(experiment(target("one", "{maxPercent: 100}", "{pods: {shop: [payments-0]}}") +
                           "  seed: " + std::to_string(seed) + "\n"),
                shop());
    EXPECT_TRUE(plan);
    EXPECT_EQ(plan->control.size(), kMaxControlPods);
    return ids(plan->control);
  };
  std::set<std::string> ever;
  for (int seed = 1; seed <= 20; ++seed) {
    const std::vector<std::string> pods = drawn(seed);
    EXPECT_EQ(pods, drawn(seed));
    ever.insert(pods.begin(), pods.end());
  }
  EXPECT_TRUE(ever.contains("shop/cart-0") && ever.contains("shop/cart-4"));
}

TEST(Targets, APodIsHitByOneRunAtATimeAndSeenByAny) {
  Cluster cluster = shop();
  cluster.hits["shop/payments-0"] = "slow-1";
  cluster.hits["shop/cart-0"] = "slow-1";
  const std::string text = refusal(target("all"), cluster, Errc::kConflict);
  EXPECT_THAT(text, HasSubstr("shop/payments-0, a target of this one, is a target of run slow-1"));
  EXPECT_THAT(text, HasSubstr("faultline stop slow-1"));
  const auto other =
      resolve(experiment(target("all", "{}", "{pods: {shop: [payments-1]}}") +
                         "  observe: [{namespaces: [shop], labelSelectors: {app: payments}}]\n"),
              cluster);
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_THAT(ids(other->observed),
              ElementsAre("shop/payments-0", "shop/payments-2", "shop/payments-3"));
  EXPECT_THAT(ids(other->control), ElementsAre("shop/cart-1", "shop/cart-2", "shop/cart-3"))
      << "control pods are taken from those that nobody hits";
}

Cluster one_deployment() {
  Cluster cluster = shop();
  for (KnownNode& node : cluster.nodes)
    for (api::PodRef& pod : node.pods)
      if (pod.name.starts_with("payments")) {
        pod.workload = "Deployment/payments";
        pod.ready = true;
      }
  return cluster;
}

std::string only(const std::string& names) {
  return target("all", "{maxPercent: 100}", "{pods: {shop: [" + names + "]}}");
}

TEST(Targets, ThePolicysPercentOfAWorkloadHoldsForAllRunsTogether) {
  Cluster cluster = one_deployment();
  cluster.rules.policy.maxPercentOfWorkload = 50;
  EXPECT_TRUE(resolve(experiment(only("payments-2, payments-3")), cluster));
  cluster.hits["shop/payments-0"] = "slow-1";
  EXPECT_TRUE(resolve(experiment(only("payments-2")), cluster));
  EXPECT_THAT(refusal(only("payments-2, payments-3"), cluster, Errc::kDenied),
              HasSubstr("3 of 4 pods of Deployment/payments in shop would be hit, with those of "
                        "run slow-1, and at most 2 are allowed here"));
}

TEST(Targets, EveryReadyPodIsCountedOverAllRuns) {
  Cluster cluster = one_deployment();
  cluster.hits = {{"shop/payments-0", "slow-1"}, {"shop/payments-1", "slow-2"}};
  EXPECT_THAT(refusal(only("payments-2, payments-3"), cluster, Errc::kDenied),
              HasSubstr("every ready pod of Deployment/payments in shop would be hit (4 of 4, with "
                        "those of runs slow-1, slow-2)"));
}

TEST(Targets, ThePolicysMaxPodsHoldsForAllRunsTogether) {
  Cluster cluster = shop();
  cluster.rules.policy.maxPods = 3;
  cluster.hits = {{"shop/cart-0", "slow-1"}, {"bank/gone", "slow-2"}};
  EXPECT_TRUE(resolve(experiment(only("payments-2")), cluster));
  EXPECT_THAT(refusal(only("payments-2, payments-3"), cluster, Errc::kDenied),
              HasSubstr("4 pods would be hit by all runs together, 2 of them by this one, and at "
                        "most 3 are allowed here"));
}

TEST(Targets, WhileTheNamespacesOfTheClusterAreNotKnownNothingStarts) {
  Cluster cluster = shop();
  cluster.rules.in_cluster = true;
  EXPECT_THAT(refusal(only("payments-2"), cluster, Errc::kUnavailable),
              HasSubstr("the namespaces of the cluster are not known yet"));
  cluster.rules.knows_namespaces = true;
  EXPECT_THAT(refusal(only("payments-2"), cluster, Errc::kDenied),
              HasSubstr("namespace shop is not known"));
  cluster.rules.namespaces["shop"] = {};
  const auto plan = resolve(experiment(only("payments-2")), cluster);
  ASSERT_TRUE(plan);
}

TEST(Targets, InAClusterControlPodsAreOnlyThoseOfNamespacesThatAreNamed) {
  Cluster cluster = shop();
  cluster.comparable.emplace();
  const auto plan = resolve(experiment(only("payments-0")), cluster);
  ASSERT_TRUE(plan);
  EXPECT_THAT(plan->control, IsEmpty()) << "nothing is comparable is not everything";
}

TEST(Targets, RefusalsNameTheRuleTheValueAndWhatToChange) {
  EXPECT_THAT(refusal(target("fixed, value: \"5\""), shop(), Errc::kInvalid),
              HasSubstr("spec.target.value: mode fixed asks for 5 of 4 pods that match"));
  EXPECT_THAT(refusal(target("fixed-percent, value: \"20\""), shop(), Errc::kInvalid),
              HasSubstr("20 % of 4 pods that match is less than one; raise it, or use mode one"));
  EXPECT_THAT(
      refusal(target("one", "{}", "{labelSelectors: {app: paymnts}}"), shop(), Errc::kNotFound),
      HasSubstr("no pod matches spec.target.selector (app=paymnts"));
  EXPECT_THAT(refusal("", Cluster{}, Errc::kUnavailable), HasSubstr("start faultline-agent"));
  Cluster twice = shop();
  twice.nodes[1].pods.push_back(twice.nodes[0].pods[0]);
  twice.nodes[1].pods.back().node = "n2";
  EXPECT_THAT(refusal(target("all"), twice, Errc::kConflict),
              HasSubstr("shop/payments-0 is reported by two agents, n1 and n2"));
}

TEST(Targets, WhatNeedsAMonitoringIsRefusedNotIgnored) {
  EXPECT_THAT(
      refusal("  expect: {alerts: [{name: Slow, within: 60s}]}\n", shop(), Errc::kUnsupported),
      HasSubstr("spec.expect.alerts needs a Prometheus, and this controller has none: start it "
                "with --prometheus URL or --monitoring FILE"));
  EXPECT_THAT(refusal("  expect: {signals: [{promql: up, equals: request.rate}]}\n", shop(),
                      Errc::kUnsupported),
              HasSubstr("spec.expect.signals needs a Prometheus"));
  EXPECT_THAT(
      refusal("  abortWhen: [{effect: request.errors, above: 50%}, {promql: up, below: \"1\"}]\n",
              shop(), Errc::kUnsupported),
      HasSubstr("spec.abortWhen[1].promql needs a Prometheus"));
}

TEST(Targets, AFaultThatANodeCannotArmIsNamedWithTheAgentsReason) {
  Cluster cluster = shop();
  cluster.nodes[1].info.faults.push_back({"networkLatency", false, "", "TUN/TAP: No such device"});
  const auto plan = resolve(experiment(target("all")), cluster);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->unsupported.size(), 1U);
  const auto refused = require_supported(*plan);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_EQ(refused.error().message,
            "networkLatency on n2: not supported by this agent: TUN/TAP: No such device");

  const auto of_n1 =
      resolve(experiment(target("all", "{}", "{pods: {shop: [payments-0]}}")), cluster);
  ASSERT_TRUE(of_n1);
  EXPECT_THAT(of_n1->unsupported, IsEmpty()) << "n2 has no target";
  const auto unknown = resolve(experiment("  faults: [{processKill: {}}]\n" +
                                          target("all", "{}", "{pods: {shop: [payments-0]}}")),
                               cluster);
  ASSERT_TRUE(unknown);
  EXPECT_THAT(require_supported(*unknown).error().message,
              HasSubstr("processKill on n1: not supported by this agent: it is not built into"));
}

constexpr const char* kOnApp =
    "  target: {selector: {labelSelectors: {app: payments}, nodes: [n1]}, mode: all, "
    "containerNames: [NAMES]}\n  limits: {maxPercent: 100}\n"
    "  faults: [{socketError: {operations: [connect], errno: EACCES}}]\n";

std::string on(const std::string& names) {
  std::string text = kOnApp;
  return text.replace(text.find("NAMES"), 5, names);
}

// payments-0 and payments-1 of shop().
Cluster with_containers(std::vector<std::string> first, std::vector<std::string> second) {
  Cluster cluster = shop();
  cluster.nodes[0].info = node_info("n1", {"socketError"});
  cluster.nodes[0].pods[0].containers = std::move(first);
  cluster.nodes[0].pods[1].containers = std::move(second);
  return cluster;
}

TEST(ContainerNames, EveryTargetMustHaveOneOfThem) {
  const Cluster cluster = with_containers({"app", "log"}, {"app"});
  EXPECT_TRUE(resolve(experiment(on("app")), cluster));
  EXPECT_TRUE(resolve(experiment(on("app, log")), cluster));
  EXPECT_EQ(refusal(on("log"), cluster, Errc::kNotFound),
            "pod shop/payments-1 has no container log, which spec.target.containerNames names; "
            "expected one of app");
}

TEST(ContainerNames, ThatNoTargetHasIsRefusedWithTheNearest) {
  const Cluster cluster = with_containers({"app", "logger"}, {"app", "logger"});
  EXPECT_EQ(refusal(on("loger"), cluster, Errc::kNotFound),
            "pod shop/payments-0 has no container loger, which spec.target.containerNames names; "
            "expected one of app, logger; did you mean \"logger\"?");
  EXPECT_EQ(refusal(on("app, loger"), cluster, Errc::kNotFound),
            "no target has a container loger, which spec.target.containerNames names; "
            "expected one of app, logger; did you mean \"logger\"?");
}

TEST(ContainerNames, WhereTheAgentKnowsNoContainersItIsSaidSo) {
  EXPECT_EQ(refusal(on("app"), with_containers({}, {"app"}), Errc::kNotFound),
            "the agent of node n1 knows no container of shop/payments-0: list them in its pods "
            "file, or leave spec.target.containerNames out");
}

// What admission refuses before any pod is looked at.
std::string never(const std::string& spec, const Rules& rules,
                  const std::vector<const api::NodeInfo*>& nodes, Errc code) {
  const auto said = can_run(experiment(spec), rules, nodes);
  EXPECT_FALSE(said) << spec;
  if (said) return "";
  EXPECT_EQ(said.error().code, code) << said.error().message;
  return said.error().message;
}

TEST(NeverRuns, WhateverPodsThereAre) {
  const api::NodeInfo both = node_info("n1"), less = node_info("n2", {"networkLoss"});
  Rules rules;
  rules.policy.maxPods = 3;
  rules.policy.maxDuration = {std::chrono::minutes(1)};
  EXPECT_TRUE(can_run(experiment(), rules, {}));
  EXPECT_TRUE(can_run(experiment(), rules, {&less, &both})) << "one of them has it";
  EXPECT_THAT(never("", rules, {&less}, Errc::kUnsupported),
              HasSubstr("networkLatency: no connected agent supports it"));
  EXPECT_THAT(
      never("  expect: {alerts: [{name: High, within: 1m}]}\n", rules, {}, Errc::kUnsupported),
      HasSubstr("spec.expect.alerts"));
  EXPECT_THAT(never("  phases: {fault: 2m}\n", rules, {}, Errc::kDenied), HasSubstr("maxDuration"));
  const std::string four = "fixed, value: \"4\"";
  EXPECT_THAT(never(target(four, "{maxPods: 10}"), rules, {}, Errc::kDenied),
              HasSubstr("at most 3 are allowed (rule maxPods"));
  EXPECT_THAT(never(target(four, "{maxPods: 2}"), rules, {}, Errc::kDenied),
              HasSubstr("at most 2 are allowed (spec.limits.maxPods)"));
  EXPECT_TRUE(can_run(experiment(target("fixed, value: \"3\"", "{maxPods: 10}")), rules, {}));
}

}  // namespace
}  // namespace faultline::controller::test
