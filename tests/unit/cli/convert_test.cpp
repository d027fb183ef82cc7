// SPDX-License-Identifier: Apache-2.0
// What manifests of Chaos Mesh have in common: selectors, modes, documents and lists; and the
// command.
#include "cli/convert/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "api/codec.h"
#include "tests/unit/cli/convert_manifest.h"
#include "tests/unit/cli/harness.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;

TEST(Convert, APauseThatIsNoneIsNotLeftOut) {
  std::string text = manifest("NetworkChaos", "  action: partition\n");
  text.replace(text.find("namespace: shop"), 15,
               "namespace: shop, annotations: {experiment.chaos-mesh.org/pause: \"false\"}");
  const auto out = convert_chaos_mesh(text, "m.yaml");
  ASSERT_TRUE(out);
  EXPECT_EQ(out->experiments.size(), 1U);
  EXPECT_TRUE(out->complete());
}

TEST(Convert, SelectorsThatAreNamesAreNamedAndOthersLeaveTheDocumentOut) {
  const auto select = [](const std::string& selector) {
    std::string text = manifest("PodChaos", "  action: container-kill\n  containerNames: [a]\n");
    text.replace(text.find("{labelSelectors: {app: pay}}"), 28, selector);
    return *convert_chaos_mesh(text, "m.yaml");
  };
  const auto selector = [&](const std::string& words) {
    const Conversion out = select(words);
    EXPECT_EQ(out.experiments.size(), 1U) << words;
    return out.experiments.empty() ? ""
                                   : without_blanks(api::to_yaml(out.experiments[0].experiment));
  };
  EXPECT_THAT(selector("{namespaces: [a, b]}"), HasSubstr("selector:namespaces:-a-bcontainer"));
  EXPECT_THAT(selector("{}"), HasSubstr("selector:namespaces:-shopcontainer"));
  EXPECT_THAT(selector("{nodeSelectors: {kubernetes.io/hostname: n1}}"), HasSubstr("nodes:-n1"));
  EXPECT_THAT(selector("{namespaces: [shop, web], fieldSelectors: {spec.nodeName: n1, "
                       "metadata.namespace: web}}"),
              HasSubstr("selector:namespaces:-webnodes:-n1"));
  EXPECT_THAT(selector("{expressionSelectors: [{key: tier, operator: In, values: [db]}]}"),
              HasSubstr("labelSelectors:tier:db"));
  EXPECT_THAT(selector("{podPhaseSelectors: [Running]}"), HasSubstr("namespaces:-shop"));
  // As in Chaos Mesh, nothing beside names of pods has an effect.
  const Conversion pods = select("{pods: {web: [w-0]}, labelSelectors: {app: other}}");
  EXPECT_THAT(without_blanks(api::to_yaml(pods.experiments.at(0).experiment)),
              HasSubstr("selector:pods:web:-w-0container"));
  EXPECT_TRUE(pods.complete());
  EXPECT_EQ(pods.findings.size(), 1U);
  for (const char* words :
       {"{expressionSelectors: [{key: a, operator: Exists}]}", "{nodeSelectors: {zone: a}}",
        "{fieldSelectors: {status.podIP: 10.0.0.1}}", "{podPhaseSelectors: [Pending]}",
        "{labelSelectors: {app: true}}", "{nodes: n1}", "pay", "", "{labelSelector: {app: pay}}",
        "{expressionSelectors: {key: a}}", "{podPhaseSelectors: Running}",
        "{namespace: [shop], labelSelectors: {app: pay}}", "{labelSelectors: [a]}",
        "{fieldSelectors: {metadata.namespace: web}}",
        "{labelSelectors: {a: x}, expressionSelectors: [{key: a, operator: In, values: [y]}]}"})
    EXPECT_TRUE(select(words).experiments.empty()) << words;
}

TEST(Convert, ModesKeepTheirMeaningAndRaiseTheLimitsToIt) {
  const auto one = [](const std::string& mode) {
    std::string text = manifest("PodChaos", "  action: container-kill\n  containerNames: [a]\n");
    text.replace(text.find("mode: one"), 9, mode);
    return *convert_chaos_mesh(text, "m.yaml");
  };
  const api::ExperimentSpec all = one("mode: all").experiments.at(0).experiment.spec;
  EXPECT_EQ(all.target.mode, api::Mode::all);
  EXPECT_EQ(all.limits.maxPercent, 100);
  EXPECT_TRUE(all.limits.allReadyPods);
  const Conversion told = one("mode: all");
  ASSERT_EQ(told.findings.size(), 1U);
  EXPECT_THAT(told.findings[0].text(), HasSubstr("note: spec.mode: all pods that match are hit"));
  EXPECT_THAT(told.findings[0].text(), HasSubstr("maxPercentOfWorkload, which is 50 as installed"));
  const api::ExperimentSpec fixed =
      one("mode: fixed\n  value: '7'").experiments.at(0).experiment.spec;
  EXPECT_EQ(fixed.target.value, "7");
  EXPECT_EQ(fixed.limits.maxPods, 7);
  const api::ExperimentSpec part =
      one("mode: random-max-percent\n  value: '80'").experiments.at(0).experiment.spec;
  EXPECT_EQ(part.target.mode, api::Mode::random_max_percent);
  EXPECT_EQ(part.limits.maxPercent, 80);
  EXPECT_TRUE(one("mode: fixed").experiments.empty());
  EXPECT_TRUE(one("mode: fixed\n  value: many").experiments.empty());
  EXPECT_TRUE(one("mode: most").experiments.empty());
}

TEST(Convert, WhatIsNotThereIsANoteNotALoss) {
  const auto out = convert_chaos_mesh(
      "apiVersion: chaos-mesh.org/v1alpha1\nkind: IOChaos\nmetadata: {name: x}\nspec:\n  mode: "
      "one\n"
      "  selector: {}\n  action: fault\n  errno: 5\n  volumePath: /d\n  containerNames: [app]\n",
      "m.yaml");
  ASSERT_TRUE(out);
  ASSERT_EQ(out->experiments.size(), 1U);
  EXPECT_TRUE(out->complete());
  ASSERT_EQ(out->findings.size(), 2U);
  EXPECT_THAT(out->findings[0].text(), HasSubstr("m.yaml:3: note: metadata.namespace: not given"));
  EXPECT_THAT(out->findings[1].text(), HasSubstr("m.yaml:4: note: spec.duration: not given"));
  EXPECT_THAT(api::to_yaml(out->experiments[0].experiment), HasSubstr("- default"));
}

constexpr const char* kStream = R"(apiVersion: chaos-mesh.org/v1alpha1
kind: Schedule
metadata:
  name: kill.every.hour
  namespace: shop
  annotations: {experiment.chaos-mesh.org/pause: "true", team: pay}
spec:
  schedule: "@every 1h"
  historyLimit: 5
  concurrencyPolicy: Forbid
  type: PodChaos
  podChaos:
    action: container-kill
    mode: one
    containerNames: [app]
    selector: {labelSelectors: {app: pay}}
    duration: 30s
---
# nothing but this
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
---
apiVersion: chaos-mesh.org/v1alpha1
kind: TimeChaos
metadata: {name: late}
spec: {timeOffset: -10m}
---
apiVersion: v1
kind: List
items:
- apiVersion: chaos-mesh.org/v1alpha1
  kind: DNSChaos
  metadata: {name: no-names, namespace: shop, uid: "7"}
  spec:
    action: error
    mode: one
    selector: {labelSelectors: {app: pay}}
    duration: 30s
  status: {experiment: {desiredPhase: Run}}
)";

TEST(Convert, ReadsManyDocumentsSchedulesAndLists) {
  const auto out = convert_chaos_mesh(kStream, "m.yaml");
  ASSERT_TRUE(out) << out.error().message;
  ASSERT_EQ(out->experiments.size(), 2U);
  EXPECT_EQ(out->experiments[0].experiment.metadata.name, "kill-every-hour");
  EXPECT_EQ(out->experiments[0].experiment.metadata.annotations.size(), 1U);
  EXPECT_EQ(out->experiments[0].line, 1);
  EXPECT_EQ(out->experiments[1].experiment.metadata.name, "no-names");
  std::string told;
  for (const Finding& finding : out->findings) told += finding.text() + "\n";
  for (const char* line :
       {"m.yaml:4: note: metadata.name: an experiment's name is one DNS label: kill-every-hour",
        "m.yaml:6: metadata.annotations[\"experiment.chaos-mesh.org/pause\"]: an experiment does "
        "not",
        "m.yaml:8: spec.schedule: nothing here starts by the clock", "m.yaml:9: spec.historyLimit:",
        "m.yaml:10: spec.concurrencyPolicy:", "m.yaml:21: is a Deployment of apps/v1",
        "m.yaml:26: kind: TimeChaos has no equivalent and is left out: clocks are never changed",
        "m.yaml:35: note: items[0].metadata.uid: is the API server's",
        "m.yaml:41: note: items[0].status: is what became of it"})
    EXPECT_THAT(told, HasSubstr(line));
  EXPECT_EQ(out->findings.size(), 9U) << told;
}

TEST(Convert, AScheduleOfWhatHasNoEquivalentIsToldByItsName) {
  // Longer than what std::string keeps in itself: the name was once read after it was freed.
  const auto out = convert_chaos_mesh(
      "apiVersion: chaos-mesh.org/v1alpha1\nkind: Schedule\nmetadata: {name: a}\n"
      "spec: {type: PhysicalMachineChaos}\n",
      "m.yaml");
  ASSERT_TRUE(out) << out.error().message;
  ASSERT_FALSE(out->findings.empty());
  EXPECT_THAT(out->findings[0].text(),
              HasSubstr("spec.type: PhysicalMachineChaos has no equivalent and is left out"));
}

TEST(Convert, WhatAStrangerSendsEndsAtTheBudget) {
  std::string documents, values = "a: [";
  for (int i = 0; i < 1001; ++i) documents += "--- a\n";
  for (int i = 0; i < 100'001; ++i) values += "1,";
  for (const auto& [text, says] :
       {std::pair<std::string, std::string>{",", "m.yaml:1: not valid YAML"},
        {documents, "more than 1000 documents"},
        {values + "]", "more than 100000 values"},
        {"a: &a [x]\nb: *a\n", "m.yaml:2: b: aliases like \"*a\" are not supported"},
        {std::string((1 << 20) + 1, ' '), "larger than 1 MiB"}}) {
    const auto out = convert_chaos_mesh(text, "m.yaml");
    ASSERT_FALSE(out);
    EXPECT_THAT(out.error().message, HasSubstr(says));
  }
}

TEST(Convert, WhatIsNoYamlIsBadInput) {
  for (const char* text : {"", "# only this\n", "a: [", "a: 1\na: 2\n"}) {
    const auto out = convert_chaos_mesh(text, "m.yaml");
    ASSERT_FALSE(out) << text;
    EXPECT_EQ(out.error().code, Errc::kInvalid);
    EXPECT_THAT(out.error().message, testing::StartsWith("m.yaml"));
  }
}

TEST(ConvertCommand, PrintsWhatItCanAndTheExitCodeTellsWhetherThatIsAll) {
  Folder folder;
  Shell shell;
  const std::string whole = folder.file(
      "whole.yaml", manifest("PodChaos", "  action: container-kill\n  containerNames: [app]\n"));
  EXPECT_EQ(shell.run({"convert", whole}), 0);
  EXPECT_EQ(shell.err.str(), "");
  EXPECT_THAT(shell.out.str(),
              HasSubstr("# Converted from " + whole + ":1\napiVersion: faultline.dev"));
  const std::string part = folder.file("part.yaml", kStream);
  EXPECT_EQ(shell.run({"convert", part, whole}), 1);
  EXPECT_THAT(shell.out.str(), HasSubstr("\n---\n# Converted from " + whole));
  EXPECT_THAT(shell.err.str(), HasSubstr(part + ":8: spec.schedule"));
  EXPECT_EQ(shell.run({"convert", part, whole, "--strict"}), 1);
  EXPECT_EQ(shell.out.str(), "");
  EXPECT_THAT(shell.err.str(), HasSubstr("nothing is written"));
  EXPECT_EQ(shell.run({"convert", whole, "--strict"}), 0);
  EXPECT_EQ(shell.run({"convert", folder.file("bad.yaml", "a: [")}), 3);
  EXPECT_EQ(shell.run({"convert", folder.path() + "/none.yaml"}), 3);
  shell.in.str(manifest("PodChaos", "  action: container-kill\n  containerNames: [app]\n"));
  EXPECT_EQ(shell.run({"convert", "-"}), 0);
  EXPECT_EQ(shell.run({"convert", part, "--output", "json"}), 1);
  EXPECT_EQ(shell.json().at("experiments").as_array().size(), 2U);
  EXPECT_EQ(shell.json().at("findings").as_array().size(), 9U);
  EXPECT_EQ(shell.json().at("exitCode"), 1);
}

TEST(ConvertCommand, WritesAFileEachAndOverwritesNone) {
  Folder folder;
  Shell shell;
  const std::string one = folder.file(
      "one.yaml", manifest("PodChaos", "  action: container-kill\n  containerNames: [app]\n"));
  const std::string out = folder.path() + "/out";
  EXPECT_EQ(shell.run({"convert", one, one, "--directory", out}), 0);
  EXPECT_EQ(shell.out.str(), out + "/x.yaml\n" + out + "/x-2.yaml\n");
  EXPECT_EQ(shell.run({"validate", out + "/x-2.yaml"}), 0);
  EXPECT_EQ(shell.run({"convert", one, "-d", out}), 3);
  EXPECT_THAT(shell.err.str(), HasSubstr(out + "/x.yaml exists already"));
  const std::string part = folder.file("part.yaml", kStream);
  EXPECT_EQ(shell.run({"convert", part, "--strict", "--directory", folder.path() + "/no"}), 1);
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/no"));
}

}  // namespace
}  // namespace faultline::cli
