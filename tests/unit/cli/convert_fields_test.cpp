// SPDX-License-Identifier: Apache-2.0
// No field of Chaos Mesh is dropped: each of its types' fields (chaos_mesh_fields.txt) changes the
// experiment or is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "api/codec.h"
#include "cli/convert/convert.h"
#include "cli/convert/mapping.h"
#include "tests/places.h"

namespace faultline::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

struct Field {
  std::string kind, path;
};

std::vector<Field> chaos_mesh_fields() {
  std::ifstream in(test::source_dir() / "tests/unit/cli/chaos_mesh_fields.txt");
  std::vector<Field> out;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream words(line);
    words >> out.emplace_back().kind >> out.back().path;
  }
  EXPECT_GT(out.size(), 150U);
  return out;
}

// The smallest manifest of a kind; all of it is converted.
json::object smallest(const std::string& kind) {
  json::object spec{{"mode", "one"},
                    {"selector", json::object{{"labelSelectors", json::object{{"app", "a"}}}}},
                    {"duration", "20s"}};
  if (kind == "NetworkChaos")
    spec.insert({{"action", "netem"}, {"loss", json::object{{"loss", "10"}}}});
  if (kind == "IOChaos")
    spec.insert({{"action", "latency"}, {"delay", "10ms"}, {"volumePath", "/data"}});
  if (kind == "StressChaos")
    spec["stressors"] = json::object{{"cpu", json::object{{"workers", 1}}}};
  if (kind == "PodChaos") spec["action"] = "container-kill";
  if (kind == "DNSChaos") spec["action"] = "error";
  if (kind == "KernelChaos")
    spec["failKernRequest"] = json::object{{"failtype", 0}, {"probability", 10}};
  if (kind != "NetworkChaos" && kind != "KernelChaos" && kind != "DNSChaos")
    spec["containerNames"] = json::array{"app"};
  if (kind == "Schedule")
    spec = {{"schedule", "@every 5m"},
            {"type", "NetworkChaos"},
            {"networkChaos", smallest("NetworkChaos").at("spec")}};
  return {{"apiVersion", "chaos-mesh.org/v1alpha1"},
          {"kind", kind},
          {"metadata", json::object{{"name", "x"}, {"namespace", "shop"}}},
          {"spec", std::move(spec)}};
}

// A value that is not in smallest(), in the manifest where the field has a meaning.
struct Sample {
  std::string_view field, value;
  std::string_view beside = "{}";  // more of spec, for both manifests
};
constexpr std::string_view kDelay = R"({"action":"delay","delay":{"latency":"10ms"}})";
constexpr std::string_view kReorder =
    R"({"action":"delay","delay":{"latency":"10ms","reorder":{"reorder":"50"}}})";
constexpr std::string_view kBandwidth =
    R"({"action":"bandwidth","bandwidth":{"rate":"1mbps","limit":100,"buffer":1000}})";
constexpr std::string_view kMemory = R"({"stressors":{"memory":{"workers":1,"size":"1MB"}}})";
constexpr std::string_view kTarget =
    R"({"target":{"mode":"all","selector":{"labelSelectors":{"b":"c"}}}})";
constexpr std::string_view kFault = R"({"action":"fault","errno":5})";
constexpr std::string_view kPodKill = R"({"action":"pod-kill"})";
constexpr Sample kSamples[] = {
    {"selector.namespaces", R"(["b"])"},
    {"selector.fieldSelectors", R"({"spec.nodeName":"n1"})"},
    {"selector.labelSelectors", R"({"app":"b"})"},
    {"selector.expressionSelectors", R"([{"key":"k","operator":"Exists"}])"},
    {"selector.annotationSelectors", R"({"k":"v"})"},
    {"selector.nodes", R"(["n1"])"},
    {"selector.pods", R"({"shop":["p-0"]})"},
    {"selector.nodeSelectors", R"({"kubernetes.io/hostname":"n1"})"},
    {"selector.podPhaseSelectors", R"(["Pending"])"},
    {"mode", R"("all")"},
    {"value", R"("2")", R"({"mode":"fixed","value":"1"})"},
    {"action", R"("no such")"},
    {"device", R"("eth1")"},
    {"duration", R"("33s")"},
    {"containerNames", R"(["b"])"},
    {"remoteCluster", R"("west")"},
    {"delay.latency", R"("33ms")", kDelay},
    {"delay.correlation", R"("25")", kDelay},
    {"delay.jitter", R"("3ms")", kDelay},
    {"delay.reorder.reorder", R"("25")", kReorder},
    {"delay.reorder.correlation", R"("25")", kReorder},
    {"delay.reorder.gap", "5", kReorder},
    {"loss.loss", R"("33")"},
    {"loss.correlation", R"("25")"},
    {"duplicate.duplicate", R"("33")"},
    {"duplicate.correlation", R"("25")", R"({"duplicate":{"duplicate":"5"}})"},
    {"corrupt.corrupt", R"("33")"},
    {"corrupt.correlation", R"("25")", R"({"corrupt":{"corrupt":"5"}})"},
    {"bandwidth.rate", R"("3mbps")", kBandwidth},
    {"bandwidth.limit", "333", kBandwidth},
    {"bandwidth.buffer", "3333", kBandwidth},
    {"bandwidth.peakrate", "3", kBandwidth},
    {"bandwidth.minburst", "3", kBandwidth},
    {"rate.rate", R"("3mbps")"},
    {"direction", R"("both")"},
    {"target.selector.namespaces", R"(["b"])", kTarget},
    {"target.selector.fieldSelectors", R"({"spec.nodeName":"n1"})", kTarget},
    {"target.selector.labelSelectors", R"({"app":"b"})", kTarget},
    {"target.selector.expressionSelectors", R"([{"key":"k","operator":"Exists"}])", kTarget},
    {"target.selector.annotationSelectors", R"({"k":"v"})", kTarget},
    {"target.selector.nodes", R"(["n1"])", kTarget},
    {"target.selector.pods", R"({"shop":["p-0"]})", kTarget},
    {"target.selector.nodeSelectors", R"({"kubernetes.io/hostname":"n1"})", kTarget},
    {"target.selector.podPhaseSelectors", R"(["Pending"])", kTarget},
    {"target.mode", R"("one")", kTarget},
    {"target.value", R"("2")", kTarget},
    {"targetDevice", R"("eth1")"},
    {"partitionBehavior", R"("reject")", R"({"action":"partition"})"},
    {"externalTargets", R"(["10.0.0.7:443"])"},
    {"delay", R"("33ms")"},
    {"errno", "13", kFault},
    {"attr.atime", R"({"sec":1,"nsec":2})"},
    {"mistake.filling", R"("zero")"},
    {"path", R"("/data/*.wal")"},
    {"methods", R"(["read","readlink"])"},
    {"percent", "33"},
    {"volumePath", R"("/other")"},
    {"stressors.memory.workers", "3", kMemory},
    {"stressors.memory.size", R"("3MB")", kMemory},
    {"stressors.memory.oomScoreAdj", "3", kMemory},
    {"stressors.memory.options", R"(["-x"])", kMemory},
    {"stressors.cpu.workers", "3"},
    {"stressors.cpu.load", "33"},
    {"stressors.cpu.options", R"(["-x"])"},
    {"stressngStressors", R"("--cpu 3")"},
    {"gracePeriod", "30", kPodKill},
    {"patterns", R"(["a.example","b?.example"])"},
    {"failKernRequest.failtype", "2"},
    {"failKernRequest.headers", R"(["linux/mm.h"])"},
    {"failKernRequest.callchain.funcname", R"("__x64_sys_openat")"},
    {"failKernRequest.callchain.parameters", R"("int a")"},
    {"failKernRequest.callchain.predicate", R"("a == 1")"},
    {"failKernRequest.probability", "33"},
    {"failKernRequest.times", "3"},
    {"schedule", R"("@every 7m")"},
    {"startingDeadlineSeconds", "3"},
    {"concurrencyPolicy", R"("Forbid")"},
    {"historyLimit", "3"},
    {"type", R"("TimeChaos")"},
};

const Sample* sample_of(const std::string& path) {
  static constexpr Sample kNumber{"attr", "3"};
  for (const Sample& sample : kSamples)
    if (sample.field == path) return &sample;
  return path.starts_with("attr.") || path.starts_with("mistake.") ? &kNumber : nullptr;
}

void set(json::value& at, std::string_view path, const json::value& value) {
  const std::size_t dot = path.find('.');
  const std::string_view key = path.substr(0, dot);
  if (!at.is_object()) at = json::object{};
  json::value& child = at.get_object()[key];
  if (dot == std::string_view::npos) {
    child = value;
  } else if (key == "callchain") {  // a list of frames
    if (!child.is_array()) child = json::array{json::object{}};
    set(child.get_array()[0], path.substr(dot + 1), value);
  } else {
    set(child, path.substr(dot + 1), value);
  }
}

Conversion convert(const json::value& manifest) {
  auto out = convert_chaos_mesh(json::serialize(manifest), "m.yaml");
  EXPECT_TRUE(out) << out.error().message;
  return out ? *out : Conversion{};
}

std::string experiments(const Conversion& conversion) {
  std::string out;
  for (const Converted& one : conversion.experiments) out += api::to_yaml(one.experiment);
  return out;
}

bool told(const Conversion& conversion, const std::string& path) {
  for (const Finding& finding : conversion.findings) {
    std::string at = finding.field;
    for (std::size_t i = at.find("[0]"); i != std::string::npos; i = at.find("[0]")) at.erase(i, 3);
    if (at.starts_with("spec." + path)) return true;
  }
  return false;
}

TEST(ConvertFields, TheSmallestManifestOfEachKindIsConverted) {
  for (const char* kind : {"NetworkChaos", "IOChaos", "StressChaos", "PodChaos", "DNSChaos"}) {
    const Conversion out = convert(smallest(kind));
    EXPECT_EQ(out.experiments.size(), 1U) << kind;
    EXPECT_TRUE(out.findings.empty()) << kind << ": " << out.findings[0].text();
  }
}

TEST(ConvertFields, EachChangesTheExperimentOrIsTold) {
  for (const Field& field : chaos_mesh_fields()) {
    const Sample* sample = sample_of(field.path);
    ASSERT_NE(sample, nullptr) << field.kind << " " << field.path << " has no sample";
    json::value before = smallest(field.kind);
    const json::value beside = json::parse({sample->beside.data(), sample->beside.size()});
    for (const auto& [key, value] : beside.as_object()) before.at("spec").as_object()[key] = value;
    json::value after = before;
    set(after.at("spec"), field.path, json::parse({sample->value.data(), sample->value.size()}));
    ASSERT_NE(json::serialize(before), json::serialize(after)) << field.path;
    const Conversion was = convert(before), is = convert(after);
    EXPECT_TRUE(experiments(was) != experiments(is) || told(is, field.path))
        << field.kind << " spec." << field.path << " is dropped silently";
    // Where the experiment goes for it, that is told at the field.
    const bool gone = experiments(is).empty();
    EXPECT_TRUE(!gone || told(is, field.path)) << field.kind << " " << field.path;
  }
}

TEST(ConvertFields, EachIsInTheTable) {
  for (const Field& field : chaos_mesh_fields()) {
    std::string path = field.path;
    std::string kind = field.kind;
    if (path.starts_with("target.selector.")) path = "target.selector";
    bool found = false;
    for (const FieldRow& row : field_rows())
      found = found || (row.field == path && (row.kind.empty() || row.kind == kind));
    EXPECT_TRUE(found) << kind << " " << path;
  }
}

// Every object of a manifest gets a key that nobody knows.
void surprise(json::value& at, const std::string& path, std::vector<std::string>& paths) {
  if (!at.is_object()) return;
  for (auto& [key, value] : at.get_object()) surprise(value, path + std::string(key) + ".", paths);
  if (path.ends_with("labelSelectors.") || path.ends_with("labels.")) return;  // any key is one
  at.get_object()["surprise"] = 1;
  paths.push_back(path + "surprise");
}

TEST(ConvertFields, AKeyThatNobodyKnowsIsToldWhereverItStands) {
  for (const char* kind : {"NetworkChaos", "IOChaos", "StressChaos", "PodChaos", "DNSChaos",
                           "KernelChaos", "Schedule"}) {
    json::value manifest = smallest(kind);
    std::vector<std::string> paths;
    surprise(manifest, "", paths);
    const Conversion out = convert(manifest);
    for (const std::string& path : paths) {
      bool found = false;
      for (const Finding& finding : out.findings)
        found = found || (finding.field == path && !finding.note);
      EXPECT_TRUE(found) << kind << ": " << path;
    }
    EXPECT_FALSE(out.complete());
  }
}

TEST(ConvertFields, TheDocumentationHasTheTable) {
  std::ifstream in(test::source_dir() / "docs/convert.md");
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_NE(text.str().find(mapping_page()), std::string::npos)
      << "docs/convert.md must end with:\n"
      << mapping_page();
}

}  // namespace
}  // namespace faultline::cli
