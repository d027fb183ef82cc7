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
  CpuCollector cpu(clock_, root_ / "cg", root_ / "proc");
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
  CpuCollector cpu(clock_, root_ / "cg", root_ / "proc");
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

TEST_F(CpuEffect, MissingFilesAreGapsAndNoNumbers) {
  CpuCollector cpu(clock_, root_ / "cg", root_ / "proc");
  clock_.now += std::chrono::seconds(1);
  cpu.take(samples_, gaps_);
  EXPECT_TRUE(samples_.empty());
  EXPECT_EQ(gaps_.size(), 2u);
}

}  // namespace
}  // namespace faultline::agent
