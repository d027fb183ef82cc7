// SPDX-License-Identifier: Apache-2.0
// Makes Experiments of the cluster into runs, and tells the cluster what became of them. Level-
// triggered: an Experiment without a status is started, one with a run is kept up to date, one that
// is deleted has its run stopped. There is no finalizer: nothing can get stuck, and a controller
// that is away lets deleted runs end with their lease.
//
// At most once: the status says Starting before a run begins, so that a controller which ends in
// between does not inject again when it is back. Only one operator may work at a time (the leader).
// Not thread-safe: one event loop, one thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <string>

#include "api/experiment.h"
#include "base/clock.h"
#include "controller/kubernetes/run_control.h"
#include "kube/client.h"

namespace faultline::controller {

struct OperatorOptions {
  // How often the status of a run that goes on is written, at most.
  std::chrono::milliseconds status_every{1000};
  // How long an experiment waits for agents that are not connected yet (a controller that was just
  // started), before it is refused.
  std::chrono::seconds patience{30};
  // How long one that matches no pod waits for pods that agents have not told yet.
  std::chrono::seconds new_pods{3};
  // How long after its start an operator takes no refusal for final but of what is invalid: agents
  // come back one after the other, and until all have, a part of a workload looks like all of it.
  std::chrono::seconds settling{8};
  // Was the webhook asked about it (Proofs::check_created)? Of kUnavailable it is asked again; any
  // other error refuses the experiment. Empty: nobody checks.
  std::function<boost::asio::awaitable<Result<>>(boost::json::object, api::Experiment)> admitted;
};

struct OperatorState {
  bool synced = false;                           // the experiments are known
  std::optional<SteadyTime> out_of_touch_since;  // with the API server
  std::string last_error;                        // of the API server; empty: the last call worked
  std::uint64_t status_writes = 0, status_errors = 0;
};

class Operator {
 public:
  // References outlive it.
  Operator(boost::asio::any_io_executor executor, kube::Client& client, const Clock& clock,
           RunControl& runs, OperatorOptions options = {});
  ~Operator();
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  void start();
  // Leaves runs and statuses as they are.
  void stop();
  [[nodiscard]] OperatorState state() const;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace faultline::controller
