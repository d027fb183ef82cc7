// SPDX-License-Identifier: Apache-2.0
// Makes GameDays of the cluster into game days, says there what people write into the annotation
// faultline.dev/gameday-do, and tells the cluster what became of the days. Level-triggered, as the
// operator of Experiments (operator.h): a GameDay without a status is begun, one with a day is kept
// up to date, one that is deleted has its day aborted, one that is over is deleted when its time is
// over. There is no finalizer.
//
// At most once: a day has the id of its object, and a store keeps one day of an id; and where the
// store may be lost with the controller, a status that says `starting` is not begun again.
//
// Rights are asked of who created the object, and of who wrote the word, by what the webhook has
// proven (proofs.h); nothing in a status is believed but that a word has been answered, which only
// keeps it from being said again. Not thread-safe: one event loop, one thread, one leader.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "controller/kubernetes/day_control.h"
#include "controller/kubernetes/proofs.h"
#include "kube/client.h"

namespace faultline::controller {

struct DayOperatorOptions {
  // How often the status of a day that goes on is written, at most.
  std::chrono::milliseconds status_every{1000};
  // How long a day waits that could not be made as something is not there yet.
  std::chrono::seconds patience{30};
  // How long one waits whose Secret is not there, or may not be read: both are applied with it, and
  // the API server may know the right a moment later.
  std::chrono::seconds applied_beside{3};
  // A GameDay that has not begun so long after its creation never does.
  std::chrono::seconds latest_begin{3600};
  // Who created it, if the webhook was asked about it; empty: nobody checks, and nobody is asked
  // for rights. Errors: kUnavailable, it is asked again; any other refuses the day.
  std::function<boost::asio::awaitable<Result<Asker>>(boost::json::object, api::GameDay)> admitted;
  // Who wrote the word of the object. Errors as of `admitted`, which refuse the word.
  std::function<boost::asio::awaitable<Result<Proofs::Said>>(boost::json::object)> said;
  // How long GameDays are kept that are over and do not say it; nothing: without end. Empty: the
  // same.
  std::function<std::optional<std::chrono::seconds>()> kept_for;
};

struct DayOperatorState {
  bool synced = false;
  std::string last_error;
  std::uint64_t status_writes = 0;
  std::size_t followed = 0;
  std::uint64_t deleted = 0;  // finished ones, as their time was over
};

class DayOperator {
 public:
  // References outlive it.
  DayOperator(boost::asio::any_io_executor executor, kube::Client& client, const Clock& clock,
              DayControl& days, DayOperatorOptions options);
  ~DayOperator();
  DayOperator(const DayOperator&) = delete;
  DayOperator& operator=(const DayOperator&) = delete;

  void start();
  // Leaves days and statuses as they are.
  void stop();
  [[nodiscard]] DayOperatorState state() const;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace faultline::controller
