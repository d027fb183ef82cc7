// SPDX-License-Identifier: Apache-2.0
#include "controller/notifier_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "fixtures.h"

namespace faultline::controller::test {
namespace {

using testing::HasSubstr;

TEST(NotifierToken, ASecretMayComeGoAndComeBack) {
  const TempDir dir;
  const std::string path = dir.file("notifications.token");
  NotifierToken token = NotifierToken::of_secret(path);
  const auto shared = token.token();
  EXPECT_TRUE(token.look()) << "that it is not there is no error";
  EXPECT_EQ(*shared, "");
  for (int i = 0; i < 2; ++i) {
    std::ofstream(path) << "0123456789abcdef\n";
    EXPECT_TRUE(token.look());
    EXPECT_EQ(*shared, "0123456789abcdef") << "again, with the same text";
    std::filesystem::remove(path);
    EXPECT_TRUE(token.look());
    EXPECT_EQ(*shared, "") << "who has the old one is not let in any more";
  }
  std::ofstream(path) << "short\n";
  const auto refused = token.look();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("at least 16 characters"));
  EXPECT_TRUE(token.look()) << "told once";
  EXPECT_EQ(*shared, "");
}

TEST(NotifierToken, AFileThatIsNamedMustBeThere) {
  const TempDir dir;
  EXPECT_FALSE(NotifierToken::of_file(dir.file("none")));
  const auto own = NotifierToken::own(dir.file("made"));
  ASSERT_TRUE(own);
  EXPECT_GE(own->token()->size(), 16U);
  EXPECT_EQ(NotifierToken().token()->size(), 0U);
}

}  // namespace
}  // namespace faultline::controller::test
