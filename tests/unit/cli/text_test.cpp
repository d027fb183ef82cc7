// SPDX-License-Identifier: Apache-2.0
#include "cli/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace faultline::cli {
namespace {

TEST(Text, WrapsAtBlanksAndKeepsLongWordsWhole) {
  EXPECT_EQ(wrapped("one two three four", 9, 2), "one two\n  three\n  four");
  EXPECT_EQ(wrapped("a verylongword b", 5, 0), "a\nverylongword\nb");
  EXPECT_EQ(wrapped("one two", 20, 12, 12), "one two");
  EXPECT_EQ(wrapped("one two", 18, 12, 12), "one\n            two");
  EXPECT_EQ(wrapped("", 10, 2), "");
}

TEST(Text, CutsByColumnsNotBytes) {
  EXPECT_EQ(cut("abcdef", 6), "abcdef");
  EXPECT_EQ(cut("abcdefg", 6), "abc...");
  EXPECT_EQ(cut("äöüäöü", 6), "äöüäöü");
  EXPECT_EQ(cut("äöüäöüä", 6), "äöü...");
  EXPECT_EQ(cut("abc", 2), "..");
}

TEST(Text, ControlCharactersDoNotReachTheTerminal) {
  EXPECT_EQ(table({{"a\033[31mb", "c\nd"}, {"x", "y"}}), "a\\x1b[31mb  c\\nd\nx           y\n");
  EXPECT_EQ(json_text("\xc2\x9b"), "\"\\u009b\"\n");
}

TEST(Text, TablesAlignByColumns) {
  EXPECT_EQ(table({{"NODE", "PODS"}, {"ä-long-name", "1"}, {"x", ""}}, 1),
            " NODE         PODS\n ä-long-name  1\n x\n");
}

TEST(Text, JsonIsIndentedAndStaysTheSame) {
  const boost::json::value value =
      boost::json::parse(R"({"a":[1,2],"b":[{"c":"x\ny"}],"d":{},"e":[],"f":null})");
  const std::string text = json_text(value);
  EXPECT_EQ(boost::json::parse(text), value);
  EXPECT_THAT(text, testing::HasSubstr("\"a\": [1, 2],\n"));
  EXPECT_THAT(text, testing::HasSubstr("  \"b\": [\n    {\n      \"c\": \"x\\ny\"\n    }\n  ]"));
}

}  // namespace
}  // namespace faultline::cli
