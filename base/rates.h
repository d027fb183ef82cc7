// SPDX-License-Identifier: Apache-2.0
// A budget of things a second for each caller: `burst` at once, then `per_second`. What it keeps is
// bounded however many names callers make up: beyond `most` callers all newcomers share one budget.
// Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/clock.h"

namespace faultline {

class Rates {
 public:
  struct Limits {
    double burst = 1, per_second = 1;
    std::size_t most = 4096;  // callers that have a budget of their own
  };
  explicit Rates(Limits limits) : limits_(limits), shared_(full()) {}

  struct Taken {
    bool allowed = false;
    std::uint64_t refused = 0;  // of an allowed one: how often this caller was refused before it
  };
  // Takes `cost` from the caller's budget, or nothing if it has not that much. More than the burst
  // costs as much as the burst.
  Taken take(const std::string& caller, SteadyTime now, double cost = 1) {
    Bucket& bucket = of(caller, now);
    refill(bucket, now);
    cost = std::min(cost, limits_.burst);
    if (bucket.left < cost) {
      ++bucket.refused;
      return {};
    }
    bucket.left -= cost;
    return {true, std::exchange(bucket.refused, 0) + std::exchange(forgotten_, 0)};
  }
  // Whether take() with a cost of 1 would be allowed.
  [[nodiscard]] bool has(const std::string& caller, SteadyTime now) {
    Bucket& bucket = of(caller, now);
    refill(bucket, now);
    return bucket.left >= 1;
  }
  // Counts as refused what somebody else refused.
  void refuse(const std::string& caller, SteadyTime now) { ++of(caller, now).refused; }
  [[nodiscard]] std::size_t size() const { return buckets_.size(); }

 private:
  struct Bucket {
    double left;
    SteadyTime at;
    std::uint64_t refused = 0;
  };
  [[nodiscard]] Bucket full() const { return {limits_.burst, SteadyTime{}, 0}; }

  void refill(Bucket& bucket, SteadyTime now) const {
    const std::chrono::duration<double> passed = now - bucket.at;
    if (bucket.at != SteadyTime{} && passed.count() > 0)
      bucket.left = std::min(limits_.burst, bucket.left + passed.count() * limits_.per_second);
    bucket.at = now;
  }

  Bucket& of(const std::string& caller, SteadyTime now) {
    if (const auto known = buckets_.find(caller); known != buckets_.end()) return known->second;
    if (buckets_.size() >= limits_.most && now - swept_ >= std::chrono::seconds(1)) {
      // Whoever has asked for nothing for so long that the budget is whole again is forgotten.
      swept_ = now;
      for (auto entry = buckets_.begin(); entry != buckets_.end();) {
        Bucket& bucket = entry->second;
        refill(bucket, now);
        const bool whole = bucket.left >= limits_.burst;
        if (whole) forgotten_ += bucket.refused;
        entry = whole ? buckets_.erase(entry) : std::next(entry);
      }
    }
    if (buckets_.size() >= limits_.most) return shared_;
    return buckets_.emplace(caller, full()).first->second;
  }

  Limits limits_;
  std::unordered_map<std::string, Bucket> buckets_;
  Bucket shared_;
  SteadyTime swept_{};
  std::uint64_t forgotten_ = 0;  // refusals of callers that are no longer kept
};

}  // namespace faultline
