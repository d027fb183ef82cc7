// SPDX-License-Identifier: Apache-2.0
// What a template that rendered nothing leaves behind: a filter that names nothing would hit
// everything, and a fault that does nothing would look like a service that withstood it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>

#include "api/codec.h"

namespace faultline::api {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::StartsWith;

// The fault's keys begin in line 7, one a line.
std::string with_fault(const std::string& name, const std::string& keys) {
  std::string text =
      "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: a}\nspec:\n"
      "  target: {selector: {namespaces: [shop]}}\n  faults:\n    - " +
      name + ":\n";
  std::string line;
  for (const char c : keys + "\n") {
    line += c;
    if (c != '\n') continue;
    text += "        " + line;
    line.clear();
  }
  return text;
}
// The selector's keys are in line 5.
std::string with_target(const std::string& keys) {
  return "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: a}\nspec:\n"
         "  target: {selector: {namespaces: [shop]" +
         keys + "}}\n  faults: [{networkPartition: {}}]\n";
}
std::string refusal(const std::string& text) {
  const auto parsed = parse_experiment(text, "f");
  return parsed ? "" : parsed.error().message;
}

struct Named {
  const char* fault;
  const char* needed;
};
constexpr Named kNetwork[] = {{"networkLatency", "latency: 50ms"},
                              {"networkLoss", "loss: 5%"},
                              {"networkDuplicate", "duplicate: 5%"},
                              {"networkCorrupt", "corrupt: 5%"},
                              {"networkReorder", "reorder: 5%"},
                              {"networkBandwidth", "rate: 1mbit"},
                              {"networkPartition", "direction: to"},
                              {"tcpReset", "probability: 5%"},
                              {"dnsError", "drop: true"},
                              {"socketError", "operations: [connect]\nerrno: EIO"}};

TEST(EmptyFilters, AreRefusedInEveryFaultOfTheNetworkByLineAndField) {
  for (const auto& [fault, needed] : kNetwork) {
    ASSERT_EQ(refusal(with_fault(fault, needed)), "") << fault;
    const std::string keys = std::string(needed) + "\n";
    const long line = 8 + std::count(keys.begin(), keys.end(), '\n');
    for (const char* key :
         {"cidrs: []", "ports: []", "podPorts: []", "peerPorts: []", "peer: {}"}) {
      const std::string name(key, std::strchr(key, ':'));
      EXPECT_EQ(refusal(with_fault(fault, keys + key)),
                "f:" + std::to_string(line) + ": spec.faults[0]." + fault + "." + name +
                    ": must not be empty: it names nothing, so everything would match; leave the "
                    "key out if that is meant");
    }
    // "ports:" and nothing after it.
    for (const char* key : {"cidrs", "ports", "podPorts", "peerPorts", "peer"})
      for (const char* nothing : {":", ": null", ": ~"})
        EXPECT_THAT(refusal(with_fault(fault, keys + key + nothing)),
                    testing::AllOf(StartsWith("f:" + std::to_string(line) + ": spec.faults[0]." +
                                              fault + "." + key + ": expected a "),
                                   HasSubstr(", got nothing")));
    for (const char* peer : {"namespaces: []", "labelSelectors: {}", "pods: {}", "nodes: []",
                             "pods: {shop: []}", "labelSelectors: null", "namespaces: ['']"})
      EXPECT_THAT(refusal(with_fault(fault, keys + "peer: {nodes: [n1], " + peer + "}")),
                  HasSubstr("." + std::string(fault) + ".peer."))
          << peer;
  }
}

TEST(EmptyFilters, OfSystemCallsProcessesAndNamesAreRefused) {
  for (const char* fault : {"syscallError", "syscallLatency"})
    for (const char* key : {"path: ''", "process: ''", "path:", "process:", "syscalls: ['']"}) {
      std::string keys = std::string(fault) == "syscallError" ? "errno: EIO\n" : "latency: 1ms\n";
      if (!std::string_view(key).starts_with("syscalls")) keys += "syscalls: [read]\n";
      EXPECT_NE(refusal(with_fault(fault, keys + key)), "") << fault << " " << key;
    }
  for (const char* fault : {"processPause", "processKill"})
    EXPECT_THAT(refusal(with_fault(fault, "process: ''")),
                HasSubstr(std::string(fault) + ".process: must not be empty: it names nothing"));
  for (const char* key : {"names: []", "names:", "names: ['']"})
    EXPECT_THAT(refusal(with_fault("dnsError", std::string("drop: true\n") + key)),
                HasSubstr("dnsError.names"));
}

TEST(EmptyFilters, OfSelectorsAreRefusedWhereverTheyStand) {
  for (const char* keys :
       {", labelSelectors: {}", ", labelSelectors: null", ", pods: {}", ", nodes: []",
        ", nodes: null", ", pods: {shop: []}", ", pods: {shop: null}", ", nodes: ['']"})
    EXPECT_THAT(refusal(with_target(keys)), StartsWith("f:5: spec.target.selector.")) << keys;
  EXPECT_THAT(refusal(with_target("}, containerNames: [], mode: {")),
              HasSubstr("spec.target.containerNames: must not be empty"));
  const std::string more = with_target("");
  EXPECT_THAT(refusal(more + "  observe: [{namespaces: [web], labelSelectors: {}}]\n"),
              StartsWith("f:7: spec.observe[0].labelSelectors: must not be empty"));
  for (const char* selector : {"{}", "", "{namespaces: []}"})
    EXPECT_THAT(refusal(more + "  expect: {effects: [{metric: tcp.rtt, below: 1s, selector: " +
                        selector + "}]}\n"),
                StartsWith("f:7: spec.expect.effects[0].selector"))
        << selector;
}

TEST(EmptyFilters, AreRefusedByTheWebhooksReaderAndByTheSchemaOfTheCluster) {
  const json::value object = json::parse(R"({"apiVersion":"faultline.dev/v1alpha1",
    "kind":"Experiment","metadata":{"name":"a","namespace":"shop","uid":"1"},
    "spec":{"target":{"selector":{"namespaces":["shop"]}},
            "faults":[{"networkLoss":{"loss":"5%"}}]}})");
  ASSERT_TRUE(from_cluster_json(object));
  for (const auto& [key, nothing] : {std::pair<const char*, json::value>{"cidrs", json::array{}},
                                     {"ports", json::array{}},
                                     {"peer", json::object{}},
                                     {"ports", nullptr},
                                     {"peer", nullptr}}) {
    json::value changed = object;
    changed.at_pointer("/spec/faults/0/networkLoss").as_object()[key] = nothing;
    const auto read = from_cluster_json(changed);
    ASSERT_FALSE(read) << key;
    EXPECT_THAT(read.error().message,
                StartsWith("spec.faults[0].networkLoss." + std::string(key) + ": "));
  }
  const json::value crd = experiment_crd();
  const json::value& spec =
      crd.at_pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties");
  const json::value& faults = spec.at_pointer("/faults/items/properties");
  for (const auto& [fault, needed] : kNetwork) {
    const json::value& keys = faults.at(fault).at("properties");
    for (const char* list : {"cidrs", "ports", "podPorts", "peerPorts"})
      EXPECT_EQ(keys.at(list).at("minItems"), 1) << fault << " " << list;
    EXPECT_EQ(keys.at("peer").at("minProperties"), 1) << fault;
  }
  EXPECT_EQ(faults.at_pointer("/dnsError/properties/names/minItems"), 1);
  EXPECT_EQ(faults.at_pointer("/syscallError/properties/path/minLength"), 1);
  const json::value& selector = spec.at_pointer("/target/properties/selector/properties");
  EXPECT_EQ(selector.at_pointer("/labelSelectors/minProperties"), 1);
  EXPECT_EQ(selector.at_pointer("/pods/additionalProperties/minItems"), 1);
}

// An agent reads the experiment of a controller: what was left out there is not written.
TEST(EmptyFilters, AreNotWhatWeWriteForWhatWasLeftOut) {
  for (const auto& [fault, needed] : kNetwork) {
    const auto parsed = parse_experiment(with_fault(fault, needed), "f");
    ASSERT_TRUE(parsed) << parsed.error().message;
    const auto again = from_json<Experiment>(to_json(*parsed));
    EXPECT_TRUE(again) << again.error().message;
    EXPECT_TRUE(parse_experiment(to_yaml(*parsed), "again"));
    EXPECT_TRUE(validate(*parsed));
  }
}

TEST(FaultsThatDoNothing, AreRefusedByLineAndField) {
  const struct {
    const char *fault, *keys, *says;
  } cases[] = {
      {"networkLatency", "latency: 0s", "latency: must be more than 0s and at most 10s, got 0s"},
      {"networkLatency", "latency: 0s\njitter: 0s", "latency: must be more than 0s"},
      {"networkLatency", "latency: 0", "latency: must be more than 0s"},
      {"networkLatency", "probability: 0%\nlatency: 1ms", "probability: must be more than 0%"},
      {"networkLoss", "loss: 0%", "loss: must be more than 0%"},
      {"networkLoss", "loss: 0.0000000001%", "loss: is so small that it never happens"},
      {"networkLoss", "{}", "missing required key \"loss\""},
      {"networkDuplicate", "duplicate: 0", "duplicate: must be more than 0%"},
      {"networkCorrupt", "corrupt: 0.0", "corrupt: must be more than 0%"},
      {"networkReorder", "reorder: 0%", "reorder: must be more than 0%"},
      {"networkReorder", "latency: 0s\nreorder: 5%", "latency: must be more than 0s"},
      {"networkBandwidth", "burst: 64Ki", "missing required key \"rate\""},
      {"networkBandwidth", "rate: 0mbit", "rate: "},
      {"tcpReset", "probability: 0%", "probability: must be more than 0%"},
      {"dnsError", "names: [a.example]", "needs exactly one of rcode, drop and delay"},
      {"dnsError", "drop: false", "needs exactly one of rcode, drop and delay"},
      {"dnsError", "delay: 0s", "delay: must be more than 0s"},
      {"dnsError", "delay:", "delay: expected "},
      {"socketError", "operations: []\nerrno: EIO", "operations: must not be empty"},
      {"syscallError", "syscalls: []\nerrno: EIO", "syscalls: must not be empty"},
      {"syscallLatency", "latency: 0s\nsyscalls: [read]", "latency: must be more than 0s"},
      {"cpuPressure", "load: 0", "load: must be more than 0"},
      {"cpuPressure", "workers: 0", "workers: must be from 1"},
      {"cpuPressure", "percent: 0", "percent: must be more than 0"},
      {"memoryPressure", "bytes: 0", "bytes: must be at least 1"}};
  for (const auto& c : cases) {
    const std::string message = refusal(with_fault(c.fault, c.keys));
    EXPECT_THAT(message, testing::MatchesRegex("f:[78]: spec.faults.0..*")) << c.fault;
    EXPECT_THAT(message,
                HasSubstr(c.fault + std::string(c.says[0] == 'm' || c.says[0] == 'n' ? ": " : ".") +
                          c.says));
  }
  // The smallest that the kernel's dice can throw.
  EXPECT_EQ(refusal(with_fault("networkLoss", "loss: 0.0000001%")), "");
}

}  // namespace
}  // namespace faultline::api
