// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/printable.h"

namespace faultline {
namespace {

// What `write` logs, through the logger of init_logging() as the programs set it up.
template <class Write>
std::string logged(Write write) {
  testing::internal::CaptureStderr();
  EXPECT_TRUE(init_logging("controller", "info"));
  write();
  return testing::internal::GetCapturedStderr();
}

TEST(Log, AMessageIsOneLineWhateverItHolds) {
  const std::string text = logged([] {
    spdlog::info(
        "run {}: {}", "a",
        "bye\n2026-11-28T00:00:00.000000Z info    controller: run b: Completed\x1b[31m\xc2\x9b"
        "32m\u202e\xff");
  });
  EXPECT_EQ(std::ranges::count(text, '\n'), 1);
  ASSERT_TRUE(text.ends_with('\n'));
  EXPECT_TRUE(is_printable(std::string_view(text).substr(0, text.size() - 1))) << printable(text);
  EXPECT_NE(text.find("run a: bye\\n2026"), std::string::npos);
  EXPECT_NE(text.find("Completed\\x1b[31m\\u009b32m\\u202e\\xff\n"), std::string::npos);
}

TEST(Log, AMessageHasALongest) {
  const std::string text = logged([] { spdlog::info("{}", std::string(1 << 20, 'x')); });
  EXPECT_LT(text.size(), kLongestLogMessage + 100);
  EXPECT_TRUE(text.ends_with("x...\n"));
}

TEST(Log, AnOrdinaryMessageStaysAsItIs) {
  const std::string text = logged([] { spdlog::warn("node {}: {} µs", "n1", 5); });
  EXPECT_TRUE(text.ends_with("Z warning controller: node n1: 5 µs\n")) << text;
}

TEST(Log, AReaderThatIsGoneEndsNothing) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int kept = dup(STDERR_FILENO);
  std::signal(SIGPIPE, SIG_DFL);
  ASSERT_TRUE(init_logging("controller", "info"));
  dup2(ends[1], STDERR_FILENO);
  close(ends[1]);
  close(ends[0]);
  spdlog::info("nobody reads this");  // the default of SIGPIPE would end the test here
  dup2(kept, STDERR_FILENO);
  close(kept);
  EXPECT_EQ(std::signal(SIGPIPE, SIG_DFL), SIG_IGN);
}

}  // namespace
}  // namespace faultline
