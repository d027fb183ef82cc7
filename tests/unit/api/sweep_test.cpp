// SPDX-License-Identifier: Apache-2.0
// The Sweep document: its errors, its cells, its steps, its schema and its documentation.
#include "api/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "api/codec.h"
#include "api/sweep_progress.h"
#include "tests/places.h"

namespace faultline::api {
namespace {

using testing::HasSubstr;

constexpr std::string_view kSweep = R"(apiVersion: faultline.dev/v1alpha1
kind: Sweep
metadata: {name: pay, labels: {team: shop}}
spec:
  experiment:
    target: {selector: {namespaces: [shop]}}
    phases: {baseline: 1s, fault: 2s, recovery: 1s}
    expect: {alerts: [{name: Slow, within: 2s}]}
  faults:
  - name: latency
    fault: {networkLatency: {direction: to}}
    vary: latency
    severities: [10ms, 50ms, 200ms]
    resolution: 10ms
  - name: link
    fault: {networkBandwidth: {}}
    vary: rate
    severities: [10mbit, 1mbit]
  rest: {least: 1s, most: 1m}
)";

std::string changed(std::string_view old, std::string_view now) {
  std::string text(kSweep);
  const std::size_t at = text.find(old);
  EXPECT_NE(at, text.npos) << old;
  return text.replace(at, old.size(), now);
}

std::string refusal(std::string_view old, std::string_view now) {
  const auto sweep = parse_sweep(changed(old, now), "s.yaml");
  EXPECT_FALSE(sweep) << old << " -> " << now;
  return sweep ? "" : sweep.error().message;
}

TEST(Sweep, EachCellIsAnExperimentWithItsSeverity) {
  const auto sweep = parse_sweep(kSweep, "s.yaml");
  ASSERT_TRUE(sweep) << sweep.error().message;
  const SweptFault& row = sweep->spec.faults[0];
  const auto cell = cell_experiment(*sweep, row, "50ms", cell_name(*sweep, row, 2));
  ASSERT_TRUE(cell) << cell.error().message;
  EXPECT_EQ(cell->metadata.name, "pay-latency-2");
  EXPECT_EQ(cell->metadata.labels.at("team"), "shop");
  ASSERT_EQ(cell->spec.faults.size(), 1U);
  EXPECT_EQ(std::get<NetworkLatency>(cell->spec.faults[0].spec).latency.format(), "50ms");
  EXPECT_TRUE(validate(*cell));
  EXPECT_TRUE(parse_experiment(to_json_text(*cell), "cell"));
  EXPECT_EQ(least_length(*sweep, 5), std::chrono::seconds(5 * 4 + 4));
}

TEST(Sweep, ErrorsNameTheLineTheFieldAndTheNearestWord) {
  EXPECT_THAT(refusal("vary: latency", "vary: latncy"),
              HasSubstr("s.yaml:12: spec.faults[0].vary: \"latncy\" is no key of networkLatency "
                        "that can vary, expected one of latency, jitter, correlation, "
                        "probability; did you mean \"latency\"?"));
  EXPECT_THAT(refusal("[10ms, 50ms", "[10ms, fast"),
              HasSubstr("s.yaml:13: spec.faults[0].severities[1]: expected a duration"));
  EXPECT_THAT(refusal("200ms]", "20s]"),
              HasSubstr("spec.faults[0].severities[2]: must be more than 0s and at most 10s"));
  EXPECT_THAT(refusal("50ms, 200ms", "200ms, 50ms"),
              HasSubstr("spec.faults[0].severities[2]: is out of order"));
  EXPECT_THAT(refusal("50ms, 200ms", "10ms"),
              HasSubstr("spec.faults[0].severities[1]: is out of order"));
  EXPECT_THAT(refusal("{direction: to}", "{direction: to, latency: 1s}"),
              HasSubstr("spec.faults[0].fault.networkLatency.latency: is what varies"));
  EXPECT_THAT(refusal("networkLatency", "networkLatncy"), HasSubstr("networkLatency"));
  EXPECT_THAT(refusal("resolution: 10ms", "resolution: 0s"),
              HasSubstr("s.yaml:14: spec.faults[0].resolution"));
  EXPECT_THAT(refusal("resolution: 10ms", "resolution: 1ns"), HasSubstr("more than 1000000 steps"));
  EXPECT_THAT(refusal("name: link", "name: latency"), HasSubstr("is the name of another row"));
  EXPECT_THAT(refusal("kind: Sweep", "kind: Swep"), HasSubstr("Sweep"));
  EXPECT_THAT(refusal("expect: {alerts: [{name: Slow, within: 2s}]}", "seed: 1"),
              HasSubstr("expects no alert"));
  EXPECT_THAT(refusal("{namespaces: [shop]}", "{}"),
              HasSubstr("s.yaml:6: spec.experiment.target.selector: must select something"));
  EXPECT_THAT(refusal("least: 1s", "least: 2m"), HasSubstr("least is longer than most"));
  EXPECT_THAT(refusal("fault: 2s", "fault: 8h"), HasSubstr("at most 24 h are one sweep"));
  EXPECT_THAT(refusal("name: pay,", "name: " + std::string(60, 'p') + ","),
              HasSubstr("at most 63"));
  EXPECT_THAT(refusal("severities: [10mbit, 1mbit]", "severities: []"), HasSubstr("empty"));
}

TEST(Sweep, WhatIsWrongInACellIsToldWhereItIsWritten) {
  EXPECT_THAT(refusal("{direction: to}", "{direction: to, jitter: 20ms}"),
              HasSubstr("spec.faults[0].fault.networkLatency.jitter"));
  EXPECT_THAT(refusal("phases:", "containerNames: []\n    phases:"), HasSubstr("spec.experiment"));
}

TEST(Sweep, StepsGoFromTheMildestToTheStrongest) {
  const auto sweep = parse_sweep(kSweep, "s.yaml");
  ASSERT_TRUE(sweep);
  const auto up = SeveritySteps::of(sweep->spec.faults[0], "10ms");
  ASSERT_TRUE(up) << up.error().message;
  EXPECT_EQ(up->last(), 19);
  EXPECT_EQ(up->text(0), "10ms");
  EXPECT_EQ(up->text(7), "80ms");
  EXPECT_EQ(up->text(19), "200ms");
  EXPECT_EQ(up->step_of("50ms"), 4);
  EXPECT_EQ(up->step_of("55ms"), std::nullopt);
  const auto uneven = SeveritySteps::of(sweep->spec.faults[0], "70ms");
  ASSERT_TRUE(uneven);
  EXPECT_EQ(uneven->last(), 3);
  EXPECT_EQ(uneven->text(2), "150ms");
  EXPECT_EQ(uneven->step_of("200ms"), 3);
  const auto down = SeveritySteps::of(sweep->spec.faults[1], "1mbit");
  ASSERT_TRUE(down) << down.error().message;
  EXPECT_EQ(down->last(), 9);
  EXPECT_EQ(down->text(1), "9mbit");
  EXPECT_FALSE(SeveritySteps::of(sweep->spec.faults[0], "fast"));
  EXPECT_TRUE(milder(sweep->spec.faults[1], "5mbit", "2mbit"));
  EXPECT_FALSE(milder(sweep->spec.faults[0], "50ms", "20ms"));
}

TEST(Sweep, FractionsHaveNoNoise) {
  const auto sweep = parse_sweep(
      changed("fault: {networkBandwidth: {}}\n    vary: rate\n    severities: [10mbit, 1mbit]",
              "fault: {networkLoss: {}}\n    vary: loss\n    severities: [0.05, 50%]"),
      "s");
  ASSERT_TRUE(sweep) << sweep.error().message;
  const auto steps = SeveritySteps::of(sweep->spec.faults[1], "1%");
  ASSERT_TRUE(steps);
  EXPECT_EQ(steps->last(), 45);
  for (std::int64_t i = 1; i <= 45; ++i) {
    EXPECT_EQ(steps->text(i), std::to_string(5 + i) + "%");
    EXPECT_EQ(steps->step_of(steps->text(i)), i);
  }
}

TEST(Sweep, SaysWhatItIs) {
  EXPECT_TRUE(says_sweep(kSweep));
  EXPECT_FALSE(says_sweep("kind: Experiment\n"));
  EXPECT_FALSE(says_sweep("kind: [Sweep]\n"));
  EXPECT_FALSE(says_sweep("{{{"));
}

TEST(Sweep, ExamplesAreValid) {
  int count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(test::source_dir() / "docs/examples/sweeps")) {
    std::ifstream in(entry.path());
    std::stringstream text;
    text << in.rdbuf();
    const auto sweep = parse_sweep(text.str(), entry.path().filename().string());
    EXPECT_TRUE(sweep) << sweep.error().message;
    ++count;
  }
  EXPECT_GE(count, 1);
}

TEST(Sweep, EveryKeyHasHelpAndIsInTheDocumentation) {
  std::ifstream in(test::source_dir() / "docs/sweep.md");
  std::stringstream text;
  text << in.rdbuf();
  const auto schema = sweep_schema();
  for (const char* type : {"Sweep", "SweepSpec", "SweptFault", "SweepRest"})
    for (const auto& [key, field] : schema.at("$defs").at(type).at("properties").as_object()) {
      EXPECT_THAT(text.str(), HasSubstr("`" + std::string(key) + "`")) << type;
      EXPECT_TRUE(field.as_object().contains("description")) << type << "." << key;
    }
}

TEST(SweepProgress, ReadsBackWhatWasWritten) {
  SweepProgress progress{.apiVersion = "faultline.dev/v1alpha1",
                         .kind = "SweepProgress",
                         .id = "0123456789abcdef",
                         .seed = 7,
                         .document = *parse_sweep(kSweep, "s")};
  progress.cells.push_back({.fault = "latency",
                            .severity = "10ms",
                            .experiment = "pay-latency-1",
                            .state = CellState::done,
                            .attempts = 2,
                            .alerts = {{"Slow", DetectionVerdict::not_notified, 3.5, "why"}},
                            .effectsBack = false,
                            .notes = {"a"}});
  const std::string text = sweep_progress_text(progress);
  const auto back = parse_sweep_progress(text);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(sweep_progress_text(*back), text);
  EXPECT_TRUE(same_document(back->document, progress.document));
  EXPECT_EQ(back->cells[0].alerts[0].verdict, DetectionVerdict::not_notified);
  for (std::size_t cut = 0; cut < text.size(); cut += 7)
    EXPECT_FALSE(parse_sweep_progress(text.substr(0, cut))) << cut;
  EXPECT_FALSE(parse_sweep_progress("{}"));
  EXPECT_FALSE(parse_sweep_progress(R"({"apiVersion": "faultline.dev/v1alpha1"})"));
}

TEST(SweepProgress, AnotherSeverityIsAnotherDocument) {
  EXPECT_FALSE(
      same_document(*parse_sweep(kSweep, "s"), *parse_sweep(changed("50ms", "60ms"), "s")));
  EXPECT_TRUE(same_document(*parse_sweep(kSweep, "s"),
                            *parse_sweep("# a comment\n" + std::string(kSweep), "s")));
}

}  // namespace
}  // namespace faultline::api
