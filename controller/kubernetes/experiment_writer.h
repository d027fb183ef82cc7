// SPDX-License-Identifier: Apache-2.0
// Writes what the operators have to say of an object: its status, and events on it. Not
// thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/describe.hpp>
#include <boost/json/object.hpp>
#include <boost/mp11.hpp>
#include <cstdint>
#include <string>

#include "api/codec.h"
#include "api/experiment_status.h"
#include "base/clock.h"
#include "kube/client.h"
#include "kube/events.h"

namespace faultline::controller {

// Of objects of one kind: "Experiment".
class ObjectWriter {
 public:
  // References outlive it.
  ObjectWriter(kube::Client& client, const Clock& clock, kube::ResourceRef collection,
               std::string kind);

  // Replaces the status of this very object (by its uid) with the members of `status`, of which a
  // null takes away what is there; with `only_if_version` only if it still has that
  // resourceVersion. False: it was not written, and the log says why unless the object is another
  // one by now.
  boost::asio::awaitable<bool> write_status(boost::json::object object, boost::json::object status,
                                            std::string only_if_version);
  // Events are for people: one that cannot be written changes nothing.
  boost::asio::awaitable<void> tell(boost::json::object object, kube::EventText text);

  [[nodiscard]] std::uint64_t writes() const { return writes_; }
  [[nodiscard]] std::uint64_t errors() const { return errors_; }
  // Of the last write; empty: it was done.
  [[nodiscard]] const std::string& last_error() const { return last_error_; }

 private:
  kube::Client& client_;
  kube::EventRecorder recorder_;
  kube::ResourceRef collection_;
  std::string kind_;
  std::uint64_t writes_ = 0, errors_ = 0;
  std::string last_error_;
};

// With a null for what is empty: a merge patch leaves alone what it does not name.
template <class Status>
[[nodiscard]] boost::json::object whole_status(const Status& status) {
  boost::json::object written = api::to_json(status).as_object();
  using Members = boost::describe::describe_members<Status, boost::describe::mod_any_access>;
  boost::mp11::mp_for_each<Members>([&](auto member) {
    if (!written.contains(member.name)) written[member.name] = nullptr;
  });
  return written;
}

class ExperimentWriter : public ObjectWriter {
 public:
  // References outlive it.
  ExperimentWriter(kube::Client& client, const Clock& clock);

  // As write_status().
  boost::asio::awaitable<bool> write(boost::json::object object, api::ExperimentStatus status,
                                     std::string only_if_version = {});
};

}  // namespace faultline::controller
