// SPDX-License-Identifier: Apache-2.0
// Makes and checks proofs of admission (proof.h). The key is in a Secret of its own, which the
// first controller makes, and which outlives certificates, their authority and all controllers. A
// proof is good for one Experiment, created within a minute of it, while the webhook configuration
// under which it was made is still there. Not thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <map>
#include <string>

#include "base/clock.h"
#include "controller/kubernetes/proof.h"
#include "kube/client.h"

namespace faultline::controller {

struct ProofsOptions {
  std::string ns = "faultline";
  std::string secret = "faultline-admission";  // `key`: 32 random bytes
  std::string webhook = "faultline";           // the MutatingWebhookConfiguration
  std::string service = "faultline-controller";
  // Between a proof and the creation of its Experiment: clocks of nodes and of the API server.
  std::chrono::seconds most_apart{60};
};

class Proofs {
 public:
  // References outlive it.
  Proofs(kube::Client& client, const Clock& clock, ProofsOptions options);

  // Reads the key, or makes it. Call at start, and every few minutes: who deletes the Secret gets
  // another key.
  boost::asio::awaitable<Result<>> maintain();

  // What the webhook writes beside `requested_by`. `metadata`: as in the question, where there may
  // be no name yet. kDenied: nobody could rely on it, as the webhook configuration is not there or
  // lets others pass; kUnavailable.
  boost::asio::awaitable<Result<std::string>> make(boost::json::object metadata, std::string ns,
                                                   api::Experiment experiment,
                                                   std::string requested_by,
                                                   std::string requested_as);
  // Is the proof in the object's annotations one, of this object? kDenied says what is missing and
  // how to mend it; kUnavailable: ask again.
  boost::asio::awaitable<Result<>> check(boost::json::object object, api::Experiment experiment);
  // The same of an object that is there: also created when the proof was made, and the only one
  // with it.
  boost::asio::awaitable<Result<>> check_created(boost::json::object object,
                                                 api::Experiment experiment);

 private:
  struct Use {
    std::string uid;
    SteadyTime at;
  };
  boost::asio::awaitable<Result<std::string>> webhook();
  Result<> use(const Proof& proof, const std::string& uid);

  kube::Client& client_;
  const Clock& clock_;
  ProofsOptions options_;
  std::string key_;
  std::map<std::string, Use> used_;  // by MAC
};

}  // namespace faultline::controller
