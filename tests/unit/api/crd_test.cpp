// SPDX-License-Identifier: Apache-2.0
// The CustomResourceDefinition: the committed file, what Kubernetes demands of a structural schema,
// and the Experiment as the API server returns it. A real API server tries it in tests/cluster/.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "api/codec.h"
#include "api/gameday_status.h"
#include "tests/places.h"

namespace faultline::api {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using testing::HasSubstr;

const json::object& schema_of(const json::value& crd) {
  return crd.at_pointer("/spec/versions/0/schema/openAPIV3Schema").as_object();
}

TEST(Crd, TheCommittedFileIsWhatTheGeneratorMakes) {
  std::ifstream in(test::source_dir() / "daemonset/base/crd.yaml");
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), experiment_crd_yaml())
      << "regenerate it: build/release/bin/faultline schema --crd > daemonset/base/crd.yaml";
}

// The rules of apiextensions.k8s.io/v1 for structural schemas, from its documentation. Returns what
// is broken.
class Rules {
 public:
  std::set<std::string> broken;

  void node(const json::object& n, const std::string& at) {
    static const std::set<std::string, std::less<>> kKnown{"description",
                                                           "type",
                                                           "format",
                                                           "default",
                                                           "nullable",
                                                           "properties",
                                                           "required",
                                                           "items",
                                                           "additionalProperties",
                                                           "enum",
                                                           "pattern",
                                                           "minimum",
                                                           "maximum",
                                                           "exclusiveMinimum",
                                                           "minLength",
                                                           "maxLength",
                                                           "minItems",
                                                           "maxItems",
                                                           "minProperties",
                                                           "maxProperties",
                                                           "allOf",
                                                           "anyOf",
                                                           "oneOf",
                                                           "not",
                                                           "x-kubernetes-int-or-string",
                                                           "x-kubernetes-preserve-unknown-fields",
                                                           "x-kubernetes-list-type",
                                                           "x-kubernetes-list-map-keys"};
    for (const auto& [key, value] : n)
      if (!kKnown.contains(std::string_view(key))) broken.insert(at + ": " + std::string(key));
    const bool free = n.contains("x-kubernetes-int-or-string") ||
                      n.contains("x-kubernetes-preserve-unknown-fields");
    if (!n.contains("type") && !free) broken.insert(at + ": no type");
    if (n.contains("type") && n.contains("x-kubernetes-int-or-string"))
      broken.insert(at + ": type beside int-or-string");
    if (n.contains("properties") && n.contains("additionalProperties"))
      broken.insert(at + ": properties and additionalProperties");
    if (const auto* more = n.if_contains("additionalProperties")) {
      if (more->is_object())
        node(more->get_object(), at + ".*");
      else
        broken.insert(at + ": additionalProperties is no schema");
    }
    if (const auto* items = n.if_contains("items")) node(items->as_object(), at + "[]");
    if (const auto* properties = n.if_contains("properties"))
      for (const auto& [key, value] : properties->as_object())
        node(value.as_object(), at + "." + std::string(key));
    junctors(n, n, at);
  }

 private:
  void junctors(const json::object& n, const json::object& outside, const std::string& at) {
    for (const char* word : {"allOf", "anyOf", "oneOf"})
      if (const auto* list = n.if_contains(word))
        for (const auto& item : list->as_array())
          inside(item.as_object(), outside, at + "/" + word);
    if (const auto* no = n.if_contains("not")) inside(no->as_object(), outside, at + "/not");
  }
  void inside(const json::object& n, const json::object& outside, const std::string& at) {
    for (const char* word : {"description", "type", "default", "nullable", "additionalProperties",
                             "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"})
      if (n.contains(word)) broken.insert(at + ": " + word);
    if (const auto* properties = n.if_contains("properties"))
      for (const auto& [key, value] : properties->as_object()) {
        const auto* all = outside.if_contains("properties");
        const auto* named = all == nullptr ? nullptr : all->as_object().if_contains(key);
        if (named == nullptr)
          broken.insert(at + ": " + std::string(key) + " is not outside");
        else
          inside(value.as_object(), named->as_object(), at + "." + std::string(key));
      }
    if (const auto* required = n.if_contains("required"))
      for (const auto& key : required->as_array())
        if (!outside.at("properties").as_object().contains(key.as_string()))
          broken.insert(at + ": requires " + json::serialize(key));
    junctors(n, outside, at);
  }
};

TEST(Crd, TheSchemaIsStructural) {
  const json::value crd = experiment_crd();
  Rules rules;
  rules.node(schema_of(crd), "");
  EXPECT_THAT(rules.broken, testing::IsEmpty());
}

TEST(GameDayCrd, TheCommittedFileIsWhatTheGeneratorMakes) {
  std::ifstream in(test::source_dir() / "daemonset/base/gameday-crd.yaml");
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), gameday_crd_yaml())
      << "regenerate it: build/release/bin/faultline schema --gameday --crd > "
         "daemonset/base/gameday-crd.yaml";
}

TEST(GameDayCrd, TheSchemaIsStructuralAndFillsNothingIn) {
  const json::value crd = gameday_crd();
  Rules rules;
  rules.node(schema_of(crd), "");
  EXPECT_THAT(rules.broken, testing::IsEmpty());
  EXPECT_EQ(json::serialize(schema_of(crd)).find("\"default\""), std::string::npos);
  EXPECT_EQ(crd.at_pointer("/metadata/name"), "gamedays.faultline.dev");
  const json::value& step =
      crd.at_pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/steps");
  EXPECT_EQ(step.at_pointer("/items/properties/onMiss/type"), "string");
  // Steps in steps are read by the webhook: a schema cannot refer to itself.
  EXPECT_EQ(step.at_pointer("/items/properties/serial/items/type"), "object");
  EXPECT_FALSE(
      step.at_pointer("/items/properties/serial/items").as_object().contains("properties"));
}

TEST(Crd, SaysWhatKubectlNeeds) {
  const json::value crd = experiment_crd();
  EXPECT_EQ(crd.at_pointer("/metadata/name"), "experiments.faultline.dev");
  EXPECT_EQ(crd.at_pointer("/spec/names/shortNames/0"), "flx");
  EXPECT_TRUE(crd.at_pointer("/spec/versions/0/subresources").as_object().contains("status"));
  std::string columns;
  for (const auto& column : crd.at_pointer("/spec/versions/0/additionalPrinterColumns").as_array())
    columns += std::string(column.at("name").as_string()) + " ";
  EXPECT_THAT(columns, testing::StartsWith("Phase Pods Injected Verdict Age "));
}

TEST(Crd, DefaultsAreThoseOfTheStructs) {
  const json::value crd = experiment_crd();
  const auto& spec = schema_of(crd).at("properties").at("spec").at("properties");
  EXPECT_EQ(spec.at_pointer("/phases/properties/baseline/default"), "10s");
  EXPECT_EQ(spec.at_pointer("/target/properties/mode/default"), "one");
  EXPECT_EQ(spec.at_pointer("/limits/properties/maxPods/default").to_number<int>(), 5);
  const auto& faults = spec.at_pointer("/faults/items/properties").as_object();
  EXPECT_EQ(faults.size(), std::variant_size_v<FaultSpec>);
  EXPECT_EQ(faults.at("networkLatency").at_pointer("/properties/probability/default"), "100%");
  EXPECT_FALSE(faults.at("networkLatency")
                   .at_pointer("/properties/latency")
                   .as_object()
                   .contains("default"));
  // A status has none: what is not there is not known.
  EXPECT_EQ(json::serialize(schema_of(crd).at("properties").at("status")).find("\"default\""),
            std::string::npos);
}

// What `kubectl get experiment slow -o json` gives.
constexpr std::string_view kFromServer = R"({
  "apiVersion": "faultline.dev/v1alpha1", "kind": "Experiment",
  "metadata": {
    "name": "slow", "namespace": "shop", "uid": "6a0c", "resourceVersion": "812", "generation": 2,
    "creationTimestamp": "2026-11-23T10:15:02Z", "selfLink": "/apis/x",
    "labels": {"team": "shop"},
    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "why": "drill"},
    "finalizers": ["a/b"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "7", "controller": true,
                         "blockOwnerDeletion": true}],
    "managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {}}}]},
  "spec": {"target": {"selector": {"namespaces": ["shop"]}, "mode": "one"},
           "faults": [{"networkLatency": {"latency": "50ms", "jitter": "0s"}}]},
  "status": {"phase": "Injecting", "run": "slow-1", "pods": 1, "fromTheFuture": 1,
             "conditions": [{"type": "Selected", "status": "True", "lastTransitionTime": "2026-11-23T10:15:03Z"}]}
})";

TEST(ClusterExperiment, IsReadWithWhatTheServerAdds) {
  const auto read = from_cluster_json(json::parse({kFromServer.data(), kFromServer.size()}));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->experiment.metadata.name, "slow");
  EXPECT_EQ(read->experiment.metadata.labels.at("team"), "shop");
  EXPECT_EQ(read->experiment.metadata.annotations.size(), 1U);
  EXPECT_EQ(read->object.uid, "6a0c");
  EXPECT_EQ(read->object.resourceVersion, "812");
  EXPECT_EQ(read->object.generation, 2);
  EXPECT_TRUE(read->object.creationTimestamp.set());
  EXPECT_FALSE(read->object.deletionTimestamp.set());
  EXPECT_THAT(read->object.finalizers, testing::ElementsAre("a/b"));
  ASSERT_EQ(read->object.ownerReferences.size(), 1U);
  EXPECT_TRUE(read->object.ownerReferences[0].controller);
  EXPECT_EQ(read->status.phase, RunState::Injecting);
  ASSERT_EQ(read->status.conditions.size(), 1U);
  EXPECT_EQ(read->status.conditions[0].status, ConditionStatus::True);
}

TEST(ClusterExperiment, TheSpecIsAsStrictAsInAFile) {
  json::value object = json::parse({kFromServer.data(), kFromServer.size()});
  object.at("spec").as_object()["seeed"] = 1;
  const auto read = from_cluster_json(object);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("spec.seeed: unknown key"));
  EXPECT_THAT(read.error().message, HasSubstr("did you mean \"seed\"?"));
  object.at("spec").as_object().erase("seeed");
  object.at("spec").at("target").as_object()["mode"] = "fixed";  // a rule over two keys
  EXPECT_FALSE(from_cluster_json(object));
  EXPECT_FALSE(from_cluster_json(json::value(7)));
  EXPECT_FALSE(from_cluster_json(json::object{}));
}

TEST(ClusterExperiment, AStatusThatCannotBeReadIsAsIfThereWereNone) {
  json::value object = json::parse({kFromServer.data(), kFromServer.size()});
  object.at("status").as_object()["phase"] = "Dancing";
  const auto read = from_cluster_json(object);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->status.run, "");
}

TEST(ClusterExperiment, AFileForPeopleTakesNoneOfIt) {
  const auto parsed = parse_experiment(kFromServer, "f");
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().message, HasSubstr("metadata.uid: unknown key"));
  EXPECT_THAT(parsed.error().message, HasSubstr("status: unknown key"));
}

TEST(ExperimentStatus, ComesBackAndLeavesOutWhatIsNotKnown) {
  ExperimentStatus status;
  status.phase = RunState::Completed;
  status.conditions.push_back({.type = ConditionType::Verdict, .status = ConditionStatus::False});
  status.injections.push_back({.pod = "shop/a",
                               .fault = "networkLoss",
                               .matched = 10,
                               .injected = 1,
                               .rate = 0.1,
                               .verdict = InjectionVerdict::no_traffic});
  const json::value out = to_json(status);
  EXPECT_FALSE(out.as_object().contains("verdict"));
  EXPECT_FALSE(out.as_object().contains("startedAt"));
  EXPECT_FALSE(out.at("conditions").at(0).as_object().contains("reason"));
  EXPECT_EQ(out.at("injections").at(0).at("verdict"), "no-traffic");
  const auto back = from_json<ExperimentStatus>(out);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(json::serialize(to_json(*back)), json::serialize(out));
}

}  // namespace
}  // namespace faultline::api
