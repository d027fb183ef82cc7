// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/test_series.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace faultline::controller::observe {
namespace {

Series series(const std::vector<Point>& points) { return {{{"__name__", "x"}}, points}; }

TEST(TestSeries, NamesAsPromtoolReadsThem) {
  EXPECT_EQ(series_name({{"__name__", "up"}}), "up");
  EXPECT_EQ(series_name({{"__name__", "a"}, {"b", "c\"\\\nd"}, {"e", ""}}),
            "a{b=\"c\\\"\\\\\\nd\",e=\"\"}");
}

TEST(TestSeries, WhatRepeatsOrGrowsIsWrittenOnce) {
  // Late by milliseconds, never by a slot; the first is in the slot that its time is in.
  const auto grid = on_grid(series({{102.3, 5},
                                    {103.302, 5},
                                    {104.299, 5},
                                    {105.3, 5.5},
                                    {106.3, 10},
                                    {107.3, 12},
                                    {108.3, 14}}),
                            100, 1, 9);
  EXPECT_EQ(expanded(grid), "_x2 5+0x2 5.5 10+2x2");
  EXPECT_EQ(expanded(on_grid(series({{0, -1}, {1, -3}, {2, -5}, {3, 0.1}}), 0, 1, 4)),
            "-1-2x2 0.1");
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(expanded(on_grid(series({{0, kNan}, {1, kInf}, {2, -kInf}}), 0, 1, 3)), "NaN Inf -Inf");
}

TEST(TestSeries, WhereNoSampleCameIsAStaleMarker) {
  EXPECT_EQ(expanded(on_grid(series({{0, 1}, {1, 2}, {2, 4}, {6, 7}, {7, 7}, {8, 7}}), 0, 1, 12)),
            "1 2 4 stale _x2 7+0x2 stale _x2");
  // One that is scraped every five seconds beside others that are every second.
  EXPECT_EQ(expanded(on_grid(series({{1, 1}, {6, 1}, {11, 1}}), 0, 1, 13)), "_ 1 _x4 1 _x4 1 _");
}

TEST(TestSeries, IntervalsAsTheyWereConfigured) {
  EXPECT_EQ(interval_of(series({{0, 1}, {1.002, 1}, {2.001, 1}, {9, 1}})), 1.002);
  EXPECT_EQ(interval_of(series({{0, 1}})), 0);
  EXPECT_EQ(rounded_interval(0.998), 1);
  EXPECT_EQ(rounded_interval(14.99), 15);
  EXPECT_EQ(rounded_interval(0.25), 0.25);
  EXPECT_EQ(rounded_interval(0), 0.001);
}

}  // namespace
}  // namespace faultline::controller::observe
