// SPDX-License-Identifier: Apache-2.0
// Experiments as objects of the API server, for a command: made, looked at, deleted. The webhook
// checks them, the API server says who may. Each call waits. Not thread-safe.
#pragma once

#include <functional>
#include <string>

#include "api/experiment_status.h"
#include "cli/interrupt.h"
#include "kube/config.h"
#include "kube/error.h"

namespace faultline::cli {

// An object that we made: `uid` tells it from one that has its name later.
struct MadeExperiment {
  std::string ns, name, uid;
  [[nodiscard]] std::string words() const { return ns + "/" + name; }
};

class ExperimentObjects {
 public:
  explicit ExperimentObjects(kube::Config config) : config_(std::move(config)) {}

  // `experiment` has a namespace. Errors are the API server's, and the webhook's words in it.
  [[nodiscard]] kube::Answer<MadeExperiment> create(const api::Experiment& experiment) const;
  // As create() would answer; nothing is kept.
  [[nodiscard]] kube::Answer<> try_create(const api::Experiment& experiment) const;
  [[nodiscard]] kube::Answer<api::ClusterExperiment> get(const std::string& ns,
                                                         const std::string& name) const;
  // Only this very object; done when it is gone already.
  [[nodiscard]] kube::Answer<> remove(const MadeExperiment& made) const;

 private:
  [[nodiscard]] kube::Answer<boost::json::object> ask(const std::string& method,
                                                      const std::string& target,
                                                      const std::string& body) const;
  kube::Config config_;
};

// What became of an Experiment that was watched.
struct WatchedExperiment {
  api::ExperimentStatus status;
  bool gone = false;         // somebody deleted it, which stops its run
  bool interrupted = false;  // by the person: we deleted it
};

// Looks at it twice a second until `enough` of its status, or it is gone. An interrupt deletes it.
// `on_status` gets each status, `say` lines for the person. kUnavailable: the API server was away
// for 45 s, or the object could not be deleted; the error says how to end it.
[[nodiscard]] Result<WatchedExperiment> watch_experiment(
    const ExperimentObjects& objects, const MadeExperiment& made, const Interrupt& interrupt,
    const std::function<bool(const api::ExperimentStatus&)>& enough,
    const std::function<void(const api::ExperimentStatus&)>& on_status,
    const std::function<void(const std::string&)>& say);

}  // namespace faultline::cli
