// SPDX-License-Identifier: Apache-2.0
// Deletes finished Experiments and GameDays when their time is over (ttlAfterFinished). What it
// costs grows with what is deleted, not with what is there. Not thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "controller/kubernetes/work_queue.h"
#include "kube/client.h"

namespace faultline::controller {

// Objects of one kind, and when one of them was finished: nothing, it is not, or does not say it.
struct FinishedKind {
  kube::ResourceRef collection;
  const char* what;  // "experiment"
  std::optional<UtcTime> (*finished_at)(const boost::json::object& object);
};

class FinishedOnes {
 public:
  // How long those are kept that do not say it; nothing: without end. Empty: the same.
  using KeptFor = std::function<std::optional<std::chrono::seconds>()>;

  // References outlive it.
  FinishedOnes(kube::Client& client, const Clock& clock, FinishedKind kind, KeptFor kept_for);

  // `object` is finished: it is to be looked at when its time is over.
  void keep(const boost::json::object& object);
  void forget(const kube::ObjectKey& key) { queue_.remove(key); }
  std::optional<kube::ObjectKey> take(SteadyTime now) { return queue_.take(now); }
  [[nodiscard]] SteadyTime next() const { return queue_.next(); }

  // Of one that was taken, as it is now: deletes it if its time is over, else keeps it.
  boost::asio::awaitable<void> look(boost::json::object object);
  [[nodiscard]] std::uint64_t deleted() const { return deleted_; }

 private:
  [[nodiscard]] std::optional<UtcTime> until(const boost::json::object& object) const;

  kube::Client& client_;
  const Clock& clock_;
  FinishedKind kind_;
  KeptFor kept_for_;
  WorkQueue queue_;
  std::uint64_t deleted_ = 0;
  std::string last_error_;
};

}  // namespace faultline::controller
