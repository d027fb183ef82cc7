// SPDX-License-Identifier: Apache-2.0
// Events on objects (core/v1), as `kubectl describe` shows them. Not thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "kube/client.h"

namespace faultline::kube {

struct ObjectReference {
  std::string api_version, kind, ns, name, uid, resource_version;
};
// `api_version` and `kind` where the object has none: those in lists do not.
[[nodiscard]] ObjectReference reference_to(const boost::json::object& object,
                                           std::string api_version = {}, std::string kind = {});

struct EventText {
  bool warning = false;         // else Normal
  std::string reason;           // CamelCase, one word: "FaultArmed"
  std::string message;          // is sent printable(), cut at 1024 bytes
  std::optional<UtcTime> at{};  // when it happened; none: now
  // Not empty: the event is written once for each object and text of this, whichever process writes
  // it; one that is there already is no error.
  std::string once{};
};

struct EventOptions {
  std::string component;              // "faultline-controller"
  std::string instance;               // of it: a node or a pod
  std::chrono::minutes remember{10};  // the same text within: a higher count, no new event
  std::size_t entries = 4096;
};

class EventRecorder {
 public:
  // `client` and `clock` must outlive it.
  EventRecorder(Client& client, const Clock& clock, EventOptions options);
  ~EventRecorder();
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  // Events about cluster-wide objects go to namespace "default", as those of Kubernetes do. An
  // event is for people: who records one goes on when it fails.
  [[nodiscard]] boost::asio::awaitable<Answer<>> record(ObjectReference about, EventText text);

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace faultline::kube
