// SPDX-License-Identifier: Apache-2.0
#include "document/json.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <random>

namespace faultline::document {
namespace {

// Also says whether the library's own parser still needs ours: when `drifted` is 0, use that.
TEST(Json, NumbersSurviveBeingWrittenAndReadAgain) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(-9, 9);
  int drifted = 0;
  for (int i = 0; i < 20'000; ++i) {
    const double number = std::pow(10, exponent(random));
    const std::string text = boost::json::serialize(boost::json::value(number));
    const auto read = parse_json(text, {});
    ASSERT_TRUE(read) << text << ": " << read.error().message;
    ASSERT_EQ(read->as_double(), number) << text;
    drifted += boost::json::parse(text).as_double() != number;
  }
  EXPECT_GT(drifted, 0) << "boost::json::parse() is exact now";
}

TEST(Json, IsTheValueThatTheLibraryMakesOfIt) {
  for (const std::string text :
       {R"({"a":[1,-2,18446744073709551615,true,false,null,"x\u00e9\n"],"b":{"c":{}},"":[]})",
        R"("alone")", "0.5", " [ ] ", "-0.0", "1e3", "123456789012345678901234567890"}) {
    const auto read = parse_json(text, {});
    ASSERT_TRUE(read) << text << ": " << read.error().message;
    EXPECT_EQ(*read, boost::json::parse(text)) << text;
    EXPECT_EQ(read->kind(), boost::json::parse(text).kind()) << text;
  }
}

TEST(Json, WhatIsNoJsonIsRefusedInOneLine) {
  for (const std::string text :
       {"", "{", "[1,]", "{\"a\" 1}", "1 2", "01", "nul", "\"a", "1e999", "[1] x", "/* c */ 1"}) {
    const auto read = parse_json(text, {});
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Errc::kInvalid) << text;
    EXPECT_TRUE(read.error().message.starts_with("not valid JSON: ")) << read.error().message;
  }
  const auto deep = parse_json(std::string(100, '['), {});
  EXPECT_FALSE(deep);
}

}  // namespace
}  // namespace faultline::document
