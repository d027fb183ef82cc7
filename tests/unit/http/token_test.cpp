// SPDX-License-Identifier: Apache-2.0
#include "http/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace faultline::http {
namespace {

using testing::HasSubstr;

class Token : public testing::Test {
 protected:
  Token() {
    char pattern[] = "/tmp/fl-token-XXXXXX";
    directory_ = mkdtemp(pattern);
    path_ = directory_ + "/token";
  }
  ~Token() override { std::filesystem::remove_all(directory_); }
  void write(const std::string& text, mode_t mode) const {
    std::ofstream(path_) << text;
    chmod(path_.c_str(), mode);
  }
  std::string directory_, path_;
};

TEST_F(Token, IsMadeOnceAndOnlyForItsOwner) {
  const auto first = load_or_create_token(path_);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->size(), 64u);
  EXPECT_EQ(first->find_first_not_of("0123456789abcdef"), std::string::npos);
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(*load_or_create_token(path_), *first);
  EXPECT_EQ(*load_token(path_), *first);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

TEST_F(Token, WhoeverIsFasterAllGetTheSame) {
  std::vector<std::string> tokens(16);
  {
    std::vector<std::jthread> threads;
    for (std::string& token : tokens)
      threads.emplace_back([&] { token = load_or_create_token(path_).value_or("failed"); });
  }
  for (const std::string& token : tokens) EXPECT_EQ(token, tokens.front());
  EXPECT_EQ(tokens.front().size(), 64u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

TEST_F(Token, OneThatOthersCanReadIsRefused) {
  for (const mode_t mode : {0644, 0640, 0604, 0620, 0602}) {
    write("0123456789abcdef0123456789abcdef\n", mode);
    const auto token = load_or_create_token(path_);
    ASSERT_FALSE(token) << mode;
    EXPECT_EQ(token.error().code, Errc::kDenied);
    EXPECT_THAT(token.error().message, HasSubstr("chmod 600 " + path_));
  }
}

TEST_F(Token, AFileWithoutATokenIsRefusedNotReplaced) {
  for (const char* text :
       {"", "\n", "short", "two lines of\ntokens-tokens", "nul\1nul-nul-nul-nul"}) {
    write(text, 0600);
    EXPECT_EQ(load_or_create_token(path_).error().code, Errc::kInvalid) << text;
  }
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  chmod(path_.c_str(), 0700);
  EXPECT_EQ(load_or_create_token(path_).error().code, Errc::kInvalid);
}

TEST_F(Token, ALinkIsNotFollowedWhenATokenCouldBeMade) {
  std::filesystem::create_symlink(directory_ + "/elsewhere", path_);
  EXPECT_FALSE(load_or_create_token(path_));
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/elsewhere"));
}

TEST_F(Token, NoFolderIsAnError) {
  EXPECT_FALSE(load_or_create_token(directory_ + "/no/token"));
  EXPECT_EQ(load_token(path_).error().code, Errc::kNotFound);
}

TEST(SameToken, ComparesAll) {
  EXPECT_TRUE(same_token("abc", "abc"));
  EXPECT_FALSE(same_token("abc", "abd"));
  EXPECT_FALSE(same_token("abc", "xbc"));
  EXPECT_FALSE(same_token("abc", "abcd"));
  EXPECT_TRUE(same_token("", ""));
}

TEST(Bearer, TakesTheTokenOfTheScheme) {
  Request request;
  EXPECT_EQ(bearer(request), "");
  for (const auto& [header, token] : std::map<std::string, std::string>{{"Bearer abc", "abc"},
                                                                        {"bearer   abc", "abc"},
                                                                        {"Bearer ", ""},
                                                                        {"Bearer    ", ""},
                                                                        {"Basic abc", ""},
                                                                        {"Bearerabc", ""}}) {
    request.headers["authorization"] = header;
    EXPECT_EQ(bearer(request), token) << header;
  }
}

}  // namespace
}  // namespace faultline::http
