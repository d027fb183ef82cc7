// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/others.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultline::controller::observe {
namespace {

using testing::ElementsAre;

api::AlertChange change(const std::string& alert, std::map<std::string, std::string> labels) {
  api::AlertChange out;
  out.source = "main";
  out.alert = alert;
  out.labels = std::move(labels);
  return out;
}

TEST(Others, AlertsOfOtherNamespacesAreLeftOutUnlessTheyWereExpected) {
  api::MonitoringRecord record;
  record.changes = {change("Slow", {{"namespace", "bank"}}),
                    change("Secret", {{"namespace", "bank"}, {"pod", "vault-0"}}),
                    change("Secret", {{"namespace", "bank"}, {"pod", "vault-0"}}),
                    change("Secret", {{"exported_namespace", "bank"}}),
                    change("Mine", {{"namespace", "shop"}}),
                    change("NodeDown", {{"node", "n1"}})};
  for (const api::AlertChange& one : record.changes) {
    record.held.push_back({.source = "am", .alert = one.alert, .labels = one.labels});
    record.notifications.push_back({.receiver = "pager", .alert = one.alert, .labels = one.labels});
  }
  for (const char* name : {"Slow", "Secret", "Mine", "NodeDown"})
    record.rules.push_back({.source = "main", .alert = name, .expr = "up == 0"});
  record.ruleNames = {"Mine", "NodeDown", "Secret", "Slow", "VaultSealed"};
  api::Expect expect;
  expect.alerts = {{.name = "Slow"}, {.name = "Mime"}};
  api::MonitoringRecord of_no_namespace = record;
  EXPECT_EQ(leave_out_others(of_no_namespace, expect, own_namespaces({})), 0U);
  EXPECT_EQ(of_no_namespace.ruleNames.size(), 5U);
  EXPECT_EQ(leave_out_others(record, expect, {"shop"}), 2U) << "two alerts, by their labels";
  const auto names = [](const auto& list) {
    std::vector<std::string> out;
    for (const auto& one : list) out.push_back(one.alert);
    return out;
  };
  EXPECT_THAT(names(record.changes), ElementsAre("Slow", "Mine", "NodeDown"));
  EXPECT_THAT(names(record.held), ElementsAre("Slow", "Mine", "NodeDown"));
  EXPECT_THAT(names(record.notifications), ElementsAre("Slow", "Mine", "NodeDown"));
  EXPECT_THAT(names(record.rules), ElementsAre("Slow", "Mine", "NodeDown"));
  EXPECT_THAT(record.ruleNames, ElementsAre("Mine", "Slow")) << "what is expected, or the nearest";
}

TEST(Others, OneForeignNamespaceAmongTheLabelsIsEnough) {
  const std::set<std::string> shop{"shop"};
  EXPECT_EQ(whose({{"namespace", "shop"}, {"pod", "a"}}, shop), Whose::own);
  EXPECT_EQ(whose({{"exported_namespace", "shop"}}, shop), Whose::own);
  EXPECT_EQ(whose({{"exported_namespace", "shop"}, {"namespace", "shop"}}, shop), Whose::own);
  EXPECT_EQ(whose({{"exported_namespace", "shop"}, {"namespace", "bank"}}, shop), Whose::others);
  EXPECT_EQ(whose({{"exported_namespace", "bank"}, {"namespace", "shop"}}, shop), Whose::others);
  EXPECT_EQ(whose({{"kubernetes_namespace", "bank"}, {"namespace", "shop"}}, shop), Whose::others);
  EXPECT_EQ(whose({{"node", "n1"}}, shop), Whose::nobody);
  EXPECT_EQ(whose({{"exported_namespace", ""}, {"namespace", "shop"}}, shop), Whose::own);
  EXPECT_EQ(whose({{"namespace", "bank"}}, {}), Whose::own) << "everybody may know everything";
  EXPECT_FALSE(of_others({{"node", "n1"}}, shop));
  EXPECT_TRUE(of_others({{"exported_namespace", "shop"}, {"namespace", "bank"}}, shop));
}

}  // namespace
}  // namespace faultline::controller::observe
