// SPDX-License-Identifier: Apache-2.0
// Tells the owners of pods what is done to them: an event on each target of every run, whoever
// asked for it and by whichever way, when its faults begin and when they are over, with the time of
// what happened. Only the leader does it. What another leader told already is not told again. A run
// that ends while nobody leads is not told. Not thread-safe: one event loop, one thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "base/clock.h"
#include "controller/kubernetes/run_control.h"
#include "kube/client.h"

namespace faultline::controller {

class RunEvents {
 public:
  // References outlive it.
  RunEvents(boost::asio::any_io_executor executor, kube::Client& client, const Clock& clock,
            RunControl& runs);
  ~RunEvents();
  RunEvents(const RunEvents&) = delete;
  RunEvents& operator=(const RunEvents&) = delete;

  void start();
  void stop();

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace faultline::controller
