// SPDX-License-Identifier: Apache-2.0
// Writes what the operator has to say of an Experiment: its status, and events on it. Not
// thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <string>

#include "api/experiment_status.h"
#include "base/clock.h"
#include "kube/client.h"
#include "kube/events.h"

namespace faultline::controller {

class ExperimentWriter {
 public:
  // References outlive it.
  ExperimentWriter(kube::Client& client, const Clock& clock);

  // Replaces the status of this very object (by its uid); with `only_if_version` only if it still
  // has that resourceVersion. False: it was not written, and the log says why unless the object is
  // another one by now.
  boost::asio::awaitable<bool> write(boost::json::object object, api::ExperimentStatus status,
                                     std::string only_if_version = {});
  // Events are for people: one that cannot be written changes nothing.
  boost::asio::awaitable<void> tell(boost::json::object object, kube::EventText text);

  [[nodiscard]] std::uint64_t writes() const { return writes_; }
  [[nodiscard]] std::uint64_t errors() const { return errors_; }
  // Of the last write; empty: it was done.
  [[nodiscard]] const std::string& last_error() const { return last_error_; }

 private:
  kube::Client& client_;
  kube::EventRecorder recorder_;
  std::uint64_t writes_ = 0, errors_ = 0;
  std::string last_error_;
};

}  // namespace faultline::controller
