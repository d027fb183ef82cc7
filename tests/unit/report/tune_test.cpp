// SPDX-License-Identifier: Apache-2.0
// How a tuning is shown.
#include "report/tune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "api/codec.h"
#include "tests/unit/hostile.h"

namespace faultline::report {
namespace {

using api::TuneOutcome;
using testing::HasSubstr;
using testing::Not;

api::TuneSetting setting(double seconds, double per_day) {
  api::TuneSetting out{.threshold = 0.5, .window = 300, .expr = "rate(x[5m]) > 0.5"};
  out.runs = {{TuneOutcome::detected, seconds}};
  out.falseAlarms = 7;
  out.falsePerDay = per_day;
  out.falseSeconds = 30;
  return out;
}

api::TuneReport report() {
  api::TuneReport out{.source = "main", .group = "g", .alert = "Slow", .expr = "rate(x[5m]) > 0.5"};
  out.runs = {{.run = "slow-1", .measured = 12.5}};
  out.settings = {setting(10, 16), setting(20, 4), setting(40, 0)};
  out.settings[0].present = true;
  out.settings[1].best = true;
  return out;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

TEST(TunePlot, PutsEachSettingWhereItsNumbersSay) {
  const std::vector<std::string> lines = lines_of(tune_plot(report()));
  ASSERT_EQ(lines.size(), 16U);
  EXPECT_THAT(lines[1], testing::ContainsRegex("16.0 \\| +@$"));
  EXPECT_EQ(lines[1].find('@') - lines[1].find('|') - 1, 15U) << "10 s of 40 s";
  EXPECT_THAT(lines[6], testing::ContainsRegex("4.00 \\| +o$")) << "half as high: a square root";
  EXPECT_EQ(lines[6].find('o') - lines[6].find('|') - 1, 31U);
  EXPECT_EQ(lines[11].find('.') - lines[11].find('|') - 1, 61U);
  EXPECT_THAT(lines[13], testing::ContainsRegex("0 s +20.0 s +40.0 s"));
  EXPECT_THAT(tune_plot(report()), Not(HasSubstr("not all detected")));
}

TEST(TunePlot, WhatIsNotDetectedHasAPlaceOfItsOwnAndGapsHaveNone) {
  api::TuneReport some = report();
  some.settings[0].runs.push_back({TuneOutcome::missed, std::nullopt});
  EXPECT_EQ(slowest(some.settings[0]), std::nullopt);
  const std::string plot = tune_plot(some);
  EXPECT_THAT(plot, HasSubstr("not all detected"));
  for (const std::string& line : lines_of(plot)) EXPECT_LE(line.size(), 100U);
  for (api::TuneSetting& one : some.settings) one.runs = {{TuneOutcome::gap, std::nullopt}};
  EXPECT_EQ(tune_plot(some), "");
  EXPECT_THAT(tune_html(some), HasSubstr("nothing to draw"));
  EXPECT_EQ(tune_plot({}), "");
  // One point, no false alarm, at once: nothing to divide by.
  api::TuneReport one;
  one.settings = {setting(0, 0)};
  EXPECT_THAT(tune_plot(one), HasSubstr("0 |."));
  // Numbers that nobody measured.
  one.settings = {setting(1e300, 1e300), setting(-5, -5)};
  EXPECT_FALSE(tune_plot(one).empty());
  EXPECT_FALSE(tune_html(one).empty());
}

TEST(TuneHtml, IsOnePageAndWordsOfOthersAreText) {
  const std::string page = tune_html(report());
  EXPECT_THAT(page, HasSubstr("<svg"));
  EXPECT_THAT(page, HasSubstr("rate(x[5m]) &gt; 0.5"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("://"))) << "nothing is loaded";
  api::TuneReport hostile = report();
  hostile.runs[0].problem = "p";
  hostile.notes = {"n"};
  hostile = testing_words::all_hostile(hostile);
  const std::string tame = tune_html(hostile);
  testing_words::expect_tame(tame, "the page");
  testing_words::expect_no_markup(tame, "the page");
  EXPECT_THAT(tame, HasSubstr("&lt;img src=x"));
  for (const std::string& words : run_words(hostile))
    testing_words::expect_tame(words, "what is said of runs");
}

TEST(TuneWords, SayWhatEachOutcomeMeans) {
  EXPECT_EQ(outcome_words({TuneOutcome::detected, 12.5}), "12.5 s");
  EXPECT_EQ(outcome_words({TuneOutcome::before_fault, std::nullopt}), "before");
  api::TuneReport some = report();
  EXPECT_TRUE(outcome_notes(some).empty());
  some.settings[0].runs[0] = {TuneOutcome::pending, std::nullopt};
  ASSERT_EQ(outcome_notes(some).size(), 1U);
  EXPECT_THAT(outcome_notes(some)[0], HasSubstr("longer fault"));
  EXPECT_EQ(history_words({}), "");
}

}  // namespace
}  // namespace faultline::report
