// SPDX-License-Identifier: Apache-2.0
// The generated CustomResourceDefinition in front of a real API server: it takes what the parser
// takes and refuses what is wrong, without a webhook.
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "api/codec.h"
#include "tests/cluster/harness.h"

namespace faultline::test {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using testing::HasSubstr;

std::string content(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Answer {
  int exit_code = -1;
  std::string text;  // standard output and error
};

// Words by blanks; "-" is a file with `input`.
Answer kubectl_words(const std::string& arguments, const std::string& input = "") {
  const TemporaryFile file(input);
  std::vector<std::string> words;
  std::istringstream in(arguments);
  for (std::string word; in >> word;) words.push_back(word == "-" ? file.path() : word);
  const auto said = kubectl(words);
  return {said.status, said.output};
}

class Crd : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const auto applied = kubectl_words("apply -f " + source("daemonset/base/crd.yaml"));
    ASSERT_EQ(applied.exit_code, 0) << applied.text;
    const auto waited = kubectl_words(
        "wait --for=condition=Established --timeout=30s crd/experiments.faultline.dev");
    ASSERT_EQ(waited.exit_code, 0) << waited.text;
    EXPECT_TRUE(comes_true([] { return kubectl_words("get flx").exit_code == 0; }, 10s));
  }
  // With all that was made of it.
  static void TearDownTestSuite() {
    kubectl_words("delete --timeout=60s crd experiments.faultline.dev");
  }
  // The server alone decides: kubectl does not look at the document.
  static Answer create(const std::string& text) {
    return kubectl_words("create --validate=false -f -", text);
  }
};

std::string experiment(const std::string& name, const std::string& faults,
                       const std::string& more = "") {
  return "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: " + name +
         "}\nspec:\n  target: {selector: {namespaces: [shop]}}\n  faults:\n" + faults + more;
}

TEST_F(Crd, IsStructuralAndServed) {
  const auto got = kubectl_words("get crd experiments.faultline.dev -o json");
  ASSERT_EQ(got.exit_code, 0) << got.text;
  std::map<std::string, std::string> conditions;
  const json::value crd = json::parse(got.text);
  for (const auto& c : crd.at("status").at("conditions").as_array())
    conditions[json::value_to<std::string>(c.at("type"))] =
        json::value_to<std::string>(c.at("status"));
  EXPECT_EQ(conditions["Established"], "True");
  EXPECT_EQ(conditions["NamesAccepted"], "True");
  EXPECT_FALSE(conditions.contains("NonStructuralSchema")) << got.text;
}

TEST_F(Crd, EveryExampleIsTakenAndComesBackTheSame) {
  int checked = 0;
  for (const auto& entry : fs::directory_iterator(source("docs/examples"))) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string text = content(entry.path());
    // With kubectl's own look at it too, as a person would.
    const auto made = kubectl_words("apply -f -", text);
    ASSERT_EQ(made.exit_code, 0) << entry.path() << made.text;
    const auto parsed = api::parse_experiment(text, "f");
    ASSERT_TRUE(parsed) << parsed.error().message;
    const auto got = kubectl_words("get flx " + parsed->metadata.name + " -o json");
    ASSERT_EQ(got.exit_code, 0) << got.text;
    const auto back = api::from_cluster_json(json::parse(got.text));
    ASSERT_TRUE(back) << back.error().message;
    // Defaults that the server filled in are those of the structs: nothing else has changed.
    api::Experiment same = back->experiment;
    same.metadata = parsed->metadata;
    EXPECT_EQ(api::to_yaml(same), api::to_yaml(*parsed));
    EXPECT_FALSE(back->object.uid.empty());
    EXPECT_EQ(back->object.generation, 1);
    ++checked;
  }
  EXPECT_GE(checked, 4);
}

TEST_F(Crd, EveryFaultAndEveryWayToWriteAValueIsTaken) {
  const char* faults[] = {
      "    - networkPartition:\n",
      "    - networkPartition: {}\n",
      "    - networkLatency: {latency: 1.5s, jitter: 0, probability: 0.05, correlation: 25%}\n",
      "    - networkLatency: {latency: 2s, jitter: 0s, peer: {pods: {shop: [a]}}, cidrs: "
      "[fd00::/8]}\n",
      "    - networkLoss: {loss: 1, burst: {length: 5, goodLoss: 0.001, badLoss: 100%}}\n",
      "    - networkLoss: {loss: 5%, correlation: 0}\n",
      "    - networkDuplicate: {duplicate: 0.5%}\n",
      "    - networkCorrupt: {corrupt: 1%}\n",
      "    - networkReorder: {reorder: 5%, latency: 10ms}\n",
      "    - networkBandwidth: {rate: 10mbit, burst: 64Ki}\n",
      "    - networkBandwidth: {rate: 1.5mbps, burst: 4096}\n",
      "    - tcpReset: {protocol: tcp, ports: [1, 65535]}\n",
      "    - dnsError: {rcode: NXDOMAIN, names: ['*.example.org']}\n",
      "    - dnsError: {drop: true}\n",
      "    - dnsError: {delay: 2s, drop: false}\n",
      "    - socketError: {operations: [connect], errno: ECONNREFUSED}\n",
      "    - syscallError: {syscalls: [openat], errno: EIO, every: 3, path: /data}\n",
      "    - syscallLatency: {syscalls: [io], latency: 5ms, spin: false}\n",
      "    - cpuPressure: {workers: 2, load: 12.5}\n    - cpuPressure: {percent: 80}\n",
      "    - memoryPressure: {bytes: 64Mi}\n",
      "    - processPause: {process: nginx}\n",
      "    - processKill: {signal: SIGTERM}\n    - processPause: {}\n"};
  int number = 0;
  for (const std::string fault : faults) {
    const std::string text = experiment("valid-" + std::to_string(number++), fault);
    const auto parsed = api::parse_experiment(text, "f");
    ASSERT_TRUE(parsed) << text << parsed.error().message;
    const auto made = create(text);
    EXPECT_EQ(made.exit_code, 0) << fault << made.text;
  }
  const std::string more =
      "  phases: {baseline: 0, fault: 1h, recovery: 0s}\n  seed: 42\n  abortWhen:\n"
      "    - {promql: up, below: 0.5}\n    - {effect: request.errors, above: 50%}\n"
      "  expect:\n    effects:\n      - {metric: request.latency, quantile: 0.99, below: 1s}\n"
      "    signals:\n      - {promql: up, equals: request.rate, tolerance: 0.2}\n"
      "  limits: {maxPods: 10, maxPercent: 33.3}\n";
  const std::string text = experiment("valid-more", "    - networkPartition: {}\n", more);
  ASSERT_TRUE(api::parse_experiment(text, "f"));
  const auto made = create(text);
  EXPECT_EQ(made.exit_code, 0) << made.text;
}

TEST_F(Crd, WhatIsWrongIsRefusedByTheServer) {
  const std::pair<const char*, const char*> wrong[] = {
      {"    - {networkPartition: {}, tcpReset: {}}\n", "spec.faults"},
      {"    - {}\n", "spec.faults"},
      {"    - networkLatncy: {latency: 1s}\n", "spec.faults"},
      {"    - networkLatency: {}\n", "latency"},
      {"    - networkLatency: {latency: soon}\n", "latency"},
      {"    - networkLatency: {latency: 0s}\n", "latency"},
      {"    - networkLatency: {latency: 200}\n", "latency"},
      {"    - networkLatency: {latency: 1s, jitter: 5}\n", "jitter"},
      {"    - networkLatency: {latency: 1s, direction: up}\n", "direction"},
      {"    - networkLatency: {latency: 1s, ports: [0]}\n", "ports"},
      {"    - networkLatency: {latency: 1s, ports: [http]}\n", "ports"},
      {"    - networkLatency: {latency: 1s, cidrs: [example.org]}\n", "cidrs"},
      {"    - networkLoss: {loss: 0}\n", "loss"},
      {"    - networkLoss: {loss: 0%}\n", "loss"},
      {"    - networkLoss: {loss: 101%}\n", "loss"},
      {"    - networkLoss: {loss: 1.5}\n", "loss"},
      {"    - networkLoss: {loss: 5%, correlation: 5%, burst: {length: 2}}\n", "networkLoss"},
      {"    - networkBandwidth: {rate: fast}\n", "rate"},
      {"    - dnsError: {rcode: NXDOMAIN, delay: 1s}\n", "dnsError"},
      {"    - dnsError: {names: [a.example]}\n", "dnsError"},
      {"    - dnsError: {rcode: NOSUCH}\n", "rcode"},
      {"    - socketError: {operations: [connect], errno: ENOSUCH}\n", "errno"},
      {"    - socketError: {operations: [], errno: EIO}\n", "operations"},
      {"    - socketError: {operations: [connect], errno: EIO, direction: from}\n", "direction"},
      {"    - syscallError: {errno: EIO}\n", "syscalls"},
      {"    - cpuPressure: {workers: 0}\n", "workers"},
      {"    - cpuPressure: {workers: 1, percent: 50}\n", "cpuPressure"},
      {"    - memoryPressure: {bytes: much}\n", "bytes"},
      {"    - processKill: {signal: SIGNOSUCH}\n", "signal"}};
  for (const auto& [fault, where] : wrong) {
    const std::string text = experiment("wrong", fault);
    EXPECT_FALSE(api::parse_experiment(text, "f")) << fault;
    const auto made = create(text);
    EXPECT_NE(made.exit_code, 0) << fault << made.text;
    EXPECT_THAT(made.text, HasSubstr("is invalid")) << fault;
    EXPECT_THAT(made.text, HasSubstr(where)) << fault;
  }
  const std::string base = experiment("wrong", "    - networkPartition: {}\n");
  const std::pair<const char*, const char*> changes[] = {
      {"{selector: {namespaces: [shop]}}", "{}"},
      {"{selector: {namespaces: [shop]}}", "{selector: {}}"},
      {"{selector: {namespaces: [shop]}}", "{selector: {namespaces: [shop]}, mode: most}"},
      {"{selector: {namespaces: [shop]}}", "{selector: {namespaces: [shop]}, mode: fixed}"},
      {"{selector: {namespaces: [shop]}}", "{selector: {namespaces: [shop]}, mode: all, value: 2}"},
      {"{selector: {namespaces: [shop]}}",
       "{selector: {namespaces: [shop]}, mode: fixed, value: x}"},
      {"{name: wrong}", "{name: a.b}"},
      {"spec:\n", "spec:\n  phases: {fault: 0s}\n"},
      {"spec:\n", "spec:\n  limits: {maxPods: 0}\n"},
      {"spec:\n", "spec:\n  limits: {maxPercent: 101}\n"},
      {"spec:\n", "spec:\n  abortWhen: [{effect: cpu.usage, above: 1, below: 2}]\n"},
      {"spec:\n", "spec:\n  expect: {effects: [{metric: no.such, below: 1}]}\n"}};
  for (const auto& [old, now] : changes) {
    std::string text = base;
    text.replace(text.find(old), std::string_view(old).size(), now);
    EXPECT_FALSE(api::parse_experiment(text, "f")) << now;
    const auto made = create(text);
    EXPECT_NE(made.exit_code, 0) << now << made.text;
    EXPECT_THAT(made.text, HasSubstr("is invalid")) << now;
  }
}

TEST_F(Crd, AMisspeltKeyIsKeptForTheWebhookAndRefusedByName) {
  const std::string text =
      experiment("misspelt", "    - networkLatency: {latency: 1s, peerPort: [5432]}\n");
  ASSERT_EQ(create(text).exit_code, 0);
  const auto got = kubectl_words("get flx misspelt -o json");
  const auto back = api::from_cluster_json(json::parse(got.text));
  ASSERT_FALSE(back) << "a filter that is dropped would hit everything";
  EXPECT_THAT(back.error().message, HasSubstr("did you mean \"peerPorts\"?"));
}

TEST_F(Crd, StatusIsASubresourceAndShownInColumns) {
  ASSERT_EQ(create(experiment("seen", "    - networkPartition: {}\n")).exit_code, 0);
  api::ExperimentStatus status;
  status.phase = api::RunState::Completed;
  status.run = "seen-20261126T101502Z";
  status.pods = 2;
  status.injected = 4155;
  status.targets = {{"shop", "a-0", "n1"}, {"shop", "a-1", "n2"}};
  status.verdict = api::RunVerdict::not_real;
  status.startedAt = *api::Timestamp::parse("2026-11-26T10:15:02.123456Z");
  status.conditions = {{.type = api::ConditionType::Selected,
                        .status = api::ConditionStatus::True,
                        .reason = "Chosen",
                        .lastTransitionTime = status.startedAt}};
  status.injections = {{.pod = "shop/a-0",
                        .fault = "networkPartition",
                        .matched = 10,
                        .injected = 5,
                        .rate = 0.5,
                        .verdict = api::InjectionVerdict::no_traffic}};
  const auto got = kubectl_words("get flx seen -o json");
  json::value object = json::parse(got.text);
  object.as_object()["status"] = api::to_json(status);
  const std::string path =
      "/apis/faultline.dev/v1alpha1/namespaces/default/experiments/seen/status";
  const auto put = kubectl_words("replace --raw " + path + " -f -", json::serialize(object));
  ASSERT_EQ(put.exit_code, 0) << put.text;
  const auto back = api::from_cluster_json(json::parse(put.text));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(json::serialize(api::to_json(back->status)), json::serialize(api::to_json(status)));
  EXPECT_EQ(back->object.generation, 1) << "a status is no change of the spec";
  const auto table = kubectl_words("get flx seen -o wide");
  EXPECT_THAT(table.text, testing::ContainsRegex("NAME +PHASE +PODS +INJECTED +VERDICT +AGE +RUN"));
  EXPECT_THAT(table.text, testing::ContainsRegex("seen +Completed +2 +4155 +not-real"));
  // And what is no status is refused.
  json::value wrong = json::parse(put.text);
  wrong.at("status").as_object()["phase"] = "Dancing";
  const auto refused = kubectl_words("replace --raw " + path + " -f -", json::serialize(wrong));
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.text, HasSubstr("status.phase"));
}

}  // namespace
}  // namespace faultline::test
