// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <random>
#include <vector>

#include "agent/faults/delay_line/packet_arena.h"

namespace faultline::agent {
namespace {

constexpr std::size_t kRoom = 66048;

struct Held {
  std::byte* bytes;
  std::size_t size;
  PacketArena::Chunk* chunk;
  unsigned char mark;
};

TEST(PacketArena, PacketsKeepTheirBytesWhateverLeavesFirst) {
  std::mt19937 random(1);
  PacketBudget budget(std::size_t{1} << 30);
  PacketArena arena(8 << 20, budget);
  std::vector<Held> held;
  for (int i = 0; i < 50000; ++i) {
    if (std::byte* bytes = arena.room(kRoom); bytes && random() % 100 < 55) {
      const std::size_t size = 60 + random() % (i % 7 == 0 ? 65000 : 1500);
      const auto mark = static_cast<unsigned char>(i);
      std::memset(bytes, mark, size);
      held.push_back({bytes, size, arena.commit(size), mark});
    } else if (!held.empty()) {
      std::swap(held[random() % held.size()], held.back());
      const Held& h = held.back();
      ASSERT_EQ(std::to_integer<unsigned char>(h.bytes[0]), h.mark);
      ASSERT_EQ(std::memcmp(h.bytes, h.bytes + 1, h.size - 1), 0);
      arena.release(h.chunk);
      held.pop_back();
    }
  }
  EXPECT_LE(arena.chunks(), 8u);
}

TEST(PacketArena, FullSaysSoAndHasRoomAgainAfterRelease) {
  PacketBudget budget(std::size_t{1} << 30);
  PacketArena arena(2 << 20, budget);
  std::vector<PacketArena::Chunk*> held;
  while (arena.room(kRoom)) held.push_back(arena.commit(kRoom));
  EXPECT_EQ(arena.chunks(), 2u);
  EXPECT_EQ(held.size(), 2 * (PacketArena::kChunk / kRoom));
  EXPECT_EQ(arena.room(kRoom), nullptr);
  for (PacketArena::Chunk* chunk : held) arena.release(chunk);
  EXPECT_NE(arena.room(kRoom), nullptr);
}

TEST(PacketArena, ALineInOrderReusesTwoChunks) {
  PacketBudget budget(std::size_t{1} << 30);
  PacketArena arena(64 << 20, budget);
  std::deque<PacketArena::Chunk*> line;
  for (int i = 0; i < 100000; ++i) {
    ASSERT_NE(arena.room(kRoom), nullptr);
    line.push_back(arena.commit(1500));
    if (line.size() > 100) {
      arena.release(line.front());
      line.pop_front();
    }
  }
  EXPECT_EQ(arena.chunks(), 2u);
}

TEST(PacketArena, TrimGivesMemoryBackOnlyWhenNothingIsHeld) {
  PacketBudget budget(std::size_t{1} << 30);
  PacketArena arena(4 << 20, budget);
  std::vector<PacketArena::Chunk*> held;
  while (arena.room(kRoom)) held.push_back(arena.commit(kRoom));
  arena.trim();
  EXPECT_EQ(arena.chunks(), 4u);
  for (PacketArena::Chunk* chunk : held) arena.release(chunk);
  arena.trim();
  EXPECT_EQ(arena.chunks(), 1u);
  EXPECT_NE(arena.room(kRoom), nullptr);
}

}  // namespace
}  // namespace faultline::agent
