// SPDX-License-Identifier: Apache-2.0
// Async client of one API server. Not thread-safe: one io_context, one thread runs it. Any number
// of requests may be under way; each takes a kept connection or makes one.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kube/config.h"
#include "kube/error.h"
#include "kube/resource.h"

namespace faultline::kube {

struct ClientSettings {
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds request_timeout{30'000};  // of one try
  // 429, and 5xx with Retry-After, are tried again after what the server asks for. When it asks for
  // more than `longest_wait`, or after `tries`, the error is handed back.
  int tries = 5;
  std::chrono::seconds longest_wait{30};
  std::size_t max_body = 256 << 20;  // bytes
  std::string user_agent = "faultline";
};

// Selectors in the API's own words: "spec.nodeName=node-1", "app in (a,b)".
struct Selection {
  std::string fields, labels;
};

struct ListOptions {
  Selection selection;
  int limit = 500;               // objects a page; 0: all at once
  std::string resource_version;  // "": the newest; "0": whatever the server has at hand; else: not
                                 // older than that. With one, there are no pages.
  // Called for each object of a page before the next page is asked for, so that no more than one
  // page is ever held whole.
  std::function<void(boost::json::object&)> trim{};
};
struct ObjectList {
  std::vector<boost::json::object> items;
  std::string resource_version;
  int pages = 0;
};

struct RemoveOptions {
  std::string uid;          // only this very object: kConflict if another has its name
  std::string propagation;  // "", "Background", "Foreground" or "Orphan"
  int grace_seconds = -1;   // -1: the kind's default
};

struct WatchOptions {
  Selection selection;
  std::string resource_version;             // resume behind this one
  std::chrono::seconds timeout{300};        // the server ends the watch then
  std::chrono::milliseconds idle{100'000};  // without a line for so long the connection is given up
};
struct WatchEvent {
  enum class Type { kAdded, kModified, kDeleted, kBookmark };
  Type type;
  boost::json::object object;
};

class Client {
 public:
  Client(boost::asio::any_io_executor executor, Config config, ClientSettings settings = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  template <class T>
  using Task = boost::asio::awaitable<Answer<T>>;
  using Object = boost::json::object;

  // Errors of all: an answer's with status and reason; without an answer status 0 and kUnavailable
  // (no connection, time-out), kDenied or kNotFound (credentials). The client may be destroyed
  // while a request is under way.
  [[nodiscard]] Task<Object> get(ResourceRef ref);
  // All pages. When a page comes too late (410), the list is made once more without pages.
  [[nodiscard]] Task<ObjectList> list(ResourceRef collection, ListOptions options);
  [[nodiscard]] Task<ObjectList> list(ResourceRef collection);
  [[nodiscard]] Task<Object> create(ResourceRef collection, Object object);
  // metadata.resourceVersion in `object`: only if it is still that one, else kConflict.
  [[nodiscard]] Task<Object> replace(ResourceRef ref, Object object);
  [[nodiscard]] Task<Object> merge_patch(ResourceRef ref, Object patch);
  // Server-side apply. `force` takes fields that others own; without it that is a kConflict.
  [[nodiscard]] Task<Object> apply(ResourceRef ref, Object object, std::string field_manager,
                                   bool force);
  // The deleted object, or the Status that says so.
  [[nodiscard]] Task<Object> remove(ResourceRef ref, RemoveOptions options);
  // Anything else: "/version", a service's proxy. The body is JSON, or the answer is {"text": ...}.
  [[nodiscard]] Task<Object> raw(std::string method, std::string target, std::string body = {});

  // Calls `on_open` when the server has accepted the watch, then `on_event` for each event until it
  // returns false or the server ends the watch, which is no error. An event of type ERROR ends it
  // with that error. Always asks for bookmarks.
  [[nodiscard]] boost::asio::awaitable<Answer<>> watch(ResourceRef collection, WatchOptions options,
                                                       std::function<void()> on_open,
                                                       std::function<bool(WatchEvent)> on_event);

  [[nodiscard]] const Config& config() const;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace faultline::kube
