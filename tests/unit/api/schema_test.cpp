// SPDX-License-Identifier: Apache-2.0
// The schema against a validator that is not ours, the examples, and the documentation.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "api/codec.h"
#include "tests/unit/api/against_schema.h"

namespace faultline::api {
namespace {

namespace fs = std::filesystem;

std::string content(const fs::path& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in) << path;
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<fs::path> examples() {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(test::source_dir() / "docs/examples"))
    if (entry.path().extension() == ".yaml") found.push_back(entry.path());
  return found;
}

// In docs/examples/slow-payments.yaml, `old` becomes `now`; parser and schema both refuse it.
struct Change {
  std::string_view old;
  std::string_view now;
};
constexpr Change kRefused[] = {
    {"faultline.dev/v1alpha1", "v1"},
    {"kind: Experiment", "kind: Pod"},
    {"kind: Experiment\n", ""},
    {"name: slow-payments", "name: Slow_Payments"},
    {"name: slow-payments", "nme: slow-payments"},
    {"namespaces: [shop]", "namespaces: shop"},
    {"mode: all", "mode: most"},
    {"mode: all", "mode: fixed"},
    {"mode: all", "mode: all\n    value: 2"},
    {"networkLatency", "networkLatncy"},
    {"latency: 200ms\n", "latency: 200\n"},
    {"latency: 200ms\n", "latency: 0s\n"},
    {"latency: 200ms\n", "latency: soon\n"},
    {"        latency: 200ms\n", ""},
    {"direction: to", "direction: up"},
    {"ports: [8080]", "ports: [0]"},
    {"ports: [8080]", "ports: [\"http\"]"},
    {"ports: [8080]", "ports: []"},
    {"ports: [8080]", "ports: null"},
    {"ports: [8080]", "ports: [8080]\n        cidrs: []"},
    {"ports: [8080]", "ports: [8080]\n        peer: {}"},
    {"ports: [8080]", "ports: [8080]\n        peer: null"},
    {"ports: [8080]", "ports: [8080]\n        peer: {namespaces: []}"},
    {"namespaces: [shop]", "namespaces: []"},
    {"namespaces: [shop]", "namespaces: [shop]\n      pods: {shop: []}"},
    {"namespaces: [shop]", "namespaces: [shop]\n      nodes: []"},
    {"protocol: tcp", "protocol: sctp"},
    {"protocol: tcp", "probability: 0"},
    {"metric: request.latency", "metric: request.latncy"},
    {"quantile: 0.99", "quantile: 99"},
    {"below: 1s", "below: 1s\n        above: 2s"},
    {"        below: 1s\n", ""},
    {"effect: request.errors, ", ""},
    {"maxPods: 5", "maxPods: 0"},
    {"maxPercent: 100", "maxPercent: 101"},
    {"maxPods: 5", "maxPod: 5"},
};

TEST(Schema, AcceptsTheExamplesAndRefusesWhatTheParserRefuses) {
  SchemaCheck check(experiment_schema());
  for (const fs::path& path : examples()) {
    const auto parsed = parse_experiment(content(path), path.filename().string());
    ASSERT_TRUE(parsed) << parsed.error().message;
    check.text(content(path), true);
    check.value(to_json(*parsed), true);  // what we write is valid too
  }
  const std::string base = content(test::source_dir() / "docs/examples/slow-payments.yaml");
  for (const Change& change : kRefused) {
    std::string text = base;
    const std::size_t at = text.find(change.old);
    ASSERT_NE(at, std::string::npos) << change.old;
    text.replace(at, change.old.size(), change.now);
    EXPECT_FALSE(parse_experiment(text, "f")) << change.old << " -> " << change.now;
    check.text(text, false);
  }
  check.run();
}

TEST(Schema, EveryKeyHasHelpAndIsInTheDocumentation) {
  const std::string text = content(test::source_dir() / "docs/experiment.md");
  const auto schema = experiment_schema();
  for (const auto& [name, type] : schema.at("$defs").as_object())
    for (const auto& [key, field] : type.at("properties").as_object()) {
      EXPECT_NE(text.find("`" + std::string(key) + "`"), std::string::npos) << name << "." << key;
      EXPECT_TRUE(field.as_object().contains("description")) << name << "." << key;
    }
}

}  // namespace
}  // namespace faultline::api
