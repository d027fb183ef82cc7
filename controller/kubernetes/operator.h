// SPDX-License-Identifier: Apache-2.0
// Makes Experiments of the cluster into runs, and tells the cluster what became of them. Level-
// triggered: an Experiment without a status is started, one with a run is kept up to date, one that
// is deleted has its run stopped, one that is finished is deleted when its time is over. There is
// no finalizer: nothing can get stuck, and a controller that is away lets deleted runs end with
// their lease.
//
// A run belongs to the Experiment whose uid is in its record. What the status says of a run is a
// hint that is never believed: runs are looked up by uid, and a status that says something else is
// overwritten.
//
// At most once: the status says Starting before a run begins, so that a controller which ends in
// between does not inject again when it is back; and none begins for a uid that has a run. A status
// that cannot be read means that it has begun.
//
// A change of an object costs a look at that object, and nothing for the others: keys wait in a
// queue. Of finished Experiments little more than the name is kept. Only one operator may work at a
// time (the leader). Not thread-safe: one event loop, one thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <optional>
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
  // Was the webhook asked about it, and may who asked still do it now? Called each time when a run
  // is about to begin. Of kUnavailable it is asked again; any other error refuses the experiment.
  // Empty: nobody checks.
  std::function<boost::asio::awaitable<Result<>>(boost::json::object, api::Experiment)> admitted;
  // An Experiment that has not begun so long after its creation never does: nobody expects it to.
  std::chrono::seconds latest_begin{3600};
  // How long finished Experiments are kept that do not say it; nothing: without end. Empty: the
  // same.
  std::function<std::optional<std::chrono::seconds>()> kept_for;
};

struct OperatorState {
  bool synced = false;                           // the experiments are known
  std::optional<SteadyTime> out_of_touch_since;  // with the API server
  std::string last_error;                        // of the API server; empty: the last call worked
  std::uint64_t status_writes = 0, status_errors = 0;
  std::uint64_t looks = 0;    // at single objects
  std::size_t followed = 0;   // Experiments that wait or have a run under way
  std::uint64_t deleted = 0;  // finished ones, as their time was over
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
