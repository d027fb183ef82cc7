// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "agent/effects/cpu.h"

namespace faultline::agent {
namespace {
namespace fs = std::filesystem;

struct HandClock final : Clock {
  SteadyTime now{};
  SteadyTime steady() const override { return now; }
  UtcTime utc() const override { return {}; }
};

class CpuEffect : public testing::Test {
 protected:
  CpuEffect() { fs::create_directories(root_ / "cg/child"); }
  ~CpuEffect() override { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  fs::path root_ = fs::temp_directory_path() / ("flt" + std::to_string(::getpid()) + "-cpu");
  OwnProcesses own_{root_ / "proc"};
  HandClock clock_;
  std::vector<api::EffectSample> samples_;
  std::vector<api::Gap> gaps_;
};

TEST_F(CpuEffect, UsageAndWaitAreDifferencesSinceTheLastTakeWithChildCgroups) {
  write("cg/cpu.stat", "usage_usec 1000000\nuser_usec 5\n");
  write("cg/cgroup.procs", "7\n");
  write("cg/child/cgroup.procs", "8\n");
  write("proc/7/task/7/schedstat", "100 5000 10\n");
  write("proc/8/task/8/schedstat", "100 1000 10\n");
  CpuCollector cpu(clock_, root_ / "cg", root_ / "cg", root_ / "proc", own_);
  clock_.now += std::chrono::seconds(2);
  write("cg/cpu.stat", "usage_usec 2000000\n");
  write("proc/7/task/7/schedstat", "500000100 8000 12\n");
  write("proc/8/task/8/schedstat", "490000100 2000 12\n");
  cpu.take(samples_, gaps_);
  ASSERT_EQ(samples_.size(), 2u);
  EXPECT_TRUE(gaps_.empty());
  EXPECT_DOUBLE_EQ(samples_[0].value, 0.5);
  EXPECT_DOUBLE_EQ(samples_[1].value, 1e-6);  // (3000 + 1000) ns over 2 + 2 timeslices
}

TEST_F(CpuEffect, WaitsOfThreadsThatEndedAreAGapByTheirShareOfTheCpu) {
  write("cg/cpu.stat", "usage_usec 1000000\n");
  write("cg/cgroup.procs", "7\n8\n");
  write("proc/7/task/7/schedstat", "100 5000 10\n");
  write("proc/8/task/8/schedstat", "100 1000 10\n");
  CpuCollector cpu(clock_, root_ / "cg", root_ / "cg", root_ / "proc", own_);
  clock_.now += std::chrono::seconds(2);
  write("cg/cpu.stat", "usage_usec 2000000\n");
  write("proc/7/task/7/schedstat", "600000100 8000 12\n");
  fs::remove_all(root_ / "proc/8");
  cpu.take(samples_, gaps_);
  ASSERT_EQ(samples_.size(), 2u) << "of those that are there";
  ASSERT_EQ(gaps_.size(), 1u);
  EXPECT_EQ(gaps_[0].metric, "cpu.runqueue");
  EXPECT_EQ(gaps_[0].missed, 400'000u);
  EXPECT_EQ(gaps_[0].of, 1'000'000u);
}

// Workers of a fault are in the pod's cgroup, too: what they use is not the pod's.
TEST_F(CpuEffect, WhatProcessesOfOursUseIsLeftOut) {
  write("cg/cpu.stat", "usage_usec 1000000\n");
  write("cg/cgroup.procs", "7\n8\n9\n");
  write("proc/7/task/7/schedstat", "100 5000 10\n");
  for (const char* pid : {"8", "9"}) {
    write("proc/" + std::string(pid) + "/schedstat", "200000000 0 1\n");
    write("proc/" + std::string(pid) + "/task/" + pid + "/schedstat", "200000000 0 1\n");
  }
  own_.add(8, root_ / "cg");
  own_.add(9, root_ / "cg" / "child");
  own_.add(10, root_ / "cg-of-another");
  write("proc/10/schedstat", "7000000000 0 1\n");
  CpuCollector cpu(clock_, root_ / "cg", root_ / "cg", root_ / "proc", own_);
  clock_.now += std::chrono::seconds(1);
  write("cg/cpu.stat", "usage_usec 2000000\n");
  write("proc/7/task/7/schedstat", "100000100 8000 12\n");
  write("proc/8/schedstat", "700000000 9999999 9\n");
  write("proc/8/task/8/schedstat", "700000000 9999999 9\n");
  own_.ended(9, std::chrono::milliseconds(600));
  write("cg/cgroup.procs", "7\n8\n");
  cpu.take(samples_, gaps_);
  ASSERT_EQ(samples_.size(), 2u);
  EXPECT_TRUE(gaps_.empty());
  EXPECT_NEAR(samples_[0].value, 0.1, 1e-9) << "1 s, of which 0.5 s and 0.4 s were ours";
  EXPECT_DOUBLE_EQ(samples_[1].value, 1.5e-6) << "only of the pod's own thread";
}

TEST_F(CpuEffect, ThrottlingIsOfTheCgroupAndThoseBelowIt) {
  write("v1/cpu.stat", "nr_periods 100\nnr_throttled 10\nthrottled_time 1000000000\n");
  write("v1/app/cpu.stat", "nr_periods 50\nnr_throttled 0\nthrottled_usec 0\n");
  write("v1/log/cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n");
  CpuCollector cpu(clock_, root_ / "cg", root_ / "v1", root_ / "proc", own_);
  clock_.now += std::chrono::seconds(2);
  write("v1/cpu.stat", "nr_periods 120\nnr_throttled 20\nthrottled_time 2000000000\n");
  write("v1/app/cpu.stat", "nr_periods 70\nnr_throttled 20\nthrottled_usec 500000\n");
  cpu.take(samples_, gaps_);
  ASSERT_EQ(samples_.size(), 2u);
  EXPECT_EQ(samples_[0].metric, "cpu.throttled");
  EXPECT_EQ(samples_[0].numerator, 30);
  EXPECT_EQ(samples_[0].denominator, 40);
  EXPECT_EQ(samples_[1].metric, "cpu.throttled_time");
  EXPECT_DOUBLE_EQ(samples_[1].value, 0.75);
}

TEST_F(CpuEffect, PressureIsTheShareOfTheTimeInWhichOneWaited) {
  write("cg/cpu.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
  CpuCollector cpu(clock_, root_ / "cg", root_ / "cg", root_ / "proc", own_);
  clock_.now += std::chrono::seconds(2);
  write("cg/cpu.pressure", "some avg10=9.00 avg60=0.00 avg300=0.00 total=1500000\n");
  cpu.take(samples_, gaps_);
  ASSERT_EQ(samples_.size(), 1u);
  EXPECT_EQ(samples_[0].metric, "cpu.pressure");
  EXPECT_DOUBLE_EQ(samples_[0].numerator, 0.5);
  EXPECT_DOUBLE_EQ(samples_[0].denominator, 2);
}

TEST_F(CpuEffect, MissingFilesAreGapsAndNoNumbers) {
  CpuCollector cpu(clock_, root_ / "cg", root_ / "cg", root_ / "proc", own_);
  clock_.now += std::chrono::seconds(1);
  cpu.take(samples_, gaps_);
  EXPECT_TRUE(samples_.empty());
  EXPECT_EQ(gaps_.size(), 2u);
}

}  // namespace
}  // namespace faultline::agent
