// SPDX-License-Identifier: Apache-2.0
// "Must hold 8": each key of an experiment wrong in turn gives one clear line with its place.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "api/codec.h"

namespace faultline::api {
namespace {

// Line numbers below count from here.
constexpr std::string_view kGood = R"(apiVersion: faultline.dev/v1alpha1
kind: Experiment
metadata:
  name: good
  namespace: shop
  labels: {team: "a"}
spec:
  purpose: "to test"
  target:
    selector:
      namespaces: [shop]
      labelSelectors: {app: payments}
      nodes: [n1]
    mode: fixed
    value: 2
  faults:
    - networkLatency:
        latency: 50ms
        jitter: 5ms
        direction: both
        ports: [8080]
        correlation: 10%
        distribution: uniform
        protocol: tcp
        cidrs: [10.0.0.0/8]
    - networkLoss:
        loss: 10%
        burst:
          length: 5
          badLoss: 90%
          goodLoss: 1%
    - socketError:
        operations: [connect]
        errno: EIO
        probability: 50%
  observe:
    - namespaces: [web]
  phases:
    baseline: 0s
    fault: 30s
    recovery: 5s
  seed: 42
  expect:
    alerts:
      - name: Slow
        within: 60s
    effects:
      - metric: request.latency
        quantile: 0.99
        below: 1s
    signals:
      - promql: up
        equals: request.rate
        tolerance: 20%
  abortWhen:
    - effect: request.errors
      above: 50%
  limits:
    maxPods: 5
    maxPercent: 50
)";

// Replaces line `line` (1-based) of the good document; an empty text removes it.
std::string with_line(int line, std::string_view text) {
  std::istringstream in{std::string(kGood)};
  std::string out, row;
  for (int n = 1; std::getline(in, row); ++n) {
    if (n != line)
      out += row + "\n";
    else if (!text.empty())
      out += std::string(text) + "\n";
  }
  return out;
}

struct Case {
  int line;               // that is replaced
  std::string_view text;  // by this
  int reported;           // the line of the error
  std::string_view says;  // its path and what else must be in it
};

const Case kCases[] = {
    {1, "apiVersion: v1", 1, "apiVersion: expected one of faultline.dev/v1alpha1, got \"v1\""},
    {1, "", 1, "missing required key \"apiVersion\""},
    {1, "apiVersion: 1", 1, "apiVersion: expected text, got 1"},
    {2, "kind: Experimnt", 2, "kind: expected one of Experiment"},
    {2, "", 1, "missing required key \"kind\""},
    {4, "  name: Not_good", 4, "metadata.name: expected a name of at most 63"},
    {4, "", 3, "metadata: missing required key \"name\""},
    {4, "  nme: good", 4,
     "metadata.nme: unknown key, expected one of name, namespace, labels, "
     "annotations; did you mean \"name\"?"},
    {5, "  namespace: [a]", 5, "metadata.namespace: expected text, got a list"},
    {6, "  labels: {team: 1}", 6, "metadata.labels.team: expected text, got 1 (put it in quotes)"},
    {6, "  labels: a", 6, "metadata.labels: expected a map, got \"a\""},
    {6, "  annotations: [a]", 6, "metadata.annotations: expected a map, got a list"},
    {8, "  purpose: {a: b}", 8, "spec.purpose: expected text, got a map"},
    {8, "  purpos: x", 8, "spec.purpos: unknown key"},
    {11, "      namespace: [shop]", 11, "did you mean \"namespaces\"?"},
    {11, "      namespaces: shop", 11, "spec.target.selector.namespaces: expected a list"},
    {12, "      labelSelectors: [a]", 12, "spec.target.selector.labelSelectors: expected a map"},
    {13, "      nodes: [{a: b}]", 13, "spec.target.selector.nodes[0]: expected text, got a map"},
    {13, "      pods: {shop: a}", 13, "spec.target.selector.pods.shop: expected a list"},
    {13, "      pods: {shop: []}", 13, "spec.target.selector.pods.shop: must not be empty"},
    {14, "    mode: most", 14, "spec.target.mode: expected one of one, all, fixed, fixed-percent"},
    {14, "    mode: all", 15, "spec.target.value: has no meaning with mode all"},
    {14, "    mode: fixed_percent", 14, "did you mean \"fixed-percent\"?"},
    {14, "    containerNames: a", 14, "spec.target.containerNames: expected a list"},
    {15, "    value: 0", 15, "spec.target.value: expected a whole number of at least 1, got \"0\""},
    {15, "    value: 1.5", 15, "spec.target.value: expected a whole number"},
    {15, "", 9, "spec.target: missing required key \"value\""},
    {17, "    - networkLatncy:", 17,
     "spec.faults[0].networkLatncy: unknown fault, expected one of networkLatency"},
    {18, "        latncy: 50ms", 18, "did you mean \"latency\"?"},
    {18, "        latency: 50", 18, "expected a duration like \"200ms\" or \"1m30s\" with a unit"},
    {18, "        latency: 11s", 18, "must be more than 0s and at most 10s, got 11s"},
    {18, "        latency: 0s", 18, "must be more than 0s and at most 10s, got 0s"},
    {18, "        latency: -1s", 18, "not negative"},
    {18, "", 17, "spec.faults[0].networkLatency: missing required key \"latency\""},
    {19, "        jitter: 60ms", 19, "jitter: must be at most latency (50ms)"},
    {19, "        jitter: fast", 19, "jitter: expected a duration"},
    {20, "        direction: bth", 20, "expected one of to, from, both, got \"bth\"; did you mean"},
    {21, "        ports: [0]", 21, "ports[0]: must be from 1 to 65535, got 0"},
    {21, "        ports: [65536]", 21, "ports[0]: must be from 1 to 65535"},
    {21, "        ports: 8080", 21, "ports: expected a list, got 8080"},
    {21, "        podPorts: [a]", 21, "podPorts[0]: expected a whole number, got \"a\""},
    {21, "        peerPorts: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", 21,
     "peerPorts: must have at most 16 items, got 17"},
    {22, "        correlation: 110%", 22, "correlation: expected a probability"},
    {22, "        probability: 0", 22, "probability: must be more than 0% and at most 100%"},
    {22, "        peer: {}", 22, "peer: must not be empty: it names nothing"},
    {22, "        interfaces: [eth/0]", 22,
     "interfaces[0]: expected the name of a network device, at most 15"},
    {22, "        interfaces: [a,b,c,d,e,f,g,h,i]", 22, "must have at most 8 items, got 9"},
    {23, "        distribution: normall", 23, "did you mean \"normal\"?"},
    {24, "        protocol: icmp", 21, "ports: icmp has no ports"},
    {24, "        protocol: sctp", 24, "protocol: expected one of any, tcp, udp, icmp"},
    {25, "        cidrs: [10.0.0.1/8]", 25, "the network is 10.0.0.0/8"},
    {25, "        cidrs: [nowhere]", 25, "cidrs[0]: expected an address or network"},
    {27, "        loss: 0", 27, "spec.faults[1].networkLoss.loss: must be more than 0%"},
    {27, "        loss: much", 27, "loss: expected a probability"},
    {27, "        correlation: 5%", 26, "networkLoss: missing required key \"loss\""},
    {29, "          length: 0.5", 29, "length: must be from 1 to 1e+06, got 0.5"},
    {30, "          badLoss: 5%", 30, "badLoss: must be at least loss (10%), got 5%"},
    {31, "          goodLoss: 20%", 31, "goodLoss: must be at most loss (10%), got 20%"},
    {33, "        operations: []", 33, "operations: must not be empty"},
    {33, "        operations: [conect]", 33, "did you mean \"connect\"?"},
    {33, "        operations: [bind, bind]", 33, "operations[1]: is given twice"},
    {33, "", 32, "socketError: missing required key \"operations\""},
    {34, "        errno: 5", 34, "errno: expected the name of an errno: write EIO instead of 5"},
    {34, "        errno: EFOO", 34, "errno: expected the name of an errno like \"EIO\""},
    {34, "", 32, "socketError: missing required key \"errno\""},
    {35, "        direction: from", 35, "direction: has no meaning for socket calls"},
    {35, "        interfaces: [eth0]", 35, "interfaces: a socket call is of no device"},
    {37, "    - {}", 37, "spec.observe[0]: must select something"},
    {37, "    - shop", 37, "spec.observe[0]: expected a map"},
    {39, "    baseline: 25h", 39, "spec.phases.baseline: expected a duration"},
    {40, "    fault: 0s", 40, "spec.phases.fault: must be more than 0s"},
    {41, "    recovery: soon", 41, "spec.phases.recovery: expected a duration"},
    {42, "  seed: -1", 42, "spec.seed: expected a whole number of at least 0, got -1"},
    {42, "  seed: x", 42, "spec.seed: expected a whole number, got \"x\""},
    {45, "      - name: ''", 45, "spec.expect.alerts[0].name: must not be empty"},
    {46, "        within: 0s", 46, "within: must be more than 0s"},
    {46, "", 45, "spec.expect.alerts[0]: missing required key \"within\""},
    {48, "      - metric: request.latncy", 48, "did you mean \"request.latency\"?"},
    {48, "      - metric: net.bytes", 49, "quantile: net.bytes has no distribution"},
    {49, "        selector: 1", 49, "spec.expect.effects[0].selector: expected a map"},
    {49, "        quantile: 99", 49, "quantile: must be from 0 to 1, got 99"},
    {50, "        below: 100", 50, "below: expected a duration"},
    {50, "", 48, "spec.expect.effects[0]: needs exactly one of below and above, got none"},
    {50, "        above: {a: 1}", 50, "above: expected text or a number, got a map"},
    {52, "      - promql: ''", 52, "spec.expect.signals[0].promql: must not be empty"},
    {53, "        equals: up", 53, "spec.expect.signals[0].equals: expected one of"},
    {53, "", 52, "missing required key \"equals\""},
    {54, "        tolerance: wide", 54, "tolerance: expected a probability"},
    {56, "    - promql: up", 57, "spec.abortWhen[0].above: expected a number, got \"50%\""},
    {57, "", 56, "spec.abortWhen[0]: needs exactly one of below and above, got none"},
    {57, "      above: 200%", 57, "spec.abortWhen[0].above: expected a probability"},
    {57, "      below: {}", 57, "spec.abortWhen[0].below: expected text or a number"},
    {59, "    maxPods: 0", 59, "spec.limits.maxPods: must be from 1 to 10000, got 0"},
    {59, "    maxPods: 1.5", 59, "spec.limits.maxPods: expected a whole number, got 1.5"},
    {60, "    maxPercent: 101", 60, "maxPercent: must be more than 0 and at most 100, got 101"},
    {60, "    maxPods: 6", 60, "spec.limits.maxPods: key is given twice, first on line 59"},
};

TEST(ParseExperiment, GoodDocumentIsAccepted) {
  const auto parsed = parse_experiment(kGood, "good.yaml");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->spec.faults.size(), 3u);
  EXPECT_EQ(parsed->spec.target.value, "2");
  EXPECT_TRUE(validate(*parsed));
}

TEST(ParseExperiment, EachKeyWrongGivesOneClearLine) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(std::to_string(c.line) + " <- " + std::string(c.text));
    const auto parsed = parse_experiment(with_line(c.line, c.text), "bad.yaml");
    ASSERT_FALSE(parsed);
    const std::string& message = parsed.error().message;
    EXPECT_EQ(parsed.error().code, Errc::kInvalid);
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_TRUE(message.starts_with("bad.yaml:" + std::to_string(c.reported) + ": ")) << message;
    EXPECT_NE(message.find(c.says), std::string::npos) << message;
  }
}

TEST(ParseExperiment, AFaultWithDefaultsOnlyKeepsItsNameInYaml) {
  const auto parsed = parse_experiment(
      "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: a}\nspec:\n"
      "  target: {selector: {namespaces: [shop]}}\n  faults: [{networkPartition: {}}]\n",
      "good.yaml");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const auto again = parse_experiment(to_yaml(*parsed), "again.yaml");
  ASSERT_TRUE(again) << again.error().message << "\n" << to_yaml(*parsed);
  EXPECT_EQ(again->spec.faults.at(0).name(), "networkPartition");
}

TEST(ParseExperiment, RoundTripsThroughYamlAndJson) {
  const auto parsed = parse_experiment(kGood, "good.yaml");
  ASSERT_TRUE(parsed);
  const std::string text = to_json_text(*parsed);
  const auto from_yaml = parse_experiment(to_yaml(*parsed), "again.yaml");
  ASSERT_TRUE(from_yaml) << from_yaml.error().message << "\n" << to_yaml(*parsed);
  EXPECT_EQ(to_json_text(*from_yaml), text);
  const auto again = from_json_text<Experiment>(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(to_json_text(*again), text);
}

TEST(ParseExperiment, AllProblemsComeInOnePassInOrder) {
  const auto parsed = parse_experiment("kind: X\nspec:\n  seed: a\n  bogus: 1\n", "f");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(std::ranges::count(parsed.error().message, '\n'), 5) << parsed.error().message;
}

TEST(ParseExperiment, WhatIsNoSingleDocumentIsRefused) {
  for (const char* text : {"", "a: [", "---\na: 1\n---\nb: 2\n", "&a [*a]", "[1]", "x", "\xff\xfe"})
    EXPECT_FALSE(parse_experiment(text, "f")) << text;
  EXPECT_FALSE(parse_experiment(std::string(5000, '['), "f"));
}

TEST(ParseExperiment, MutatedDocumentsNeverCrash) {
  std::mt19937 dice(7);  // the same documents every time
  constexpr std::string_view kBytes = "{}[]:,-#&*!|>'\"%@` \n\t0a~?.\x01\xc3";
  int accepted = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string text(kGood);
    for (std::uint32_t n = 1 + dice() % 4; n > 0; --n) {
      const std::size_t at = dice() % text.size();
      switch (dice() % 3) {
        case 0:
          text[at] = kBytes[dice() % kBytes.size()];
          break;
        case 1:
          text.erase(at, 1 + dice() % 20);
          break;
        default:
          text.insert(at, 1, kBytes[dice() % kBytes.size()]);
          break;
      }
      if (text.empty()) text = "a";
    }
    const auto parsed = parse_experiment(text, "f");
    if (parsed) {
      ++accepted;
      EXPECT_TRUE(validate(*parsed)) << text;
    } else {
      EXPECT_FALSE(parsed.error().message.empty());
    }
  }
  EXPECT_GT(accepted, 0);
}

TEST(Machine, MessagesIgnoreUnknownKeysButExperimentsInThemDoNot) {
  EXPECT_TRUE(from_json_text<SyncRequest>(R"({"instance":"a","newer":1})"));
  const auto bad = from_json_text<DesiredRun>(
      R"({"run":"r","phase":"fault","experiment":{"apiVersion":"faultline.dev/v1alpha1",
          "kind":"Experiment","metadata":{"name":"a"},
          "spec":{"target":{"selector":{"nodes":["n"]}},"newer":1}}})");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("experiment.spec.newer: unknown key"), std::string::npos)
      << bad.error().message;
}

TEST(Machine, ResidueIsNoneListOrNull) {
  Report report;
  report.residue.emplace();
  EXPECT_EQ(to_json(report).at("residue"), "none");
  report.residue->push_back("fl-1");
  EXPECT_TRUE(to_json(report).at("residue").is_array());
  report.residue.reset();
  EXPECT_TRUE(to_json(report).at("residue").is_null());
}

TEST(PodsFile, EntriesAreChecked) {
  const std::string good =
      "pods:\n  - {namespace: a, name: b-0, cgroup: /c, netns: /n, labels: {app: x}}\n";
  ASSERT_TRUE(parse_pods_file(good, "p"));
  const auto twice = parse_pods_file(good + good.substr(6), "p");
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().message, "p:3: pods[1]: pod a/b-0 is given twice");
  const auto relative =
      parse_pods_file("pods:\n  - {namespace: a, name: b, cgroup: c, netns: /n}", "p");
  ASSERT_FALSE(relative);
  EXPECT_NE(relative.error().message.find("p:2: pods[0].cgroup: expected an absolute path"),
            std::string::npos);
}

}  // namespace
}  // namespace faultline::api
