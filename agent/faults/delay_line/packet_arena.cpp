// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/delay_line/packet_arena.h"

#include <algorithm>
#include <new>

namespace faultline::agent {

PacketArena::PacketArena(std::size_t most_bytes, PacketBudget& budget)
    : budget_(budget),
      most_chunks_(std::max<std::size_t>(2, (most_bytes + kChunk - 1) / kChunk)) {
  // So that release(), which runs while packets are on their way, never allocates.
  chunks_.reserve(most_chunks_);
  free_.reserve(most_chunks_);
}

std::byte* PacketArena::room(std::size_t room) {
  if (current_ && current_->packets == 0) current_->used = 0;
  if (!current_ || current_->used + room > kChunk) {
    Chunk* next = nullptr;
    if (!free_.empty()) {
      next = free_.back();
      free_.pop_back();
    } else if (chunks_.size() < most_chunks_ && budget_.take(kChunk)) {
      auto chunk = std::make_unique<Chunk>();
      chunk->bytes.reset(new (std::nothrow) std::byte[kChunk]);  // not filled: read() does that
      if (!chunk->bytes) {
        budget_.give_back(kChunk);
        return nullptr;
      }
      next = chunk.get();
      chunks_.push_back(std::move(chunk));
    } else {
      return nullptr;
    }
    next->used = 0;
    current_ = next;  // the one before goes to free_ with its last packet
  }
  return current_->bytes.get() + current_->used;
}

PacketArena::Chunk* PacketArena::commit(std::size_t size) {
  current_->used += (size + 15) & ~std::size_t{15};
  ++current_->packets;
  return current_;
}

void PacketArena::release(Chunk* chunk) {
  if (--chunk->packets == 0 && chunk != current_) free_.push_back(chunk);
}

void PacketArena::trim() {
  if (chunks_.size() <= 1) return;
  for (const auto& chunk : chunks_)
    if (chunk->packets != 0) return;
  free_.clear();
  budget_.give_back((chunks_.size() - 1) * kChunk);
  chunks_.resize(1);
  current_ = chunks_.front().get();
  current_->used = 0;
}

}  // namespace faultline::agent
