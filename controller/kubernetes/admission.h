// SPDX-License-Identifier: Apache-2.0
// The webhooks that the API server asks before it keeps an Experiment (admission.k8s.io/v1). Both
// say no to what the controller would refuse anyway, with the same words, so that `kubectl apply`
// fails instead of an Experiment that does. `mutate` writes down who asked, and the proof that they
// may (proof.h), without which no run begins; `validate` sees that nobody changed it since, warns
// of what would be refused as the pods are now, and lets nobody but the controllers write a status.
// Not thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <string>
#include <vector>

#include "api/experiment.h"
#include "base/result.h"
#include "controller/audit.h"
#include "controller/kubernetes/questions.h"
#include "http/server.h"

namespace faultline::controller {

class Access;
class Proofs;

struct AdmissionOptions {
  // Who may write the status of an Experiment: the controllers' ServiceAccount.
  std::string controller = "system:serviceaccount:faultline:faultline-controller";
  // Why an experiment can never run here, whatever pods there are.
  std::function<Result<>(const api::Experiment&)> allowed;
  // What would keep it from running now, one sentence each; empty: nothing that is known here.
  std::function<std::vector<std::string>(const api::Experiment&)> warnings;
  // Each decision, for the audit log.
  std::function<void(AuditEntry)> decided;
  QuestionOptions questions;
};

class Admission {
 public:
  // References outlive it.
  Admission(Access& access, Proofs& proofs, const Clock& clock, AdmissionOptions options);

  // Adds POST /webhook/mutate and /webhook/validate. Unless QuestionOptions name the API server,
  // everybody may ask; the answers hold nothing that the question did not.
  void add_routes(http::Server& server);

  // An AdmissionReview to its answer. `from`: the address that asks, which is the API server's or
  // not. Errors: kInvalid, it is none.
  boost::asio::awaitable<Result<boost::json::object>> validate(std::string review,
                                                               std::string from = {});
  boost::asio::awaitable<Result<boost::json::object>> mutate(std::string review,
                                                             std::string from = {});

 private:
  void decided(const boost::json::object& request, const std::string& from, const Result<>& judged,
               bool proof = false);
  Result<> judge_status(const boost::json::object& request) const;
  [[nodiscard]] boost::json::array warnings_of(const boost::json::object& request) const;
  boost::asio::awaitable<Result<>> judge(const boost::json::object& request);
  boost::asio::awaitable<Result<>> judge_created(const boost::json::object& request,
                                                 api::Experiment experiment);

  Access& access_;
  Proofs& proofs_;
  AdmissionOptions options_;
  Questions questions_;
};

}  // namespace faultline::controller
