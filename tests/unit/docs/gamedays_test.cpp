// SPDX-License-Identifier: Apache-2.0
// The folders of docs/examples/gamedays/ are whole: a day, its runbook, the rules of each alert
// that it names, and what to expect of it. That the days are valid is tested with the language
// (unit/api), that they run in e2e.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "tests/places.h"

namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// What the group of each match is.
std::set<std::string> all(const std::string& text, const char* what) {
  const std::regex pattern(what);
  std::set<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at)
    found.insert((*at)[1]);
  return found;
}

TEST(ExamplesOfGameDays, HaveARunbookRulesAndWhatToExpect) {
  const fs::path root = faultline::test::source_dir() / "docs/examples/gamedays";
  const std::string list = text_of(root / "README.md");
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (!entry.is_directory()) continue;
    const std::string name = entry.path().filename();
    names.insert(name);
    EXPECT_NE(list.find("(" + name + "/README.md)"), std::string::npos) << name;
    const std::string day = text_of(entry.path() / "day.yaml");
    EXPECT_NE(day.find("metadata: {name: " + name + "}"), std::string::npos) << name;
    EXPECT_NE(day.find("runbook: {file: runbook.md}"), std::string::npos) << name;
    EXPECT_GE(all(text_of(entry.path() / "runbook.md"), R"(\n(\d+)\. )").size(), 3U) << name;
    EXPECT_NE(text_of(entry.path() / "README.md").find("## Expected report"), std::string::npos)
        << name;
    const auto rules = all(text_of(entry.path() / "rules.yml"), R"(alert: (\w+))");
    auto named = all(day, R"(\{alert: (\w+))");
    named.merge(all(day, R"(\{name: (\w+), within)"));
    EXPECT_FALSE(named.empty()) << name;
    for (const std::string& alert : named)
      EXPECT_TRUE(rules.contains(alert)) << name << ": nothing makes " << alert << " fire";
    // A day that waits for a person would not end at night.
    EXPECT_EQ(day.find("onMiss: hold"), std::string::npos) << name;
  }
  EXPECT_THAT(names, testing::ElementsAre("cpu-cascade", "failing-disk", "refused-connects",
                                          "slow-dependency"));
}

}  // namespace
