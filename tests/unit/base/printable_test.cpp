// SPDX-License-Identifier: Apache-2.0
#include "base/printable.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace faultline {
namespace {

TEST(Printable, LeavesWhatPeopleWrite) {
  for (const char* text : {"", "web-0", "a\\b \"c\" 'd'", "p99 ≤ 10 µs", "naïve", "日本語", "עברית",
                           "😀", "❤\xef\xb8\x8f"}) {
    EXPECT_EQ(printable(text), text);
    EXPECT_TRUE(is_printable(text)) << text;
  }
}

TEST(Printable, EveryControlCharacterBecomesVisible) {
  for (int c = 0; c < 0x20; ++c) {
    const std::string one(1, static_cast<char>(c));
    EXPECT_FALSE(is_printable(one)) << c;
    EXPECT_EQ(printable(one).front(), '\\') << c;
  }
  EXPECT_EQ(printable("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\x7f"), "\\x7f");
  EXPECT_EQ(printable("one\ntwo\r\tthree"), "one\\ntwo\\r\\tthree");
}

TEST(Printable, C1IsSeenAsCharacterAndAsByte) {
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\u009b31m");
  EXPECT_EQ(printable("\xc2\x80\xc2\x85\xc2\x9f"), "\\u0080\\u0085\\u009f");
  EXPECT_EQ(printable("\x9b"
                      "31m"),
            "\\x9b31m");
  EXPECT_EQ(printable("\xc2\xa0"), "\xc2\xa0");  // a blank that does not break is none
}

TEST(Printable, WhatTurnsOrHidesTextBecomesVisible) {
  EXPECT_EQ(printable("\u202egpj.exe"), "\\u202egpj.exe");
  for (const char* hidden :
       {"\u00ad", "\u034f", "\u061c", "\u115f",     "\u180e",     "\u200b",
        "\u200d", "\u200e", "\u200f", "\u2028",     "\u2029",     "\u202a",
        "\u202d", "\u202e", "\u2060", "\u2066",     "\u2069",     "\u206f",
        "\u3164", "\ufeff", "\ufff9", "\U0001d173", "\U000e0001", "\U000e0041"}) {
    EXPECT_FALSE(is_printable(hidden)) << printable(hidden);
    const std::string shown = printable(hidden);
    EXPECT_EQ(shown.front(), '\\');
    for (const char c : shown) EXPECT_TRUE(c > 0x20 && c < 0x7f);
  }
  EXPECT_EQ(printable("\U000e0041"), "\\U000e0041");
}

TEST(Printable, BytesThatAreNotUtf8AreShownOneByOne) {
  EXPECT_EQ(printable("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(printable("a\xc3"), "a\\xc3");                           // cut off
  EXPECT_EQ(printable("\xe2\x82z"), "\\xe2\\x82z");                  // cut short
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b");                    // overlong
  EXPECT_EQ(printable("\xe0\x82\x9b"), "\\xe0\\x82\\x9b");           // overlong
  EXPECT_EQ(printable("\xf0\x80\x80\x9b"), "\\xf0\\x80\\x80\\x9b");  // overlong
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));
  EXPECT_FALSE(is_utf8("a\xc3"));
  EXPECT_TRUE(is_utf8("a\x1b\u202e😀"));
}

TEST(Printable, TwiceIsAsOnce) {
  const std::string once = printable("\x1b]0;x\x07\n\u202e\xff\\");
  EXPECT_EQ(printable(once), once);
  EXPECT_TRUE(is_printable(once));
}

TEST(Printable, IsCutBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdefg", 6), "abc...");
  EXPECT_EQ(printable("abcdé", 6), "abcdé");
  EXPECT_EQ(printable("aéééé", 6), "aé...");
  EXPECT_EQ(printable("ab\x1b\x1b", 8), "ab...");  // an escape stays whole or goes
  EXPECT_EQ(printable("abcd", 2), "..");
  EXPECT_EQ(printable("abcd", 0), "");
  for (std::size_t limit = 0; limit < 40; ++limit) {
    const std::string shown = printable("日本\x1b語é\n\u202e and some more", limit);
    EXPECT_LE(shown.size(), limit);
    EXPECT_TRUE(is_printable(shown)) << limit;
  }
}

TEST(Printable, LinesKeepBreaksAndTabsOnly) {
  EXPECT_EQ(printable_lines("a:\n\tb\x1b\r\n\xc2\x85\u2028"), "a:\n\tb\\x1b\\r\n\\u0085\\u2028");
}

TEST(Printable, ProseOverSeveralLinesBecomesOne) {
  EXPECT_EQ(printable_prose("Checkout\nstays\tfast\n\n"), "Checkout stays fast");
  EXPECT_EQ(printable_prose("a\x1b\u2028"), "a\\x1b\\u2028");
  EXPECT_EQ(printable_prose("\n"), "");
}

TEST(Printable, JsonMeansTheSameAndIsSafeToShow) {
  const boost::json::value value{{"a\u202e", "\x7f\xc2\x9b é \U000e0041 \x1b[2J\n\ufeff"}};
  const std::string text = printable_json(boost::json::serialize(value));
  EXPECT_EQ(boost::json::parse(text), value);
  EXPECT_TRUE(is_printable(text)) << printable(text);
  EXPECT_EQ(printable_json("{\n  \"a\": 1\n}\n"), "{\n  \"a\": 1\n}\n");
  EXPECT_EQ(printable_json("\"\xff\""), "\"\\ufffd\"");
}

}  // namespace
}  // namespace faultline
