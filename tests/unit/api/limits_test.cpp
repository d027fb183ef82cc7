// SPDX-License-Identifier: Apache-2.0
// How much a document or a message may hold: each text, list and map has an end, in the language,
// in both schemas and between programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <functional>

#include "api/codec.h"
#include "api/policy.h"

namespace faultline::api {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

// Every node of a schema that lets something grow without end.
void find_unbounded(const json::value& schema, const std::string& at,
                    std::vector<std::string>& out) {
  if (!schema.is_object()) return;
  const json::object& s = schema.get_object();
  const auto is = [&](std::string_view type) {
    const json::value* own = s.if_contains("type");
    return own != nullptr && *own == json::value(type);
  };
  const bool text = is("string") || (s.contains("pattern") && !at.ends_with("!"));
  if (text && !s.contains("enum") && !s.contains("maxLength") && !s.contains("const"))
    out.push_back(at);
  if (is("array") && !s.contains("maxItems")) out.push_back(at);
  if (s.contains("additionalProperties") && s.at("additionalProperties").is_object() &&
      !s.contains("maxProperties"))
    out.push_back(at);
  if (const auto* keep = s.if_contains("x-kubernetes-preserve-unknown-fields");
      keep != nullptr && is("object") && !s.contains("maxProperties"))
    out.push_back(at);
  for (const char* key : {"items", "additionalProperties"})
    if (const auto* inner = s.if_contains(key)) find_unbounded(*inner, at + "/" + key, out);
  for (const char* key : {"properties", "$defs"})
    if (const auto* inner = s.if_contains(key))
      for (const auto& [name, value] : inner->as_object())
        find_unbounded(value, at + "/" + std::string(name), out);
}

TEST(Limits, EveryTextListAndMapOfTheCrdHasAnEnd) {
  const json::value crd = experiment_crd();
  std::vector<std::string> unbounded;
  const json::value& root = crd.at_pointer("/spec/versions/0/schema/openAPIV3Schema/properties");
  find_unbounded(root.at("spec"), "spec", unbounded);
  find_unbounded(root.at("status"), "status", unbounded);
  EXPECT_EQ(unbounded, std::vector<std::string>());
}

TEST(Limits, EveryTextListAndMapOfTheJsonSchemaHasAnEnd) {
  std::vector<std::string> unbounded;
  find_unbounded(experiment_schema(), "", unbounded);
  EXPECT_EQ(unbounded, std::vector<std::string>());
}

std::string list(std::size_t n, const std::function<std::string(std::size_t)>& item) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += (i > 0 ? ", " : "") + item(i);
  return out;
}

// An experiment with these lines below metadata and below spec.
std::string experiment(const std::string& metadata, const std::string& selector,
                       const std::string& spec) {
  return "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata:\n  name: a\n" + metadata +
         "spec:\n  target: {selector: {" + selector + "}}\n" + spec;
}

std::string refusal(const std::string& text) {
  const auto parsed = parse_experiment(text, "f");
  return parsed ? "accepted" : parsed.error().message;
}

TEST(Limits, WhatIsTooLongOrTooManyIsRefusedInOneLineWithItsPlace) {
  const auto n = [](std::size_t i) { return "n" + std::to_string(i); };
  const auto twice = [](const std::string& text) { return text + text; };
  const std::string shop = "namespaces: [shop]";
  const struct {
    std::string text, says;
  } cases[] = {
      {experiment("", shop, "  purpose: " + std::string(1025, 'x') + "\n"),
       "f:7: spec.purpose: must have at most 1024 characters, got 1025"},
      {experiment("  namespace: Not_one\n", shop, ""),
       "f:5: metadata.namespace: expected a name of at most 63 small letters"},
      {experiment("  labels: {" + list(257, [&](auto i) { return n(i) + ": v"; }) + "}\n", shop,
                  ""),
       "f:5: metadata.labels: must have at most 256 entries, got 257"},
      {experiment("  labels: {a: " + std::string(64, 'x') + "}\n", shop, ""),
       "f:5: metadata.labels.a: must have at most 63 characters, got 64"},
      {experiment("  labels: {a: \"-\"}\n", shop, ""),
       "f:5: metadata.labels.a: expected at most 63 letters, digits, -, _ and ., that begin and "
       "end "
       "with a letter or digit, got \"-\""},
      {experiment("  labels: {\"a b\": c}\n", shop, ""),
       "f:5: metadata.labels[\"a b\"]: expected a key like app or example.com/app"},
      {experiment("  annotations: {" + std::string(400, 'k') + ": c}\n", shop, ""),
       "must have at most 317 characters, got 400"},
      {experiment("", "namespaces: [" + list(65, n) + "]", ""),
       "f:6: spec.target.selector.namespaces: must have at most 64 items, got 65"},
      {experiment("", "namespaces: [\"\\x1b[2J\"]", ""),
       "f:6: spec.target.selector.namespaces[0]: expected a name of at most 63"},
      {experiment("", "nodes: [" + list(101, n) + "]", ""), "must have at most 100 items, got 101"},
      {experiment("", "labelSelectors: {" + list(33, [&](auto i) { return n(i) + ": v"; }) + "}",
                  ""),
       "f:6: spec.target.selector.labelSelectors: must have at most 32 entries, got 33"},
      {experiment("", "pods: {" + list(17, [&](auto i) { return n(i) + ": [a]"; }) + "}", ""),
       "f:6: spec.target.selector.pods: must have at most 16 entries, got 17"},
      {experiment("", "pods: {shop: [" + list(101, n) + "]}", ""),
       "f:6: spec.target.selector.pods.shop: must have at most 100 items, got 101"},
      {experiment("", "pods: {shop: [Not_a_pod]}", ""),
       "f:6: spec.target.selector.pods.shop[0]: expected a name of at most 253"},
      {experiment("", "pods: {Shop: [a]}", ""),
       "f:6: spec.target.selector.pods.Shop: expected a name of at most 63"},
      {experiment("", shop,
                  "  observe: [" + list(17, [&](auto) { return "{" + shop + "}"; }) + "]\n"),
       "f:7: spec.observe: must have at most 16 items, got 17"},
      {experiment("", shop,
                  "  expect: {effects: [" +
                      list(65, [](auto) { return "{metric: request.rate, above: 1}"; }) + "]}\n"),
       "f:7: spec.expect.effects: must have at most 64 items, got 65"},
      {experiment("", shop,
                  "  abortWhen: [{promql: \"" + std::string(4097, 'x') + "\", above: 1}]\n"),
       "f:7: spec.abortWhen[0].promql: must have at most 4096 characters, got 4097"},
      {experiment("", shop,
                  "  abortWhen: [{promql: up, above: \"" + std::string(65, '1') + "\"}]\n"),
       "f:7: spec.abortWhen[0].above: must have at most 64 characters, got 65"},
      {experiment("", shop, "  phases: {fault: " + std::string(65, '1') + "s}\n"),
       "f:7: spec.phases.fault: must have at most 64 characters, got 66"},
      {experiment("", shop,
                  "  faults: [{syscallError: {errno: EIO, syscalls: [" +
                      list(65, [](auto) { return "read"; }) + "]}}]\n"),
       "syscalls: must have at most 64 items, got 65"},
      {experiment("", shop,
                  "  faults: [{syscallError: {errno: EIO, syscalls: [read], path: /" +
                      std::string(4096, 'x') + "}}]\n"),
       "path: must have at most 4096 characters, got 4097"},
      {twice(experiment("", shop, "")), "key is given twice"},
  };
  for (const auto& [text, says] : cases) {
    const std::string message = refusal(text);
    EXPECT_THAT(message, HasSubstr(says));
    if (says != "key is given twice") {
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    }
    for (const char c : message) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  }
}

TEST(Limits, WhatKubernetesTakesAsALabelIsTaken) {
  EXPECT_EQ(
      refusal(experiment("  labels: {app: \"\", app.kubernetes.io/name: Pay_ments-1.2, A: \"1\"}\n"
                         "  annotations: {a/b: \"anything at all, \\n also this\"}\n",
                         "labelSelectors: {app.kubernetes.io/name: payments, " +
                             std::string(63, 'k') + ": " + std::string(63, 'v') + "}",
                         "")),
      "accepted");
}

TEST(Limits, CharactersAreCountedNotBytes) {
  std::string purpose;
  for (int i = 0; i < 1024; ++i) purpose += "\xc3\xa9";
  const std::string shop = "namespaces: [shop]";
  EXPECT_EQ(refusal(experiment("", shop, "  purpose: " + purpose + "\n")), "accepted");
  EXPECT_THAT(refusal(experiment("", shop, "  purpose: " + purpose + "e\n")),
              HasSubstr("at most 1024 characters, got 1025"));
}

TEST(Limits, AnExperimentIsRefusedBeyondItsBudgetBeforeItIsRead) {
  EXPECT_EQ(refusal(std::string((256 << 10) + 1, ' ')), "f: the document is larger than 256 KiB");
  EXPECT_THAT(refusal("a: [" + list(10'001, [](auto) { return "1"; }) + "]"),
              HasSubstr("more than 10000 values"));
  EXPECT_THAT(refusal(std::string(100, '[')), HasSubstr("nested more than 32 deep"));
  EXPECT_THAT(refusal(","), HasSubstr("f:1: not valid YAML"));
  EXPECT_THAT(refusal("a: &a [x]\nb: *a\n"), HasSubstr("f:2: b: aliases like \"*a\""));
  for (const char* text : {",", "a: &a [x]\nprotectedNamespaces: *a\n"}) {
    EXPECT_FALSE(parse_policy(text, "p"));
    EXPECT_FALSE(parse_pods_file(text, "p"));
  }
}

TEST(Limits, OfManyProblemsTheFirstAreShownAndTheRestIsCounted) {
  std::string text =
      "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: a}\nspec:\n";
  for (int i = 0; i < 5000; ++i) text += "  bogus" + std::to_string(i) + ": 1\n";
  const std::string message = refusal(text);
  EXPECT_EQ(std::ranges::count(message, '\n'), 20) << message;
  EXPECT_THAT(message, HasSubstr("\nand 498"));
  EXPECT_TRUE(message.starts_with("f:5: spec.bogus0: unknown key")) << message;
  EXPECT_LT(message.size(), 20'000U);
}

TEST(Limits, AnObjectOfTheClusterHasTheBudgetOfADocument) {
  json::value object = json::parse(R"({"apiVersion":"faultline.dev/v1alpha1","kind":"Experiment",
      "metadata":{"name":"a","namespace":"b","managedFields":[]},
      "spec":{"target":{"selector":{"namespaces":["b"]}}}})");
  // What the API server keeps for itself does not count.
  object.at("metadata").as_object()["managedFields"] = json::array{json::string(1 << 20, 'x')};
  EXPECT_TRUE(from_cluster_json(object));
  object.at("spec").as_object()["junk"] = json::string(1 << 20, 'x');
  const auto large = from_cluster_json(object);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().message, "is more than an Experiment may hold: larger than 256 KiB");
  json::value deep = 1;
  for (int i = 0; i < 60; ++i) deep = json::array{deep};
  object.at("spec").as_object()["junk"] = deep;
  EXPECT_THAT(from_cluster_json(object).error().message, HasSubstr("nested more than 32 deep"));
}

json::object sync(std::size_t pods, std::size_t labels) {
  json::array all;
  for (std::size_t i = 0; i < pods; ++i) {
    json::object own;
    for (std::size_t l = 0; l < labels; ++l) own["k" + std::to_string(l)] = "v";
    all.push_back(json::object{
        {"namespace", "shop"}, {"name", "p" + std::to_string(i)}, {"labels", std::move(own)}});
  }
  return {{"instance", "a"}, {"pods", std::move(all)}};
}

std::string refusal(const json::value& message) {
  const auto read = from_json_text<SyncRequest>(json::serialize(message));
  return read ? "accepted" : read.error().message;
}

TEST(Limits, ASyncTakesMorePodsThanANodeHasAndNotWithoutEnd) {
  EXPECT_EQ(refusal(sync(10'000, 2)), "accepted");
  EXPECT_EQ(refusal(sync(500, 40)), "accepted");
  EXPECT_EQ(refusal(sync(10'001, 0)), "pods: must have at most 10000 items, got 10001");
  EXPECT_EQ(refusal(sync(1, 257)), "pods[0].labels: must have at most 256 entries, got 257");
  json::value one = sync(1, 0);
  one.at("pods").as_array()[0].as_object()["name"] = json::string(254, 'x');
  EXPECT_EQ(refusal(one), "pods[0].name: must have at most 253 characters, got 254");
  one = sync(1, 0);
  one.as_object()["instance"] = json::string(300, 'x');
  EXPECT_EQ(refusal(one), "instance: must have at most 253 characters, got 300");
}

TEST(Limits, ASyncOfAMillionSmallValuesIsRefused) {
  const auto read = from_json_text<SyncRequest>("{\"instance\":\"a\",\"x\":[" +
                                                list(1'000'001, [](auto) { return "0"; }) + "]}");
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("more than 1000000 values"));
}

TEST(Limits, AKeyOfAMessageIsGivenOnce) {
  const auto read =
      from_json_text<SyncRequest>(R"({"instance":"a","pods":[{"name":"a","name":"b"}]})");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message, "not valid JSON: pods[0].name: key is given twice");
}

TEST(Limits, NamesThatAreNoTextAreRefused) {
  EXPECT_FALSE(from_json_text<SyncRequest>("{\"instance\":\"\xff\"}"));
  EXPECT_FALSE(from_json_text<SyncRequest>("{\"instance\":\"\\ud800\"}"));
  json::value parsed_by_others = sync(1, 0);
  parsed_by_others.at("pods").as_array()[0].as_object()["name"] = "\xc3";
  const auto read = from_json<SyncRequest>(parsed_by_others);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().message, "pods[0].name: expected UTF-8, got \"\\xc3\"");
}

}  // namespace
}  // namespace faultline::api
