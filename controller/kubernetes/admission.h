// SPDX-License-Identifier: Apache-2.0
// The webhooks that the API server asks before it keeps an Experiment (admission.k8s.io/v1):
// `mutate` writes down who asks, `validate` says no to what the controller would refuse anyway,
// with the same words, so that `kubectl apply` fails instead of an Experiment that does. Not
// thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <string>

#include "api/experiment.h"
#include "base/result.h"
#include "http/server.h"

namespace faultline::controller {

class Access;

struct AdmissionOptions {
  // What the policy says to an experiment before any pod is known.
  std::function<Result<>(const api::Experiment&)> allowed;
  // Each decision, for the audit log: who, what, and why not (empty: allowed).
  std::function<void(const http::Identity&, const std::string& what, const std::string& denied)>
      decided;
};

class Admission {
 public:
  // `access` outlives it.
  Admission(Access& access, AdmissionOptions options);

  // Adds POST /webhook/mutate and /webhook/validate. The API server does not say who it is, so that
  // everybody may ask; the answers hold nothing that the question did not.
  void add_routes(http::Server& server);

  // An AdmissionReview to its answer. Errors: kInvalid, it is none.
  boost::asio::awaitable<Result<boost::json::object>> validate(std::string review);
  [[nodiscard]] static Result<boost::json::object> mutate(const std::string& review);

 private:
  boost::asio::awaitable<Result<>> judge(const boost::json::object& request);

  Access& access_;
  AdmissionOptions options_;
};

}  // namespace faultline::controller
