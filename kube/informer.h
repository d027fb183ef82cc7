// SPDX-License-Identifier: Apache-2.0
// Knows the objects of a collection, and says what changes: a list, then a watch that goes on
// through closed connections, an API server that is away, and history that is gone (410). No change
// is told twice or made up; of changes that came while nobody could see them, the sum is told.
// Known objects stay known while the server is away. Not thread-safe.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "kube/backoff.h"
#include "kube/client.h"
#include "kube/object_cache.h"

namespace faultline::kube {

struct InformerOptions {
  ResourceRef collection;  // of a namespace, or of all when `ns` is empty
  Selection selection;
  // The first list from the server's memory instead of etcd: it may be a little old, which the
  // watch then catches up with. For collections that every node lists.
  bool from_cache = false;
  int page = 500;  // objects a page of a list that is not from memory
  // Watches last between one and two of these, so that those of many nodes do not end together.
  std::chrono::seconds watch_timeout{240};
  std::chrono::milliseconds idle{100'000};  // see WatchOptions
  BackoffOptions backoff;
  // Called for each object before it is kept: erase here what nobody needs.
  std::function<void(boost::json::object&)> trim;
};

// Called on the executor. They may stop or destroy the informer. References are valid during the
// call.
struct InformerHandlers {
  std::function<void(const boost::json::object& now)> added;
  std::function<void(const boost::json::object& before, const boost::json::object& now)> modified;
  std::function<void(const boost::json::object& last)> deleted;
  std::function<void()> synced;  // once: the first list is known
};

struct InformerState {
  bool synced = false;  // a list was known once
  // Since when what is known may be old; nothing while in touch.
  std::optional<SteadyTime> out_of_touch_since;
  std::string last_error;  // why; kept until in touch again
  std::uint64_t lists = 0, watches = 0, events = 0, failures = 0;
};

class Informer {
 public:
  // `client` and `clock` must outlive it. Starts with start().
  Informer(boost::asio::any_io_executor executor, Client& client, const Clock& clock,
           InformerOptions options, InformerHandlers handlers = {});
  ~Informer();  // as stop()
  Informer(const Informer&) = delete;
  Informer& operator=(const Informer&) = delete;

  void start();
  // No handler is called after it.
  void stop();

  [[nodiscard]] const ObjectCache::Objects& objects() const;
  [[nodiscard]] const boost::json::object* find(const std::string& ns,
                                                const std::string& name) const;
  [[nodiscard]] const InformerState& state() const;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace faultline::kube
