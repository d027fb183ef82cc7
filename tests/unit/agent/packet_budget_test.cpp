// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "agent/faults/delay_line/packet_arena.h"
#include "agent/faults/delay_line/packet_budget.h"

namespace faultline::agent {
namespace {

constexpr std::size_t kChunk = PacketArena::kChunk;

TEST(PacketBudget, TwoArenasShareItAndGiveBackWhatTheyTook) {
  PacketBudget budget(5 * kChunk);
  {
    PacketArena first(4 * kChunk, budget), second(4 * kChunk, budget);
    while (first.room(60'000) != nullptr) first.commit(60'000);
    while (second.room(60'000) != nullptr) second.commit(60'000);
    EXPECT_EQ(first.chunks(), 4U);
    EXPECT_EQ(second.chunks(), 1U) << "what the other has left";
    EXPECT_EQ(budget.used(), 5 * kChunk);
  }
  EXPECT_EQ(budget.used(), 0U);
}

TEST(PacketBudget, ALowerLimitTakesNothingBackAndGivesNothingMore) {
  PacketBudget budget(4 * kChunk);
  EXPECT_TRUE(budget.take(3 * kChunk));
  budget.set_limit(2 * kChunk);
  EXPECT_FALSE(budget.take(1));
  budget.give_back(2 * kChunk);
  EXPECT_TRUE(budget.take(kChunk));
}

class MemoryLimit : public testing::Test {
 protected:
  ~MemoryLimit() override { std::filesystem::remove_all(dir_); }
  void limit(const std::string& cgroup, const std::string& text) const {
    const auto folder = std::filesystem::path(dir_) / cgroup;
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "memory.max") << text;
  }
  static std::string make() {
    std::string path = testing::TempDir() + "limit-XXXXXX";
    return mkdtemp(path.data());
  }
  const std::string dir_ = make();
};

TEST_F(MemoryLimit, IsTheLeastOnTheWayUp) {
  limit("pods/agent", "max\n");
  limit("pods", "268435456\n");
  EXPECT_EQ(process_memory_limit("0::/pods/agent\n", dir_), 268435456U);
  limit("pods/agent", "1048576\n");
  EXPECT_EQ(process_memory_limit("12:cpu:/x\n0::/pods/agent\n", dir_), 1048576U);
}

TEST_F(MemoryLimit, IsNoneWhereNobodySaysOne) {
  limit("pods", "max\n");
  EXPECT_EQ(process_memory_limit("0::/pods\n", dir_), std::nullopt);
  EXPECT_EQ(process_memory_limit("0::/\n", dir_), std::nullopt);
  EXPECT_EQ(process_memory_limit("", dir_), std::nullopt);
}

}  // namespace
}  // namespace faultline::agent
