// SPDX-License-Identifier: Apache-2.0
// At which end of a NetworkChaos the faults are: each direction, action and mode, with what comes
// out and what is told of Services.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/describe.hpp>

#include "api/codec.h"
#include "cli/convert/convert.h"
#include "tests/unit/cli/convert_manifest.h"

namespace faultline::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kDelay = "  action: delay\n  delay: {latency: 90ms}\n";
constexpr const char* kLoss = "  action: loss\n  loss: {loss: '5'}\n";
constexpr const char* kBandwidth =
    "  action: bandwidth\n  bandwidth: {rate: 1mbps, buffer: 10000}\n";
constexpr const char* kPartition = "  action: partition\n";
constexpr const char* kShapes[] = {kDelay, kLoss, kBandwidth};

// "pay": the label, or in brackets the namespace where none is given, or the names.
std::string short_words(const api::Selector& selector) {
  std::string out;
  for (const auto& [key, value] : selector.labelSelectors) out += value;
  for (const auto& [space, names] : selector.pods)
    for (const std::string& name : names) out += "(" + name + ")";
  if (out.empty())
    for (const std::string& space : selector.namespaces) out += "[" + space + "]";
  return out;
}

// "x at one pay: both db except pay"
std::string short_words(const api::Experiment& experiment) {
  const api::Target& target = experiment.spec.target;
  std::string out = experiment.metadata.name + " at " +
                    boost::describe::enum_to_string(target.mode, "?") + target.value + " " +
                    short_words(target.selector) + ":";
  for (const api::Fault& fault : experiment.spec.faults) {
    const api::NetworkFilter& filter = *api::network_filter(fault);
    out += std::string(" ") + boost::describe::enum_to_string(filter.direction, "?");
    if (filter.peer) out += " " + short_words(*filter.peer);
    for (const api::Cidr& cidr : filter.cidrs) out += " " + cidr.format();
    if (filter.except) out += " except " + short_words(*filter.except->peer);
    out += ",";
  }
  out.pop_back();
  return out;
}

struct Outcome {
  std::vector<std::string> made, notes, left_out;
};

Outcome outcome(std::string text) {
  const auto out = convert_chaos_mesh(text, "m.yaml");
  Outcome all;
  EXPECT_TRUE(out) << out.error().message;
  if (!out) return all;
  for (const Converted& one : out->experiments) {
    all.made.push_back(short_words(one.experiment));
    EXPECT_EQ(one.experiment.spec.phases.fault.seconds(), 20) << text;
    const auto again = api::parse_experiment(api::to_yaml(one.experiment), "out.yaml");
    EXPECT_TRUE(again) << again.error().message;
  }
  for (const Finding& finding : out->findings)
    (finding.note ? all.notes : all.left_out).push_back(finding.text());
  return all;
}

std::string ends(const char* action, const std::string& direction, const std::string& mode,
                 const std::string& target_mode, const std::string& target = "{app: db}",
                 const std::string& more = "") {
  std::string text = manifest(
      "NetworkChaos", action + ("  direction: " + direction) + "\n  target: {mode: " + target_mode +
                          ", selector: {labelSelectors: " + target + "}}\n" + more);
  return text.replace(text.find("mode: one"), 9, "mode: " + mode);
}

constexpr const char* kAtTarget = "spec.target: the faults are at these pods";
constexpr const char* kRequestsToo = "behind a Service Chaos Mesh hits nothing that is sent to";
constexpr const char* kOnlyWhole = "behind a Service that leads to other pods, too, nothing is hit";
constexpr const char* kAll = "mode: all pods that match are hit";
constexpr const char* kTwo = "spec.direction: becomes two experiments that have to run at the same";

// What is told: each of `words` in one line, in any order, and nothing else.
void expect_notes(const Outcome& out, const std::vector<const char*>& words) {
  EXPECT_THAT(out.left_out, IsEmpty());
  std::vector<testing::Matcher<std::string>> lines;
  for (const char* word : words) lines.emplace_back(HasSubstr(word));
  EXPECT_THAT(out.notes, testing::UnorderedElementsAreArray(lines));
}

// What Chaos Mesh shapes is what a pod sends. `to`: nothing changes place.
TEST(ConvertEnds, ShapingWhatIsSentIsAtThePodsThatSendIt) {
  for (const char* action : kShapes)
    for (const std::string mode : {"one", "all"}) {
      const Outcome out = outcome(ends(action, "to", mode, "all"));
      EXPECT_THAT(out.made, ElementsAre("x at " + mode + " pay: to db"));
      EXPECT_THAT(out.notes, testing::Contains(HasSubstr(kRequestsToo)));
    }
}

// The answers carry the Service's address at the client, and the client's at the server.
TEST(ConvertEnds, ShapingTheAnswersIsAtThePodsThatSendThem) {
  for (const char* action : kShapes) {
    const Outcome all = outcome(ends(action, "from", "all", "all"));
    EXPECT_THAT(all.made, ElementsAre("x at all db: to pay"));
    expect_notes(all, {kAtTarget, kAll});
    // The target's own mode is kept: it was left out before.
    const Outcome some = outcome(ends(action, "from", "all", "fixed, value: '2'"));
    EXPECT_THAT(some.made, ElementsAre("x at fixed2 db: to pay"));
    expect_notes(some, {kAtTarget});
  }
}

// Not all that match are selected, and a peer is all that match: at the selected pods, then.
TEST(ConvertEnds, WhatOnlySomePodsShareStaysAtThemAndIsToldOfServices) {
  for (const char* action : {kDelay, kLoss, kBandwidth, kPartition}) {
    const Outcome from = outcome(ends(action, "from", "one", "all"));
    EXPECT_THAT(from.made, ElementsAre("x at one pay: from db"));
    expect_notes(from, {kOnlyWhole});
    EXPECT_THAT(from.notes[0], HasSubstr("name the pods of selector in selector.pods"));
    const Outcome both = outcome(ends(action, "both", "one", "all"));
    EXPECT_THAT(both.made, ElementsAre("x at one pay: both db"));
    EXPECT_THAT(both.notes, testing::Contains(HasSubstr(kOnlyWhole)));
    for (const char* direction : {"to", "from", "both"}) {
      const Outcome neither = outcome(ends(action, direction, "one", "one"));
      EXPECT_THAT(neither.made, IsEmpty());
      EXPECT_THAT(neither.left_out, testing::Contains(HasSubstr("spec.target.mode: is not all")));
    }
  }
}

TEST(ConvertEnds, ShapingBothDirectionsIsOneExperimentAtEachEndAndNoPacketIsHitTwice) {
  for (const char* action : kShapes) {
    const Outcome out = outcome(ends(action, "both", "all", "all"));
    EXPECT_THAT(out.made, ElementsAre("x at all pay: to db", "x-at-target at all db: to pay"));
    expect_notes(out, {kTwo, kAtTarget, kRequestsToo, "spec.mode: all", "spec.target.mode: all"});
    const Outcome some = outcome(ends(action, "both", "all", "fixed, value: '2'"));
    EXPECT_THAT(some.made, IsEmpty()) << "which two is not known at the other end";
  }
}

TEST(ConvertEnds, PodsThatAreAtBothEndsAreHitOnceEachWay) {
  const auto both = [](const std::string& target, const std::string& mode = "all") {
    return outcome(ends(kDelay, "both", mode, "all", target));
  };
  EXPECT_THAT(both("{app: pay}").made, ElementsAre("x at all pay: to pay"));
  // All of the namespace: what the selected pods send each other is hit where it is sent.
  EXPECT_THAT(both("{}").made, ElementsAre("x at all pay: to [shop], from [shop] except pay"));
  EXPECT_THAT(both("{app: pay, tier: a}").made,
              ElementsAre("x at all paya: to pay, from pay except paya"));
  EXPECT_THAT(both("{}", "one").made, ElementsAre("x at one pay: both [shop]"));
  const Outcome some = both("{}", "fixed\n  value: '2'");
  EXPECT_THAT(some.made, IsEmpty());
  EXPECT_THAT(some.left_out,
              testing::Contains(HasSubstr("each packet would be hit twice; the faults are left")));
}

// Each packet that Chaos Mesh drops at either end passes the target's, with the pods' addresses.
TEST(ConvertEnds, APartitionIsAtTheTarget) {
  const std::pair<const char*, const char*> ways[] = {
      {"to", "from"}, {"from", "to"}, {"both", "both"}};
  for (const auto& [asked, done] : ways) {
    const Outcome all = outcome(ends(kPartition, asked, "all", "all"));
    EXPECT_THAT(all.made, ElementsAre("x at all db: " + std::string(done) + " pay"));
    expect_notes(all, {kAtTarget, "spec.target.mode: all"});
    const Outcome one = outcome(ends(kPartition, asked, "all", "one"));
    EXPECT_THAT(one.made, ElementsAre("x at one db: " + std::string(done) + " pay"));
  }
  const Outcome to = outcome(ends(kPartition, "to", "one", "all"));
  EXPECT_THAT(to.made, ElementsAre("x at one pay: to db"));
  expect_notes(to, {kOnlyWhole});
}

TEST(ConvertEnds, PodsThatAreNamedAreAllWhateverTheMode) {
  std::string text = ends(kDelay, "from", "one", "one");
  text.replace(text.find("{labelSelectors: {app: pay}}"), 28, "{pods: {shop: [pay-0]}}");
  EXPECT_THAT(outcome(text).made, ElementsAre("x at one db: to (pay-0)"));
}

TEST(ConvertEnds, AddressesOutsideStayAtTheSelectedPods) {
  const std::string outside = "  externalTargets: [10.0.0.7]\n";
  const Outcome out = outcome(ends(kPartition, "from", "all", "all", "{app: db}", outside));
  EXPECT_THAT(out.made,
              ElementsAre("x at all pay: from 10.0.0.7", "x-at-target at all db: to pay"));
  EXPECT_THAT(out.notes, testing::Contains(HasSubstr("Chaos Mesh cuts the pods of target from")));
  EXPECT_THAT(outcome(ends(kDelay, "to", "one", "all", "{app: db}", outside)).made,
              ElementsAre("x at one pay: to db, to 10.0.0.7"));
  // Chaos Mesh does not take such a manifest.
  const Outcome refused = outcome(ends(kDelay, "both", "one", "all", "{app: db}", outside));
  EXPECT_THAT(refused.made, ElementsAre("x at one pay: both db"));
  EXPECT_THAT(refused.left_out, ElementsAre(HasSubstr("spec.externalTargets: Chaos Mesh refuses")));
}

TEST(ConvertEnds, WithoutATargetThereAreNoAnswersToShape) {
  for (const char* direction : {"from", "both"}) {
    const std::string way = std::string("  direction: ") + direction + "\n";
    for (const char* action : kShapes) {
      const Outcome out = outcome(manifest("NetworkChaos", action + way));
      EXPECT_THAT(out.made, IsEmpty());
      EXPECT_THAT(out.left_out, testing::Contains(HasSubstr("spec.direction: Chaos Mesh refuses")));
    }
    EXPECT_THAT(outcome(manifest("NetworkChaos", kPartition + way)).made,
                ElementsAre(std::string("x at one pay: ") + direction));
  }
}

TEST(ConvertEnds, TheSecondExperimentHasANameThatFits) {
  std::string text = ends(kDelay, "both", "all", "all");
  text.replace(text.find("name: x"), 7, "name: " + std::string(52, 'a') + "-b-and-more");
  const Outcome out = outcome(text);
  ASSERT_EQ(out.made.size(), 2U);
  EXPECT_THAT(out.made[1], testing::StartsWith(std::string(52, 'a') + "-at-target at all db"));
}

TEST(ConvertEnds, InAWorkflowBothEndsAreOneStepAtATime) {
  const auto out = convert_chaos_mesh(
      "apiVersion: chaos-mesh.org/v1alpha1\nkind: Workflow\nmetadata: {name: f, namespace: shop}\n"
      "spec:\n  entry: all\n  templates:\n"
      "  - {name: all, templateType: Serial, children: [slow, slow]}\n"
      "  - name: slow\n    templateType: NetworkChaos\n    deadline: 20s\n"
      "    networkChaos: {mode: all, action: delay, delay: {latency: 90ms}, direction: both,\n"
      "      selector: {labelSelectors: {app: pay}},\n"
      "      target: {mode: all, selector: {labelSelectors: {app: db}}}}\n",
      "m.yaml");
  ASSERT_TRUE(out) << out.error().message;
  ASSERT_EQ(out->days.size(), 1U);
  std::vector<std::string> steps;
  api::for_each_step(out->days[0].day, [&](const api::Step& step, const std::string&) {
    steps.push_back(step.name + " " + std::string(api::step_kind(step)));
    EXPECT_EQ(step.deadline.value.count(), 0) << "experiments end by themselves";
    EXPECT_TRUE(!step.experiment || step.experiment->spec->phases.fault.seconds() == 20);
  });
  EXPECT_THAT(steps, ElementsAre("slow parallel", "slow-at-selector experiment",
                                 "slow-at-target experiment", "slow-2 parallel",
                                 "slow-at-selector-2 experiment", "slow-at-target-2 experiment"));
}

}  // namespace
}  // namespace faultline::cli
