// SPDX-License-Identifier: Apache-2.0
// Workflows of Chaos Mesh and experiments of the Chaos Toolkit, and the game days that they become.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "api/codec.h"
#include "cli/convert/convert.h"
#include "tests/places.h"
#include "tests/unit/cli/harness.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string corpus(const std::string& name) {
  std::ifstream in(test::source_dir() / "tests/fuzz/corpus/convert" / name);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string flow(const std::string& templates, const std::string& entry = "all") {
  return "apiVersion: chaos-mesh.org/v1alpha1\nkind: Workflow\nmetadata: {name: flow, namespace: "
         "shop}\nspec:\n  entry: " +
         entry + "\n  templates:\n" + templates;
}

const std::string kSlow =
    "  - name: slow\n    templateType: NetworkChaos\n    deadline: 20s\n    networkChaos: {mode: "
    "one, action: delay, delay: {latency: 90ms}, selector: {labelSelectors: {app: a}}}\n";

Conversion convert(const std::string& text) {
  auto out = convert_chaos_mesh(text, "m.yaml");
  EXPECT_TRUE(out) << out.error().message;
  return out ? *out : Conversion{};
}

std::string told(const Conversion& conversion) {
  std::string out;
  for (const Finding& finding : conversion.findings) out += finding.text() + "\n";
  return out;
}

std::vector<std::string> steps(const api::GameDay& day) {
  std::vector<std::string> out;
  api::for_each_step(day, [&](const api::Step& step, const std::string& path) {
    out.push_back(path.substr(5) + " " + step.name + " " + std::string(api::step_kind(step)));
  });
  return out;
}

TEST(ConvertWorkflow, TemplatesBecomeSteps) {
  const Conversion out = convert(corpus("workflow"));
  ASSERT_EQ(out.days.size(), 1U) << told(out);
  const api::GameDay& day = out.days[0].day;
  EXPECT_EQ(day.metadata.name, "flow");
  EXPECT_EQ(day.metadata.namespace_, "shop");
  EXPECT_THAT(
      steps(day),
      testing::ElementsAre(
          "steps[0] all serial", "steps[0].serial[0] slow experiment",
          "steps[0].serial[1] rest pause", "steps[0].serial[2] slow-2 experiment",
          "steps[0].serial[3] check waitFor", "steps[0].serial[4] job-and-then serial",
          "steps[0].serial[4].serial[0] job task", "steps[0].serial[4].serial[1] rest-2 pause"));
  const api::Step& all = day.spec.steps[0];
  EXPECT_EQ(all.deadline.format(), "4m40s") << "two experiments have 10 s before and after";
  const api::ExperimentSpec& slow = *all.serial[0].experiment->spec;
  EXPECT_EQ(slow.phases.fault.format(), "20s");
  EXPECT_EQ(slow.target.selector.namespaces, std::vector<std::string>{"shop"});
  EXPECT_EQ(all.serial[3].onMiss, api::OnMiss::abort);
  EXPECT_EQ(all.serial[3].waitFor->person, "GET http://a answers 200");
  EXPECT_EQ(all.serial[4].serial[0].task->text, "Run the container busybox sh");
  ASSERT_TRUE(all.serial[4].serial[1].when);
  EXPECT_EQ(all.serial[4].serial[1].when->step, "job");
  EXPECT_THAT(told(out),
              HasSubstr("m.yaml:13: spec.templates[3].statusCheck: no address is fetched"));
  EXPECT_THAT(told(out), HasSubstr("spec.templates[4].task: no container is run here"));
  EXPECT_THAT(told(out), Not(HasSubstr("duration: not given")));
  EXPECT_FALSE(out.complete());
}

TEST(ConvertWorkflow, WhatComesOutReadsAsItWas) {
  for (const char* name : {"workflow", "toolkit"}) {
    const Conversion out = convert(corpus(name));
    ASSERT_EQ(out.days.size(), 1U) << name;
    const std::string yaml = api::to_yaml(out.days[0].day);
    const auto again = api::parse_gameday(yaml, "d.yaml");
    ASSERT_TRUE(again) << again.error().message << "\n" << yaml;
    EXPECT_EQ(api::to_json_text(*again), api::to_json_text(out.days[0].day));
    EXPECT_THAT(yaml, Not(HasSubstr("deadline: \"0s\""))) << "short";
    EXPECT_THAT(yaml, Not(HasSubstr("onMiss: continue")));
  }
}

TEST(ConvertWorkflow, OneThatIsAllExperimentsAndPausesIsComplete) {
  const Conversion out =
      convert(flow("  - {name: all, templateType: Parallel, children: [slow, rest]}\n"
                   "  - {name: rest, templateType: Suspend, deadline: 10s}\n" +
                   kSlow));
  ASSERT_EQ(out.days.size(), 1U) << told(out);
  EXPECT_TRUE(out.complete()) << told(out);
  EXPECT_EQ(out.days[0].day.spec.steps[0].parallel.size(), 2U);
}

TEST(ConvertWorkflow, HitsNoMoreThanWasAsked) {
  // A misspelt selector, a deadline that is none, a container that is not named.
  std::string text = kSlow;
  text.replace(text.find("labelSelectors"), 14, "labelSelector");
  const Conversion out =
      convert(flow("  - {name: all, templateType: Serial, children: [slow, rest]}\n"
                   "  - {name: rest, templateType: Suspend, deadline: 10s}\n" +
                   text));
  ASSERT_EQ(out.days.size(), 1U);
  EXPECT_THAT(steps(out.days[0].day), testing::ElementsAre("steps[0] rest pause"));
  EXPECT_THAT(told(out), HasSubstr("did you mean \"labelSelectors\"?"));
  const Conversion branch =
      convert(flow("  - name: all\n    templateType: Task\n    task: {container: {image: a}}\n"
                   "    conditionalBranches: [{target: slow, expression: \"exitCode > 3\"}]\n" +
                   kSlow));
  ASSERT_EQ(branch.days.size(), 1U);
  EXPECT_THAT(steps(branch.days[0].day), testing::ElementsAre("steps[0] all task"));
  EXPECT_THAT(told(branch), HasSubstr("so the branch is left out"));
}

TEST(ConvertWorkflow, WhatIsWrongIsToldWithItsPlace) {
  const auto says = [](const std::string& text) { return told(convert(text)); };
  EXPECT_THAT(says(flow("  - {name: all, templateType: Serial, children: [slwo]}\n" + kSlow)),
              HasSubstr("m.yaml:7: spec.templates[0].children[0]: there is no template of this "
                        "name; left out; did you mean \"slow\"?"));
  EXPECT_THAT(says(flow(kSlow)), HasSubstr("spec.entry: there is no template of this name"));
  EXPECT_THAT(says(flow("  - {name: all, templateType: Serial, children: [all]}\n")),
              HasSubstr("a template cannot contain itself"));
  EXPECT_THAT(says(flow("  - {name: all, templateType: Seriel, children: [slow]}\n" + kSlow)),
              HasSubstr("did you mean Serial?"));
  EXPECT_THAT(says(flow("  - {name: all, templateType: TimeChaos}\n")),
              HasSubstr("clocks are never changed"));
  EXPECT_THAT(says(flow("  - {name: all, templateType: Suspend, deadline: 1s, extra: 1}\n")),
              HasSubstr("spec.templates[0].extra: a template of a Workflow has no such field"));
  EXPECT_THAT(says(flow("  - {name: all, templateType: Suspend, deadline: 1s}\n" + kSlow)),
              HasSubstr("spec.templates[1]: no step leads to it"));
  EXPECT_THAT(says(flow("  - {name: all, templateType: Suspend}\n")),
              HasSubstr("note: spec.templates[0].deadline: not given"));
  EXPECT_THAT(says("apiVersion: chaos-mesh.org/v1alpha1\nkind: Workflow\nmetadata: {name: a}\n"),
              HasSubstr("missing key \"spec\""));
}

TEST(ConvertWorkflow, TemplatesThatLeadToEachOtherEnd) {
  std::string templates;
  for (int i = 0; i < 30; ++i) {
    const std::string next = "t" + std::to_string(i + 1);
    templates += "  - {name: t" + std::to_string(i) + ", templateType: Serial, children: [" + next +
                 ", " + next + "]}\n";
  }
  const Conversion out =
      convert(flow(templates + "  - {name: t30, templateType: Suspend, deadline: 1s}\n", "t0"));
  EXPECT_TRUE(out.days.empty());
  EXPECT_THAT(told(out), HasSubstr("would not be valid"));
}

TEST(ConvertToolkit, ProbesAndActionsAreForPeople) {
  const Conversion out = convert(corpus("toolkit"));
  ASSERT_EQ(out.days.size(), 1U) << told(out);
  const api::GameDay& day = out.days[0].day;
  EXPECT_EQ(day.metadata.name, "is-it-up");
  EXPECT_EQ(day.spec.hypothesis, "it is up");
  EXPECT_THAT(steps(day),
              testing::ElementsAre(
                  "steps[0] description note", "steps[1] steady-state-before serial",
                  "steps[1].serial[0] up-before waitFor", "steps[2] kill-it task",
                  "steps[3] kill-it-after pause", "steps[4] up waitFor",
                  "steps[5] steady-state-after serial", "steps[5].serial[0] up-after waitFor",
                  "steps[6] rollbacks serial", "steps[6].serial[0] start task"));
  EXPECT_EQ(day.spec.steps[1].serial[0].onMiss, api::OnMiss::abort);
  EXPECT_EQ(day.spec.steps[1].serial[0].waitFor->person, "GET http://a is as expected: 200");
  EXPECT_EQ(day.spec.steps[2].task->text, "Do: run kill \"-9 1\"");
  EXPECT_THAT(told(out),
              HasSubstr("steady-state-hypothesis.probes[0].provider: nothing is called"));
  EXPECT_THAT(told(out), HasSubstr("method[0].provider: nothing is called or run here: it becomes "
                                   "a task for a person"));
}

TEST(ConvertToolkit, EachKeyIsConvertedOrTold) {
  const std::string text =
      "title: t\ntags: [a]\ncontributions: {a: high}\nconfiguration: {a: 1}\nsecrets: {a: {}}\n"
      "controls: []\nextensions: []\nruntime: {}\nsurprise: 1\nmethod:\n"
      "- {type: action, name: a, background: true, controls: [], other: 1, provider: {type: "
      "python, "
      "module: m, func: f}}\n- {type: wait, name: b}\n- {ref: none}\n";
  const std::string said = told(convert(text));
  for (const char* key : {": tags: ", ": contributions: ", ": configuration: ", ": secrets: ",
                          ": controls: ", ": extensions: ", ": runtime: ", ": surprise: ",
                          "method[0].background", "method[0].controls", "method[0].other",
                          "method[1].type: expected probe or action", "method[2].ref"})
    EXPECT_THAT(said, HasSubstr(key));
}

TEST(ConvertCommand, WritesGameDays) {
  Folder folder;
  Shell shell;
  const std::string file = folder.file("flow.yaml", corpus("workflow"));
  EXPECT_EQ(shell.run({"convert", file, "-d", folder.path() + "/out"}), 1);
  EXPECT_EQ(shell.run({"validate", folder.path() + "/out/flow.yaml"}), 0) << shell.err.str();
  EXPECT_THAT(shell.out.str(), HasSubstr("valid: flow, a game day of 8 steps"));
  EXPECT_EQ(shell.run({"convert", file, "-o", "json"}), 1);
  EXPECT_EQ(shell.json().at("gamedays").as_array().size(), 1U);
  EXPECT_EQ(shell.run({"convert", file, "--strict"}), 1);
  EXPECT_EQ(shell.out.str(), "");
}

TEST(ConvertWorkflow, HostileTextsAreTame) {
  // Without what YAML does not take: such a document is refused as a whole.
  std::string kHostile = testing_words::kHostile;
  std::erase(kHostile, '\x7f');
  kHostile.erase(kHostile.find("\xc2\x9b"), 2);
  boost::json::object document{{"title", kHostile},
                               {"description", kHostile},
                               {"steady-state-hypothesis", {{"title", kHostile}}}};
  document["method"] =
      boost::json::array{{{"type", "action"},
                          {"name", kHostile},
                          {"provider", {{"type", "process"}, {"path", kHostile}}}}};
  const Conversion out = convert(boost::json::serialize(document));
  ASSERT_EQ(out.days.size(), 1U);
  testing_words::expect_tame(api::to_yaml(out.days[0].day), "a converted day");
}

}  // namespace
}  // namespace faultline::cli
