// SPDX-License-Identifier: Apache-2.0
// Which faults a task is asked by, from where they were armed.
#include "agent/kernel/task_slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultline::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ShownSlot on(std::uint32_t slot, std::string path, std::uint32_t level) {
  return {slot, CgroupId{slot + 100U}, std::move(path), level};
}

TEST(TaskSlots, ATaskIsAskedByTheFaultsOnItsCgroupAndAboveInTheOrderOfArming) {
  const std::vector<ShownSlot> shown{on(5, "/pods/a/c", 3), on(2, "/pods/a", 2),
                                     on(9, "/pods/b", 2), on(1, "/pods/a/c", 3)};
  EXPECT_THAT(slots_on("/pods/a", shown), ElementsAre(2));
  EXPECT_THAT(slots_on("/pods/a/c", shown), ElementsAre(5, 2, 1));
  EXPECT_THAT(slots_on("/pods/a/c/deeper", shown), ElementsAre(5, 2, 1));
  EXPECT_THAT(slots_on("/pods/b", shown), ElementsAre(9));
  EXPECT_THAT(slots_on("/pods", shown), IsEmpty());
}

TEST(TaskSlots, ANameThatBeginsTheSameIsAnotherCgroup) {
  EXPECT_THAT(slots_on("/pods/ab", {on(1, "/pods/a", 2)}), IsEmpty());
}

TEST(TaskSlots, LevelsArePackedDeepestFirstAndOnce) {
  EXPECT_EQ(pack_levels({}), 0U);
  EXPECT_EQ(pack_levels({on(1, "/a", 3), on(2, "/b", 4), on(3, "/c", 3)}), 0x0304U)
      << "a byte each, the deepest lowest";
  EXPECT_EQ(pack_levels({on(1, "/a", 255)}), 0xffU);
}

TEST(TaskSlots, EachCgroupWithAFaultHasItsBit) {
  EXPECT_EQ(bits_of({}), CgroupBits{});
  CgroupBits bits{};
  bits[1] = 1U << 7 | 1U << 9;
  const auto at = [](std::uint64_t id) { return ShownSlot{0, CgroupId{id}, "/a", 1}; };
  EXPECT_EQ(bits_of({at(64 + 7), at(64 + 9), at(64 * FL_CGROUP_WORDS + 64 + 7)}), bits);
}

TEST(TaskSlots, LevelsThatCannotBeLookedAtAreRefused) {
  std::vector<ShownSlot> many;
  for (std::uint32_t level = 1; level <= FL_LEVELS; ++level) many.push_back(on(level, "/a", level));
  EXPECT_EQ(pack_levels(many), 0x0102030405060708U);
  many.push_back(on(0, "/a", 100));
  EXPECT_THAT(pack_levels(many).error().message, HasSubstr("8 different depths"));
  EXPECT_FALSE(pack_levels({on(1, "/", 0)}));
  EXPECT_FALSE(pack_levels({on(1, "/a", 256)}));
}

}  // namespace
}  // namespace faultline::agent
