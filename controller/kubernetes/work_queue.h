// SPDX-License-Identifier: Apache-2.0
// Keys of objects that are to be looked at, each of them once, and not before its time. Adding and
// taking one costs the logarithm of how many there are. Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/clock.h"
#include "kube/object_cache.h"

namespace faultline::controller {

class WorkQueue {
 public:
  // The key is due at `at`, or earlier if it was due earlier before.
  void add(const kube::ObjectKey& key, SteadyTime at) {
    const auto known = due_.find(key);
    if (known == due_.end() || at < known->second) put(key, at);
  }
  // The key is due at `at`, whatever was said before.
  void put(const kube::ObjectKey& key, SteadyTime at) {
    remove(key);
    due_[key] = at;
    order_.emplace(at, key);
  }
  void remove(const kube::ObjectKey& key) {
    const auto known = due_.find(key);
    if (known == due_.end()) return;
    order_.erase({known->second, key});
    due_.erase(known);
  }
  // Takes out the key that is due longest; nothing: none is due at `now`.
  std::optional<kube::ObjectKey> take(SteadyTime now) {
    if (order_.empty() || order_.begin()->first > now) return std::nullopt;
    const kube::ObjectKey key = order_.begin()->second;
    remove(key);
    return key;
  }
  // When the next key is due; SteadyTime::max(): there is none.
  [[nodiscard]] SteadyTime next() const {
    return order_.empty() ? SteadyTime::max() : order_.begin()->first;
  }
  [[nodiscard]] std::size_t size() const { return due_.size(); }

 private:
  std::map<kube::ObjectKey, SteadyTime> due_;
  std::set<std::pair<SteadyTime, kube::ObjectKey>> order_;
};

}  // namespace faultline::controller
