// SPDX-License-Identifier: Apache-2.0
// Memory for packets that wait: chunks of 1 MiB that are filled one behind the other, and go back
// to a pool when the last packet in them is gone. A packet takes as much as it is long, whatever
// the largest possible one; the chunk last freed, which is still in the cache, is used next. Not
// thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "agent/faults/delay_line/packet_budget.h"

namespace faultline::agent {

class PacketArena {
 public:
  static constexpr std::size_t kChunk = 1 << 20;

  struct Chunk {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t used = 0;
    std::uint32_t packets = 0;
  };

  // `most_bytes` is rounded up to two whole chunks at least; memory is taken as it is needed, and
  // each chunk from `budget`, which outlives the arena.
  PacketArena(std::size_t most_bytes, PacketBudget& budget);
  PacketArena(const PacketArena&) = delete;
  PacketArena& operator=(const PacketArena&) = delete;
  ~PacketArena() { budget_.give_back(chunks_.size() * kChunk); }

  // Where the next packet may be written, `room` (<= kChunk) bytes; nullptr: this arena is full,
  // the budget is spent, or there is no memory. Valid until the next call of room() or commit().
  std::byte* room(std::size_t room);
  // The packet there has `size` bytes and stays. Returns what release() wants back.
  Chunk* commit(std::size_t size);
  void release(Chunk* chunk);

  // Gives memory back to the system but for one chunk, when nothing is held.
  void trim();
  [[nodiscard]] std::size_t most_bytes() const { return most_chunks_ * kChunk; }
  [[nodiscard]] std::size_t chunks() const { return chunks_.size(); }

 private:
  PacketBudget& budget_;
  std::size_t most_chunks_;
  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<Chunk*> free_;  // the last one was freed last
  Chunk* current_ = nullptr;
};

}  // namespace faultline::agent
