// SPDX-License-Identifier: Apache-2.0
// How many workers a percentage is.
#include <gtest/gtest.h>

#include "agent/faults/cpu_pressure.h"

namespace faultline::agent {
namespace {

constexpr double kCpus = 8;  // of the node

PressurePlan plan(const api::CpuPressure& spec, std::optional<CpuLimit> limit = std::nullopt) {
  return plan_pressure(spec, limit, kCpus).value();
}

TEST(PressurePlan, WorkersAreAsManyAsWereAskedFor) {
  EXPECT_EQ(plan({}).workers, 1U);
  EXPECT_EQ(plan({}).share, 1);
  const PressurePlan two = plan({.workers = 2, .percent = {}, .load = 30}, CpuLimit{0.1});
  EXPECT_EQ(two.workers, 2U);
  EXPECT_DOUBLE_EQ(two.share, 0.3);
  EXPECT_EQ(two.words, "2 workers at 30 % of a CPU");
}

TEST(PressurePlan, APercentageIsOfTheLimitElseOfTheNode) {
  api::CpuPressure f{.workers = {}, .percent = 80, .load = 100};
  EXPECT_EQ(plan(f, CpuLimit{0.5}).words,
            "1 worker at 40 % of a CPU = 80 % of its limit of 0.5 CPUs");
  EXPECT_EQ(plan(f, CpuLimit{1, false}).words,
            "1 worker at 80 % of a CPU = 80 % of the limit above it of 1 CPU");
  const PressurePlan node = plan(f);
  EXPECT_EQ(node.workers, 7U) << "as few as can ask for 6.4 CPUs";
  EXPECT_DOUBLE_EQ(node.share * node.workers, 6.4);
  EXPECT_EQ(node.words, "7 workers at 91.4 % of a CPU = 80 % of the node's 8 CPUs");
  f.load = 50;
  EXPECT_EQ(plan(f).workers, 13U) << "of which none asks for more than half a CPU";
  EXPECT_LE(plan(f).share, 0.5);
  f = {.workers = {}, .percent = 100, .load = 100};
  EXPECT_EQ(plan(f).workers, 8U);
  EXPECT_EQ(plan(f).share, 1);
}

TEST(PressurePlan, MoreWorkersThanThereMayBeAreRefused) {
  const auto refused = plan_pressure({.workers = {}, .percent = 100, .load = 0.5}, {}, 64);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "100 % of 64 CPUs would need more than 1024 workers");
}

}  // namespace
}  // namespace faultline::agent
