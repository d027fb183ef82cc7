// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultline::controller {
namespace {

using testing::HasSubstr;

api::PodRef pod(const std::string& name, const std::string& workload, bool ready = true) {
  api::PodRef made{"shop", name, "node-1", {}};
  made.workload = workload;
  made.ready = ready;
  return made;
}

std::vector<api::PodRef> payments(std::size_t count) {
  std::vector<api::PodRef> pods;
  for (std::size_t i = 0; i < count; ++i)
    pods.push_back(pod("payments-" + std::to_string(i), "Deployment/payments"));
  return pods;
}

std::vector<api::PodRef> first(std::vector<api::PodRef> pods, std::size_t count) {
  pods.resize(count);
  return pods;
}

api::Experiment on(const std::string& space) {
  api::Experiment experiment;
  experiment.spec.target.selector.namespaces = {space};
  return experiment;
}

void refused(const Result<>& result, const std::string& says) {
  ASSERT_FALSE(result) << says;
  EXPECT_EQ(result.error().code, Errc::kDenied);
  EXPECT_THAT(result.error().message, HasSubstr(says));
}

TEST(PolicyRules, NamespacesOptOutByTheirLabel) {
  Rules rules{.origin = "ConfigMap faultline-policy",
              .namespaces = {{"shop", {}}, {"bank", {{"faultline.dev/experiments", "disabled"}}}},
              .knows_namespaces = true};
  EXPECT_TRUE(allows(rules, on("shop")));
  refused(allows(rules, on("bank")), "namespace bank has opted out by its label");
  refused(allows(rules, on("kube-system")),
          "rule protectedNamespaces of ConfigMap faultline-policy");
}

TEST(PolicyRules, NamespacesOptInByTheirLabel) {
  Rules rules{.namespaces = {{"shop", {{"faultline.dev/experiments", "enabled"}}}, {"bank", {}}},
              .knows_namespaces = true};
  rules.policy.namespaceAccess = api::NamespaceAccess::opt_in;
  EXPECT_TRUE(allows(rules, on("shop")));
  refused(allows(rules, on("bank")), "labels it faultline.dev/experiments=enabled");
  refused(allows(rules, on("unheard-of")), "namespace unheard-of is not known");
}

TEST(PolicyRules, InAClusterWhoseNamespacesAreNotKnownYetEveryOneIsClosed) {
  Rules rules{.in_cluster = true};
  const auto start = allows(rules, on("shop"));
  ASSERT_FALSE(start);
  EXPECT_EQ(start.error().code, Errc::kUnavailable);
  EXPECT_NE(why_closed(rules, "shop"), "");
  EXPECT_NE(why_protected(rules, pod("a", "")), "");
  rules.knows_namespaces = true;
  refused(allows(rules, on("shop")), "namespace shop is not known");
  rules.namespaces["shop"];
  EXPECT_TRUE(allows(rules, on("shop")));
}

TEST(PolicyRules, AWholeRunIsNotLongerThanAllowed) {
  Rules rules;
  api::Experiment experiment = on("shop");
  experiment.spec.phases.baseline.value = std::chrono::hours(24);
  experiment.spec.phases.fault.value = std::chrono::seconds(1);
  experiment.spec.phases.recovery.value = std::chrono::hours(24);
  refused(allows(rules, experiment), "rule maxRunDuration of");
  experiment.spec.phases.baseline.value = std::chrono::minutes(30);
  experiment.spec.phases.recovery.value = std::chrono::minutes(30);
  EXPECT_TRUE(allows(rules, experiment));
}

TEST(PolicyRules, WithoutKubernetesNoNamespaceHasLabels) {
  Rules rules;
  rules.policy.namespaceAccess = api::NamespaceAccess::opt_in;
  EXPECT_TRUE(allows(rules, on("shop")));
}

TEST(PolicyRules, LabelOrAnnotationProtectsAPod) {
  const Rules rules;
  api::PodRef by_label = pod("a", ""), by_annotation = pod("b", ""), neither = pod("c", "");
  by_label.labels["faultline.dev/protected"] = "true";
  by_annotation.isProtected = true;
  neither.labels["faultline.dev/protected"] = "false";
  EXPECT_THAT(why_protected(rules, by_label), HasSubstr("pod shop/a is marked"));
  EXPECT_THAT(why_protected(rules, by_annotation), HasSubstr("pod shop/b is marked"));
  EXPECT_EQ(why_protected(rules, neither), "");
}

TEST(PolicyRules, FaultsAreNotLongerThanAllowed) {
  Rules rules;
  rules.policy.maxDuration.value = std::chrono::minutes(15);
  api::Experiment experiment = on("shop");
  experiment.spec.phases.fault.value = std::chrono::minutes(15);
  EXPECT_TRUE(allows(rules, experiment));
  experiment.spec.phases.fault.value += std::chrono::seconds(1);
  refused(allows(rules, experiment), "spec.phases.fault is 15m1s, and at most 15m is allowed");
}

TEST(PolicyRules, NoMorePodsThanAllowedAndNoLargerPartOfAWorkload) {
  Rules rules;
  rules.policy.maxPods = 3;
  rules.policy.maxPercentOfWorkload = 30;
  const auto all = payments(10);
  const api::Experiment experiment = on("shop");
  EXPECT_TRUE(allows_targets(rules, experiment, first(all, 3), all));
  refused(allows_targets(rules, experiment, first(all, 4), all),
          "4 pods would be hit, and at most 3");
  rules.policy.maxPods = 100;
  refused(allows_targets(rules, experiment, first(all, 4), all),
          "4 of 10 pods of Deployment/payments in shop would be hit, and at most 3");
  const auto two = payments(2);
  EXPECT_TRUE(allows_targets(rules, experiment, first(two, 1), two)) << "one is always allowed";
}

TEST(PolicyRules, EveryReadyPodOfAWorkloadOnlyWhenAskedFor) {
  Rules rules;
  auto all = payments(3);
  all[2].ready = false;
  api::Experiment experiment = on("shop");
  EXPECT_TRUE(allows_targets(rules, experiment, first(all, 1), all));
  refused(allows_targets(rules, experiment, first(all, 2), all),
          "every ready pod of Deployment/payments in shop would be hit (2 of 2)");
  refused(allows_targets(rules, experiment, first(all, 2), all), "spec.limits.allReadyPods: true");
  experiment.spec.limits.allReadyPods = true;
  EXPECT_TRUE(allows_targets(rules, experiment, first(all, 2), all));
  rules.policy.allowAllReadyPods = false;
  refused(allows_targets(rules, experiment, first(all, 2), all), "rule allowAllReadyPods");
}

TEST(PolicyRules, PodsOfNoWorkloadAreCountedForNone) {
  const Rules rules;
  const std::vector<api::PodRef> all{pod("alone", "")};
  EXPECT_TRUE(allows_targets(rules, on("shop"), all, all));
}

}  // namespace
}  // namespace faultline::controller
