// SPDX-License-Identifier: Apache-2.0
// Reads the three programs as they were linked: what cmake/Library.cmake asks of compiler and
// linker must have reached them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>

#include "tests/places.h"

namespace faultline::test {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

std::string readelf(const std::string& options, const std::string& program) {
  const std::string command =
      "LC_ALL=C readelf -W " + options + " '" + (build_dir() / "bin" / program).string() + "' 2>&1";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string all;
  std::array<char, 65536> some{};
  while (const std::size_t got = std::fread(some.data(), 1, some.size(), pipe.get()))
    all.append(some.data(), got);
  return all;
}

class Program : public testing::TestWithParam<const char*> {};

TEST_P(Program, IsLoadedAtAnAddressThatNobodyKnows) {
  EXPECT_THAT(readelf("-h", GetParam()), ContainsRegex("Type: +DYN"));
  EXPECT_THAT(readelf("-d", GetParam()), ContainsRegex("FLAGS_1.*PIE"));
}

TEST_P(Program, HasItsTableOfFunctionsReadOnlyBeforeMainBegins) {
  EXPECT_THAT(readelf("-d", GetParam()), HasSubstr("BIND_NOW"));
  EXPECT_THAT(readelf("-l", GetParam()), HasSubstr("GNU_RELRO"));
}

TEST_P(Program, HasNoStackThatCanBeExecuted) {
  EXPECT_THAT(readelf("-l", GetParam()), ContainsRegex("GNU_STACK .* RW "));
}

TEST_P(Program, EndsWhenAStackABufferOrAContainerIsOverrun) {
  const std::string symbols = readelf("--dyn-syms", GetParam());
  EXPECT_THAT(symbols, HasSubstr("__stack_chk_fail")) << "-fstack-protector-strong";
  EXPECT_THAT(symbols, ContainsRegex("__(memcpy|read|snprintf|memset|fdelt|recv)_chk"))
      << "-D_FORTIFY_SOURCE=2";
  EXPECT_THAT(symbols, HasSubstr("__glibcxx_assert_fail")) << "-D_GLIBCXX_ASSERTIONS";
}

TEST_P(Program, NamesNoFolderOfTheMachineThatBuiltIt) {
  EXPECT_THAT(readelf("-p .rodata", GetParam()), Not(HasSubstr(source_dir().string() + "/")));
}

INSTANTIATE_TEST_SUITE_P(Hardened, Program,
                         testing::Values("faultline", "faultline-agent", "faultline-controller"));

}  // namespace
}  // namespace faultline::test
