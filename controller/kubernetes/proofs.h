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
#include <utility>

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
                                                   ProofSubject subject, std::string requested_by,
                                                   std::string requested_as);
  // Is the proof in the object's annotations one, of this object? kDenied says what is missing and
  // how to mend it; kUnavailable: ask again.
  boost::asio::awaitable<Result<>> check(boost::json::object object, ProofSubject subject);
  // The same of an object that is there: also created when the proof was made, and the only one
  // with it.
  boost::asio::awaitable<Result<>> check_created(boost::json::object object, ProofSubject subject);
  template <class T>
  auto make(boost::json::object metadata, std::string ns, const T& document,
            std::string requested_by, std::string requested_as) {
    return make(std::move(metadata), std::move(ns), subject_of(document), std::move(requested_by),
                std::move(requested_as));
  }
  template <class T>
  auto check(boost::json::object object, const T& document) {
    return check(std::move(object), subject_of(document));
  }
  template <class T>
  auto check_created(boost::json::object object, const T& document) {
    return check_created(std::move(object), subject_of(document));
  }

  // The same of a word on a game day: `object` is the GameDay with the annotation kDayWord.
  boost::asio::awaitable<Result<std::string>> make_word(boost::json::object object,
                                                        std::string said_by, std::string said_as);
  struct Said {
    Asker who;
    UtcTime at{};
    std::string key;  // of this word
  };
  boost::asio::awaitable<Result<Said>> check_word(boost::json::object object);

 private:
  struct Use {
    std::string uid;
    SteadyTime at;
  };
  boost::asio::awaitable<Result<std::string>> webhook(std::string plural, std::string kind);
  // kDenied: it was made with a key that is gone.
  boost::asio::awaitable<Result<>> know_key(std::string id, std::string kind);
  Result<> use(const Proof& proof, const std::string& uid, const std::string& kind);

  kube::Client& client_;
  const Clock& clock_;
  ProofsOptions options_;
  std::string key_;
  std::map<std::string, Use> used_;  // by MAC
};

}  // namespace faultline::controller
