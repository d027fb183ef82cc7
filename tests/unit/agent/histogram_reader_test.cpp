// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/histogram_reader.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace faultline::agent {
namespace {

void add(fl_hist& h, std::uint64_t ns, std::uint32_t times = 1) {
  h.slots[fl_hist_bucket(ns)] += times;
  h.count += times;
  h.sum_ns += ns * times;
  h.max_ns = std::max<std::uint64_t>(h.max_ns, ns);
}

TEST(HistogramGrowth, IsWhatCameSinceTheLastReadingOnAllCpus) {
  std::vector<fl_hist> cpus(2);
  add(cpus[0], 1'000'000, 3);
  HistogramGrowth growth;
  EXPECT_EQ(growth.advance(cpus).count(), 3U);
  EXPECT_EQ(growth.advance(cpus).count(), 0U);

  add(cpus[0], 1'000'000);
  add(cpus[1], 1'000'000, 2);
  add(cpus[1], 20'000'000);
  const api::Histogram h = growth.advance(cpus);
  EXPECT_EQ(h.count(), 4U);
  EXPECT_EQ(h.buckets.at(fl_hist_bucket(1'000'000)), 3U);
  EXPECT_NEAR(h.sum, 0.023, 1e-12);
  EXPECT_EQ(h.max, 0.02) << "it is the largest so far: known exactly";
}

TEST(HistogramGrowth, MaximumIsOfTheWindowNotOfTheLife) {
  std::vector<fl_hist> cpus(1);
  add(cpus[0], 1'000'000'000);
  HistogramGrowth growth;
  growth.advance(cpus);
  add(cpus[0], 2'000'000, 5);
  EXPECT_NEAR(growth.advance(cpus).max, 0.002, 0.002 * 0.016);
}

TEST(HistogramGrowth, QuantilesAreThoseOfTheValues) {
  std::vector<fl_hist> cpus(1);
  for (std::uint64_t i = 1; i <= 1000; ++i) add(cpus[0], i * 10'000);
  HistogramGrowth growth;
  const api::Histogram h = growth.advance(cpus);
  EXPECT_NEAR(*h.quantile(0.5), 5e-3, 5e-3 * 0.03);
  EXPECT_NEAR(*h.quantile(0.99), 9.9e-3, 9.9e-3 * 0.03);
  EXPECT_EQ(*h.quantile(1), 10e-3);
}

TEST(HistogramGrowth, SlotsMayWrap) {
  std::vector<fl_hist> cpus(1);
  add(cpus[0], 5000, 0xffffffffU);
  HistogramGrowth growth;
  growth.advance(cpus);
  add(cpus[0], 5000, 3);
  EXPECT_EQ(growth.advance(cpus).count(), 3U);
}

TEST(HistogramGrowth, EntryThatWasMadeAgainStartsFromNothing) {
  std::vector<fl_hist> cpus(1);
  add(cpus[0], 5000, 10);
  HistogramGrowth growth;
  growth.advance(cpus);
  cpus[0] = {};
  add(cpus[0], 7'000'000, 2);
  const api::Histogram h = growth.advance(cpus);
  EXPECT_EQ(h.count(), 2U);
  EXPECT_NEAR(h.sum, 0.014, 1e-12);
  EXPECT_EQ(h.max, 0.007);
}

// The program runs while the kernel copies.
TEST(HistogramGrowth, SumThatWasReadBeforeItsSlotComesWithTheSlot) {
  std::vector<fl_hist> cpus(1);
  HistogramGrowth growth;
  cpus[0].sum_ns = cpus[0].max_ns = 4'000'000;
  EXPECT_EQ(growth.advance(cpus).sum, 0);
  cpus[0].slots[fl_hist_bucket(4'000'000)] = 1;
  cpus[0].count = 1;
  const api::Histogram h = growth.advance(cpus);
  EXPECT_NEAR(h.sum, 0.004, 1e-12);
  EXPECT_EQ(h.max, 0.004);
}

TEST(HistogramGrowth, OpenLastBucketGivesTheLargestValueKnown) {
  std::vector<fl_hist> cpus(1);
  add(cpus[0], 300'000'000'000ULL);
  HistogramGrowth growth;
  growth.advance(cpus);
  add(cpus[0], 200'000'000'000ULL);
  EXPECT_EQ(growth.advance(cpus).max, 300.0);
}

TEST(HistogramGrowth, MapThatCannotBeReadIsAnError) {
  HistogramGrowth growth;
  EXPECT_FALSE(growth.take(-1).has_value());
}

}  // namespace
}  // namespace faultline::agent
