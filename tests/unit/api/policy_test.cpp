// SPDX-License-Identifier: Apache-2.0
#include "api/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/places.h"

namespace faultline::api {
namespace {

using testing::HasSubstr;

TEST(Policy, SaysWhatItSaysAndLeavesTheRestAsItIs) {
  const auto policy = parse_policy(
      "protectedNamespaces: [kube-system, bank]\nnamespaceAccess: opt-in\nmaxDuration: 15m\n",
      "policy.yaml");
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_THAT(policy->protectedNamespaces, testing::ElementsAre("kube-system", "bank"));
  EXPECT_EQ(policy->namespaceAccess, NamespaceAccess::opt_in);
  EXPECT_EQ(policy->maxDuration.format(), "15m");
  EXPECT_EQ(policy->maxPods, Policy{}.maxPods);
}

TEST(Policy, AnEmptyFileIsTheDefault) {
  for (const char* text : {"", "\n", "# nothing yet\n"}) {
    const auto policy = parse_policy(text, "policy.yaml");
    ASSERT_TRUE(policy) << policy.error().message;
    EXPECT_THAT(policy->protectedNamespaces, testing::ElementsAre("kube-system", "faultline"));
  }
}

TEST(Policy, WhatIsWrongIsToldByLineAndWord) {
  const auto policy = parse_policy(
      "protectedNamespace: [bank]\nmaxPods: 0\nnamespaceAccess: optin\nmaxDuration: 15\n",
      "policy.yaml");
  ASSERT_FALSE(policy);
  EXPECT_EQ(policy.error().code, Errc::kInvalid);
  const std::string& said = policy.error().message;
  EXPECT_THAT(said, HasSubstr("policy.yaml:1: protectedNamespace: unknown key"));
  EXPECT_THAT(said, HasSubstr("protectedNamespaces"));
  EXPECT_THAT(said, HasSubstr("policy.yaml:2: maxPods: "));
  EXPECT_THAT(said, HasSubstr("opt-in"));
  EXPECT_THAT(said, HasSubstr("policy.yaml:4: maxDuration: "));
}

std::string text_of(const std::string& file) {
  std::stringstream text;
  text << std::ifstream(test::source_dir() / file).rdbuf();
  return text.str();
}

// The block behind `policy.yaml: |` of the ConfigMap.
std::string shipped() {
  std::istringstream lines(text_of("daemonset/base/policy.yaml"));
  std::string policy, line;
  for (bool inside = false; std::getline(lines, line);) {
    if (inside && line.starts_with("    ")) policy += line.substr(4) + "\n";
    inside = inside || line == "  policy.yaml: |";
  }
  return policy;
}

// Of the table in docs/kubernetes.md: a YAML document of one of its columns.
std::string documented(std::size_t column) {
  std::istringstream lines(text_of("docs/kubernetes.md"));
  std::string policy, line;
  for (bool inside = false; std::getline(lines, line);) {
    if (line.starts_with("| key | as installed |")) inside = true;
    if (!line.starts_with("|")) inside = false;
    if (!inside || !line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    std::istringstream row(line);
    for (std::string cell; std::getline(row, cell, '`');) cells.push_back(cell);
    policy += cells.at(1) + ": " + cells.at(column) + "\n";
  }
  return policy;
}

void expect_same(const Policy& a, const Policy& b) {
  EXPECT_EQ(a.protectedNamespaces, b.protectedNamespaces);
  EXPECT_EQ(a.namespaceAccess, b.namespaceAccess);
  EXPECT_EQ(a.maxDuration, b.maxDuration);
  EXPECT_EQ(a.maxRunDuration, b.maxRunDuration);
  EXPECT_EQ(a.maxPods, b.maxPods);
  EXPECT_EQ(a.maxPercentOfWorkload, b.maxPercentOfWorkload);
  EXPECT_EQ(a.allowAllReadyPods, b.allowAllReadyPods);
  EXPECT_EQ(a.ttlAfterFinished, b.ttlAfterFinished);
}

TEST(Policy, WhatIsShippedAndWhatIsTheDefaultIsWhatTheDocumentsSay) {
  const std::string keys = documented(3);
  const auto installed = parse_policy(keys, "docs/kubernetes.md, as installed");
  ASSERT_TRUE(installed) << installed.error().message;
  const auto defaults = parse_policy(documented(5), "docs/kubernetes.md, without the key");
  ASSERT_TRUE(defaults) << defaults.error().message;
  const auto base = parse_policy(shipped(), "daemonset/base/policy.yaml");
  ASSERT_TRUE(base) << base.error().message;
  expect_same(*installed, *base);
  expect_same(*defaults, Policy{});
  using Members = boost::describe::describe_members<Policy, boost::describe::mod_any_access>;
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(keys, '\n')),
            boost::mp11::mp_size<Members>::value)
      << "a row for each key:\n"
      << keys;
}

}  // namespace
}  // namespace faultline::api
