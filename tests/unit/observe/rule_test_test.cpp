// SPDX-License-Identifier: Apache-2.0
// The test of a rule that is made from a run. tests/monitoring has promtool read such ones.
#include "controller/observe/rule_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultline::controller::observe {
namespace {

using testing::HasSubstr;
using testing::Not;

api::Timestamp at(double seconds) { return to_ours(1'795'929'484 + seconds, {}); }

// Slow fires as a warning from 3 s and as a page from 5 s on: two rules of one name.
RuleTestInput two_of_a_name() {
  RuleTestInput out{.run = "r-1", .first_injected = at(0)};
  out.rule = {.source = "main", .group = "shop", .alert = "Slow", .expr = "slow > 0.5"};
  out.rule.evaluationInterval = 1;
  out.rule.labels = {{"severity", "warn"}};
  out.changes.push_back({"main", "Slow", {{"severity", "page"}}, api::AlertState::firing, at(1)});
  out.changes.push_back({"main", "Slow", {{"severity", "warn"}}, api::AlertState::firing, at(3)});
  Series slow{.labels = {{"__name__", "slow"}}, .points = {}};
  const double begin = std::chrono::duration<double>(at(0).value.time_since_epoch()).count();
  for (int i = -40; i < 60; ++i) slow.points.push_back({begin + i, i < 2 ? 0.0 : 1.0});
  out.series = {slow};
  return out;
}

TEST(RuleTest, IsOfTheRuleAndNotOfAnotherOneOfItsName) {
  RuleTestInput input = two_of_a_name();
  EXPECT_EQ(first_firing(input.changes, input.rule, input.first_injected), at(3));
  const auto made = rule_test(input);
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_THAT(made->test, HasSubstr(R"(exp_labels: {"severity": "warn"})"));
  EXPECT_THAT(made->test, Not(HasSubstr("page")));
  input.rule.labels = {{"severity", "none"}};
  EXPECT_FALSE(rule_test(input).has_value()) << "that one did not fire";
}

}  // namespace
}  // namespace faultline::controller::observe
