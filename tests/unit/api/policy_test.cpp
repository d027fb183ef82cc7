// SPDX-License-Identifier: Apache-2.0
#include "api/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace faultline::api
