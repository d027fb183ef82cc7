// SPDX-License-Identifier: Apache-2.0
// What the cluster is told of a run, from its refusal to its verdict.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/engine/scope.h"
#include "controller/kubernetes/status.h"

namespace faultline::controller {
namespace {

using api::ConditionStatus;
using api::ConditionType;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

const UtcTime kT0{1'000'000s}, kT1{1'000'010s}, kT2{1'000'020s};

api::RunRecord injecting(api::InjectionState state = api::InjectionState::armed) {
  api::RunRecord head;
  head.run = "slow-1";
  head.state = api::RunState::Injecting;
  head.history = {{api::RunState::Pending, {kT0}, ""}, {api::RunState::Injecting, {kT1}, ""}};
  head.experiment.spec.faults.push_back({api::NetworkLatency{}});
  head.matching = 3;
  head.pods = {{{"shop", "web-0", "n1", {}}, api::PodRole::target},
               {{"shop", "cart-0", "n1", {}}, api::PodRole::control}};
  api::InjectionStatus injection;
  injection.pod = head.pods[0].pod;
  injection.fault = "networkLatency";
  injection.state = state;
  injection.reason = state == api::InjectionState::blocked ? "needs TUN/TAP" : "";
  injection.matched = 40;
  injection.injected = 10;
  head.nodes.push_back({.node = "n1", .injections = {injection}});
  return head;
}

const api::Condition& condition(const api::ExperimentStatus& status, ConditionType type) {
  for (const api::Condition& one : status.conditions)
    if (one.type == type) return one;
  throw std::runtime_error("no such condition");
}

TEST(ExperimentStatusOfARun, SaysWhoIsHitHowOftenAndWhatIsReached) {
  const auto status = run_status(injecting(), nullptr, {}, 1, kT2);
  EXPECT_EQ(status.phase, api::RunState::Injecting);
  EXPECT_EQ(status.pods, 1) << "the control pod is no target";
  ASSERT_EQ(status.targets.size(), 1U);
  EXPECT_EQ(status.targets[0].name, "web-0");
  ASSERT_EQ(status.injections.size(), 1U);
  EXPECT_EQ(status.injected, 10U);
  EXPECT_DOUBLE_EQ(status.injections[0].rate.value(), 0.25);
  EXPECT_FALSE(status.injections[0].verdict) << "not before the end";
  EXPECT_FALSE(status.verdict);
  EXPECT_EQ(condition(status, ConditionType::Selected).status, ConditionStatus::True);
  EXPECT_EQ(condition(status, ConditionType::Armed).status, ConditionStatus::True);
  EXPECT_EQ(condition(status, ConditionType::Recovered).status, ConditionStatus::Unknown);
  EXPECT_EQ(status.startedAt.value, kT0);
}

TEST(ExperimentStatusOfARun, WhatIsBlockedSaysWhy) {
  const auto status = run_status(injecting(api::InjectionState::blocked), nullptr, {}, 1, kT2);
  const auto& armed = condition(status, ConditionType::Armed);
  EXPECT_EQ(armed.status, ConditionStatus::False);
  EXPECT_THAT(armed.message, HasSubstr("networkLatency on shop/web-0: needs TUN/TAP"));
}

TEST(ExperimentStatusOfARun, ConditionsKeepTheirTimeWhileTheyStayTheSame) {
  const auto before = run_status(injecting(), nullptr, {}, 1, kT1);
  auto later = injecting();
  later.nodes[0].injections[0].injected = 20;
  const auto after = run_status(later, nullptr, before, 1, kT2);
  EXPECT_EQ(condition(after, ConditionType::Armed).lastTransitionTime.value, kT1);
  const auto ended = run_status(injecting(api::InjectionState::disarmed), nullptr, after, 1, kT2);
  EXPECT_EQ(condition(ended, ConditionType::Armed).status, ConditionStatus::False);
  EXPECT_EQ(condition(ended, ConditionType::Armed).lastTransitionTime.value, kT2);
}

TEST(ExperimentStatusOfARun, TheEndHasTheReportsVerdict) {
  auto head = injecting(api::InjectionState::disarmed);
  head.state = api::RunState::Completed;
  head.history.push_back({api::RunState::Completed, {kT2}, ""});
  api::Report report;
  report.verdict = api::RunVerdict::not_real;
  api::InjectionReport injection;
  injection.pod = "shop/web-0";
  injection.fault = "networkLatency";
  injection.verdict = api::InjectionVerdict::no_traffic;
  injection.reason = "nothing matched";
  report.injections.push_back(injection);
  report.residue = std::vector<std::string>{"BPF program fl_x"};
  const auto status = run_status(head, &report, {}, 1, kT2);
  EXPECT_EQ(status.verdict, api::RunVerdict::not_real);
  EXPECT_EQ(status.injections[0].verdict, api::InjectionVerdict::no_traffic);
  EXPECT_EQ(condition(status, ConditionType::Recovered).status, ConditionStatus::False);
  EXPECT_THAT(condition(status, ConditionType::Recovered).message, HasSubstr("fl_x"));
  EXPECT_THAT(condition(status, ConditionType::Verdict).message, HasSubstr("nothing matched"));
  EXPECT_EQ(status.completedAt.value, kT2);
}

TEST(ExperimentStatusOfARun, AfterALostNodeNothingIsToldAsArmedAndTheNodeIsNamed) {
  auto head = injecting();  // the last word of a node that was lost
  head.state = api::RunState::Failed;
  head.stateReason = "node n1 was lost";
  head.nodes[0].lost = true;
  head.history.push_back({api::RunState::Failed, {kT2}, ""});
  api::Report report;
  const auto status = run_status(head, &report, {}, 1, kT2);
  const auto& armed = condition(status, ConditionType::Armed);
  EXPECT_EQ(armed.status, ConditionStatus::False);
  EXPECT_EQ(armed.reason, "LeaseEnded");
  EXPECT_THAT(armed.message, HasSubstr("n1"));
  EXPECT_EQ(condition(status, ConditionType::Recovered).status, ConditionStatus::Unknown);
  EXPECT_THAT(condition(status, ConditionType::Recovered).message, HasSubstr("n1"));
}

TEST(ExperimentStatusOfARun, CountsAtTheEndAreThoseOfTheReport) {
  auto head = injecting(api::InjectionState::disarmed);
  head.state = api::RunState::Completed;
  head.history.push_back({api::RunState::Completed, {kT2}, ""});
  api::Report report;
  api::InjectionReport injection;
  injection.pod = "shop/web-0";
  injection.fault = "networkLatency";
  injection.matched = 50;
  injection.injected = 25;
  report.injections = {injection};
  const auto status = run_status(head, &report, {}, 1, kT2);
  EXPECT_EQ(status.injected, 25U);
  EXPECT_EQ(status.injections.at(0).matched, 50U);
  EXPECT_DOUBLE_EQ(status.injections.at(0).rate.value(), 0.5);
}

TEST(ExperimentStatusOfARun, ARefusalIsFinalAndNamesTheRule) {
  const auto status = refused_status({Errc::kDenied, "namespace bank is protected", 0}, {}, 2, kT1);
  EXPECT_TRUE(is_final(status.phase));
  EXPECT_EQ(status.reason, "namespace bank is protected");
  EXPECT_EQ(status.observedGeneration, 2);
  EXPECT_EQ(condition(status, ConditionType::Selected).reason, "Denied");
  EXPECT_EQ(condition(status, ConditionType::Recovered).status, ConditionStatus::True);
}

TEST(ScopeOfAnExperiment, IsItsOwnNamespaceUnlessItNamesOthers) {
  api::Experiment experiment;
  experiment.metadata.namespace_ = "shop";
  experiment.spec.target.selector.labelSelectors = {{"app", "web"}};
  experiment.spec.observe.push_back({.pods = {{"bank", {"teller-0"}}}});
  api::NetworkLatency fault;
  fault.peer = api::Selector{.labelSelectors = {{"app", "db"}}};
  experiment.spec.faults.push_back({fault});
  const Scope scope = scope_of(in_own_namespace(experiment));
  EXPECT_THAT(scope.hit, ElementsAre("shop"));
  EXPECT_THAT(scope.seen, ElementsAre("bank", "shop"));
}

}  // namespace
}  // namespace faultline::controller
