// SPDX-License-Identifier: Apache-2.0
// Who somebody is by a client certificate; tokens need an API server: tests/cluster.
#include "controller/kubernetes/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultline::controller {
namespace {

using testing::ElementsAre;

const UtcTime kNow = UtcTime(std::chrono::seconds(1'800'000'000));
const auto kLater = std::chrono::sys_seconds(std::chrono::seconds(1'800'000'001));

TEST(Certified, TheCommonNameIsTheUserAndTheOrganizationsAreTheGroups) {
  const auto who = Access::certified({"jane", {"shop", "on-call"}, kLater}, kNow);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->role, "person");
  EXPECT_EQ(who->user, "jane");
  EXPECT_THAT(who->groups, ElementsAre("shop", "on-call", "system:authenticated"));
}

TEST(Certified, IsNeverAnAgent) {
  const auto who =
      Access::certified({"system:serviceaccount:faultline:faultline-agent", {}, kLater}, kNow);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->role, "person");
  EXPECT_EQ(who->node, "");
}

TEST(Certified, WithoutACertificateOrWithOneThatHasExpiredItIsNobody) {
  const auto without = Access::certified({}, kNow);
  ASSERT_TRUE(without);
  EXPECT_EQ(without->role, "");
  const auto expired = Access::certified({"jane", {}, kLater - std::chrono::seconds(1)}, kNow);
  ASSERT_FALSE(expired);
  EXPECT_EQ(expired.error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace faultline::controller
