// SPDX-License-Identifier: Apache-2.0
// Which parts of an expression can have other values, and that nothing else of it changes.
#include "controller/observe/tunable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace faultline::controller::observe {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<double> thresholds(std::string_view expr) {
  std::vector<double> out;
  for (const TunablePart& part : tunable(expr).thresholds) out.push_back(part.value);
  return out;
}
std::vector<double> windows(std::string_view expr) {
  std::vector<double> out;
  for (const TunablePart& part : tunable(expr).windows) out.push_back(part.value);
  return out;
}
std::string with(std::string_view expr, std::optional<double> threshold,
                 std::optional<double> window = std::nullopt) {
  return varied(tunable(expr), threshold, window);
}

TEST(Tunable, TheNumberThatTheWholeComparesWithIsVaried) {
  EXPECT_EQ(with("x > 0.5", 0.25), "x > 0.25");
  EXPECT_EQ(with("0.5 < x", 2), "2 < x");
  EXPECT_EQ(with("x>=-5", -7.5), "x>=-7.5");
  EXPECT_EQ(with("x < 1e-3", 0.002), "x < 0.002");
  EXPECT_EQ(with("x <= 0x10", 8), "x <= 8");
  EXPECT_EQ(with("(((x > 3)))", 4), "(((x > 4)))");
  EXPECT_EQ(with("sum by (pod) (x) / on (pod) y > 0.1 # more > 7", 1),
            "sum by (pod) (x) / on (pod) y > 1 # more > 7");
  EXPECT_EQ(with("x > (14.4 * 0.001)", 0.01), "x > 0.01");
  EXPECT_EQ(with("x > 1024 * 1024 * -2 ^ 2", 3), "x > 3");
  EXPECT_THAT(thresholds("x > 2 * 3 + -(1 - 2)"), ElementsAre(7));
  EXPECT_THAT(thresholds("x > -2 ^ 2"), ElementsAre(-4));
  EXPECT_THAT(thresholds("x > .5"), ElementsAre(0.5));
  EXPECT_THAT(thresholds("time() - x > 1h30m"), ElementsAre(5400));
}

TEST(Tunable, WhatIsInsideOfStringsLabelsAndFunctionsStays) {
  const std::string expr =
      R"(rate(x{a="> 5", b=~"[5m]\" > 1", c='}'}[5m] offset 1h30m) > 5 and on (a) y{d=`[5m]`} > 1)";
  EXPECT_EQ(
      with(expr, 10, 60),
      R"(rate(x{a="> 5", b=~"[5m]\" > 1", c='}'}[1m] offset 1h30m) > 10 and on (a) y{d=`[5m]`} > 2)");
  EXPECT_THAT(thresholds("count(x > 5) > 3"), ElementsAre(3));
  EXPECT_THAT(thresholds("avg_over_time((x > bool 5)[5m:10s]) > 0.9"), ElementsAre(0.9));
  EXPECT_THAT(thresholds("absent(x > 5)"), IsEmpty());
  EXPECT_THAT(thresholds(R"(label_replace(x > 5, "a", "> 6", "b", ""))"), IsEmpty());
  EXPECT_THAT(thresholds("x @ 1e9 > 5"), ElementsAre(5));
  EXPECT_THAT(thresholds(R"({"a > 5"} > 6)"), ElementsAre(6));
}

TEST(Tunable, PartsOfABurnRateChangeByTheSameFactor) {
  const std::string burn =
      "(job:errors:rate1h > (14.4 * 0.001) and job:errors:rate5m > (14.4 * 0.001)) or "
      "(job:errors:rate6h > 0.006 and job:errors:rate30m > 0.006)";
  EXPECT_EQ(with(burn, 0.0288),
            "(job:errors:rate1h > 0.0288 and job:errors:rate5m > 0.0288) or "
            "(job:errors:rate6h > 0.012 and job:errors:rate30m > 0.012)");
  EXPECT_THAT(tunable(burn).notes, Contains(HasSubstr("4 thresholds are varied by the same")));
  EXPECT_EQ(with("rate(x[1h]) > 2 AND rate(x[5m]) > 2", 2, 1800),
            "rate(x[30m]) > 2 AND rate(x[2m30s]) > 2");
  EXPECT_EQ(with("x > 0 and y > 0", 3), "x > 3 and y > 3");
  EXPECT_EQ(with("x > 0 and y > 2", 3), "x > 0 and y > 3");
  EXPECT_EQ(with("x > 1 unless y > 2 or z > 3", 2), "x > 2 unless y > 2 or z > 6");
  EXPECT_THAT(tunable("x > 1 unless y > 2").notes, Contains(HasSubstr("behind `unless`")));
  EXPECT_EQ(with("0.1 < x < 0.5", 0.2), "0.2 < x < 1");
}

TEST(Tunable, WindowsKeepTheRestOfTheirBrackets) {
  EXPECT_EQ(with("max_over_time(rate(x[5m])[1h:1m]) > 1", 1, 600),
            "max_over_time(rate(x[10m])[2h:1m]) > 1");
  EXPECT_EQ(with("rate(x[ 1h30m ] @ end()) > 1", 1, 60), "rate(x[ 1m ] @ end()) > 1");
  EXPECT_THAT(windows("rate(x[5m]) > 1 and rate(x[90s:]) > 1"), ElementsAre(300, 90));
  EXPECT_EQ(with("rate(x[300s]) > 1", 1, 300), "rate(x[300s]) > 1") << "as it is written";
  EXPECT_EQ(with("rate(x[5m]) > 1", 1, 0.5), "rate(x[500ms]) > 1");
  EXPECT_THAT(windows("rate(x[5m * 2]) > 1"), IsEmpty());
}

TEST(Tunable, WhatCannotBeVariedIsSaid) {
  const auto says = [](std::string_view expr, const char* words) {
    const Tunable found = tunable(expr);
    EXPECT_THAT(found.thresholds, IsEmpty()) << expr;
    EXPECT_THAT(found.notes, Contains(HasSubstr(words))) << expr;
    EXPECT_EQ(varied(found, 5, 60), expr);
  };
  says("up == 0", "know no more or less");
  says("x > y", "compares with no number");
  says("absent(x)", "compares with no number");
  says("x > bool 5", "has a value whatever");
  says("x > Inf", "compares with no number");
  says("x > 1 / 0", "compares with no number");
  says("vector(1)", "no range window");
  says("", "compares with no number");
  says("x >", "compares with no number");
}

TEST(Tunable, NothingThatSomebodyWritesTakesLong) {
  const auto start = std::chrono::steady_clock::now();
  for (const std::string& piece :
       {std::string("("), std::string(")"), std::string("(x and "), std::string("x > 1 and "),
        std::string("{a=\""), std::string("[5m]"), std::string("-"), std::string("2^"),
        std::string("\"\\"), std::string("x > ((((")}) {
    std::string text;
    while (text.size() + piece.size() < kLongestTunable) text += piece;
    const Tunable found = tunable(text);
    EXPECT_FALSE(varied(found, 7, 60).empty());
    EXPECT_LE(found.notes.size(), 500U);
  }
  std::string nested = "x > 1";
  for (int i = 0; i < 5'000; ++i) nested = "(" + nested + ")";
  EXPECT_THAT(thresholds(nested), ElementsAre(1)) << "parentheses alone are not deep";
  EXPECT_THAT(tunable(std::string(kLongestTunable + 1, 'x')).notes,
              Contains(HasSubstr("too long")));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

}  // namespace
}  // namespace faultline::controller::observe
