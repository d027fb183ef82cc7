// SPDX-License-Identifier: Apache-2.0
#include "api/syscalls.h"

#include <gmock/gmock.h>

#include <set>

#include "api/codec.h"

namespace faultline::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> names(const std::vector<const Syscall*>& calls) {
  std::vector<std::string> found;
  for (const Syscall* call : calls) found.emplace_back(call->name);
  return found;
}

std::string refusal(const std::string& word) {
  const auto calls = expand_syscalls({word});
  return calls ? "" : calls.error().message;
}

TEST(Syscalls, TheTableNamesEachCallOnceAndDescriptorsOnlyWhereThereIsOne) {
  std::set<std::string_view> seen;
  for (const Syscall& call : syscall_table()) {
    EXPECT_TRUE(seen.insert(call.name).second) << call.name;
    EXPECT_EQ(call.object == SyscallObject::fd, call.fd_arg >= 0) << call.name;
  }
}

TEST(Syscalls, NamesAndGroupsBecomeCallsOnceEach) {
  EXPECT_THAT(names(*expand_syscalls({"fsync", "openat", "fsync"})),
              ElementsAre("openat", "fsync"));
  const auto memory = names(*expand_syscalls({"memory", "brk"}));
  EXPECT_THAT(memory, testing::Contains("brk").Times(1));
  EXPECT_THAT(memory, testing::Contains("mmap"));
}

TEST(Syscalls, AWordThatIsNoneIsToldTheNearest) {
  EXPECT_THAT(refusal("opeant"), HasSubstr("did you mean openat?"));
  EXPECT_THAT(refusal("netwrok"), HasSubstr("did you mean network?"));
  EXPECT_THAT(refusal("qqqqqqqq"), HasSubstr("got \"qqqqqqqq\""));
}

TEST(Syscalls, CallsThatNobodyCouldMeetFailingAreRefusedWithTheReason) {
  for (const char* word : {"exit", "exit_group", "rt_sigreturn", "futex"})
    EXPECT_THAT(refusal(word), HasSubstr("is refused: ")) << word;
}

TEST(PathPattern, IsADirectoryOrOneNameBelowIt) {
  for (const auto& [text, directory] :
       {std::pair{"/data", "/data"}, {"/data/", "/data"}, {"/", "/"}, {"/*", "/"}}) {
    const auto pattern = parse_path_pattern(text);
    ASSERT_TRUE(pattern) << pattern.error().message;
    EXPECT_EQ(pattern->directory, directory);
  }
  const auto pattern = parse_path_pattern("/data/seg-*.wal");
  ASSERT_TRUE(pattern);
  EXPECT_EQ(pattern->directory, "/data");
  EXPECT_EQ(pattern->name_begins, "seg-");
  EXPECT_EQ(pattern->name_ends, ".wal");
}

TEST(PathPattern, WhatCouldBeReadTwoWaysIsRefused) {
  for (const char* text : {"data", "", "/a/*/b", "/a/*b*", "/a/../b", "/a/./b", "/a//b"})
    EXPECT_FALSE(parse_path_pattern(text)) << text;
}

TEST(Syscalls, AnExperimentIsToldTheFieldOfTheWrongWord) {
  const auto parsed = parse_experiment(
      "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: x}\nspec:\n"
      "  target: {selector: {namespaces: [shop]}}\n"
      "  faults:\n    - syscallError: {syscalls: [fsync, opnat], errno: EIO}\n",
      "x.yaml");
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().message, HasSubstr("x.yaml:7"));
  EXPECT_THAT(parsed.error().message, HasSubstr("syscalls[1]"));
  EXPECT_THAT(parsed.error().message, HasSubstr("did you mean openat?"));
}

}  // namespace
}  // namespace faultline::api
