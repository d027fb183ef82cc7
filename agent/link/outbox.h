// SPDX-License-Identifier: Apache-2.0
// Batches that the controller has not stored yet. Numbered from 1, sent again until acknowledged.
// Bounded: when it is full the oldest windows go, and each that goes is told as a gap in its own
// batch, so that a batch that was stored after all is not contradicted. Events, gaps and the state
// of faults are never dropped. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "api/sync.h"

namespace faultline::agent {

class Outbox {
 public:
  // Of all windows kept, about; as estimated by size_of().
  explicit Outbox(std::size_t max_bytes = 16 << 20) : max_bytes_(max_bytes) {}

  // Bytes from which on a batch is not added to: the controller takes messages of 4 MiB at most.
  static constexpr std::size_t kFullBatch = 512 << 10;

  // Joins the newest batch of the run while that was never sent.
  void add(api::RunBatch batch);
  // The oldest, in order, up to about `max_bytes` of JSON but at least one. They stay here.
  [[nodiscard]] std::vector<api::NumberedBatch> next(std::size_t max_bytes);
  // All batches up to this number are stored.
  void acknowledged(std::uint64_t number);

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::uint64_t dropped_windows() const { return dropped_; }
  [[nodiscard]] bool has_unsent() const { return !entries_.empty() && !entries_.back().sent; }

  // Bytes of JSON, about.
  [[nodiscard]] static std::size_t size_of(const api::RunBatch& batch);

 private:
  struct Entry {
    api::NumberedBatch numbered;
    std::size_t bytes = 0;
    bool sent = false;
  };
  void shrink();

  std::size_t max_bytes_;
  std::deque<Entry> entries_;
  std::size_t bytes_ = 0;
  std::uint64_t last_number_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace faultline::agent
