// SPDX-License-Identifier: Apache-2.0
// Who somebody is, and what they may do, by the cluster's own rules: TokenReview for tokens,
// SubjectAccessReview for experiments in each namespace that would be hit or seen. Not thread-safe.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "controller/engine/scope.h"
#include "controller/kubernetes/experiments.h"
#include "controller/routes/signal.h"
#include "http/server.h"
#include "kube/client.h"
#include "kube/reviews.h"

namespace faultline::controller {

struct AccessOptions {
  std::string ns = "faultline";                   // where agents run
  std::string agent_account = "faultline-agent";  // their ServiceAccount
  // Tokens are for us alone, those of people too: whoever had one that is good for the API server
  // could do there whatever its owner may.
  std::string audience = "faultline-controller";
};

class Access {
 public:
  static constexpr std::size_t kMostNamespaces = 64;  // of one question

  // References outlive it.
  Access(kube::Client& client, const Clock& clock, AccessOptions options = {});

  // Role "agent" with the node that its pod runs on, "person" with user and groups, or nobody. An
  // agent's token is good for the node of its pod only. While the API server cannot be asked, or
  // says nothing for a second, who was known within the last ten minutes stays known: a run must
  // not end because it is away, and whoever ends one must not wait for it.
  // Errors: kInvalid, the token is not good here, with the sentence how to get one that is;
  // kUnavailable, it could not be asked about somebody else.
  boost::asio::awaitable<Result<http::Identity>> identify(std::string token);

  // Who showed a certificate that the cluster's authority of clients signed, as the API server
  // takes it: the common name is the user, the organizations are the groups. Nobody without one.
  // kInvalid: it has expired since the connection began.
  [[nodiscard]] static Result<http::Identity> certified(const http::ClientCertificate& shown,
                                                        UtcTime now);

  // May `who` do `verb` with experiments in each of the namespaces? "" is all namespaces. Errors:
  // kDenied with the namespaces in one line; kInvalid, more than kMostNamespaces; kUnavailable.
  boost::asio::awaitable<Result<>> may(http::Identity who, std::string verb,
                                       std::set<std::string> namespaces);
  // create in what is hit, get in what is seen, query everywhere where there is PromQL. With user,
  // uid, groups and extra of `who`.
  boost::asio::awaitable<Result<>> may_run(http::Identity who, Scope scope);
  // What a ConfigMap says under a key, if `who` may read it, and we may: of namespaces where the
  // ClusterRole faultline-runbooks is bound to us. Errors: kDenied, which of both; kNotFound;
  // kInvalid, no text; kUnavailable.
  boost::asio::awaitable<Result<std::string>> config_map(http::Identity who, std::string ns,
                                                         std::string name, std::string key);
  // The same of a Secret: of those whose namespace binds a Role with that name to us. What it says
  // is in no error.
  boost::asio::awaitable<Result<std::string>> secret(http::Identity who, std::string ns,
                                                     std::string name, std::string key);
  // May `who` get this Secret? kDenied, kUnavailable.
  boost::asio::awaitable<Result<>> may_get_secret(http::Identity who, std::string ns,
                                                  std::string name);

 private:
  // What holds texts by keys: a ConfigMap, a Secret.
  struct Holder {
    const char *kind, *plural;
    const char* how;  // we get the right to read it
    bool encoded;     // its texts are base64
  };
  static const Holder kConfigMap, kSecret;
  boost::asio::awaitable<Result<>> may_get(http::Identity who, const Holder& holder, std::string ns,
                                           std::string name);
  boost::asio::awaitable<Result<std::string>> text_of(http::Identity who, const Holder& holder,
                                                      std::string ns, std::string name,
                                                      std::string key);
  struct AgentPod {
    std::string uid, node;
    SteadyTime until;
  };
  struct Known {
    http::Identity who;
    SteadyTime at;
  };
  boost::asio::awaitable<Result<std::string>> node_of(std::string pod, std::string uid);
  boost::asio::awaitable<Result<http::Identity>> ask(std::string token);
  // One question about a token, for all who wait for its answer.
  struct Asking {
    explicit Asking(boost::asio::any_io_executor executor) : answered(std::move(executor)) {}
    std::optional<Result<http::Identity>> answer;
    Signal answered;
  };
  boost::asio::awaitable<void> ask_for_all(std::shared_ptr<Asking> asking, std::string key,
                                           std::string token);
  // Null: nobody is, or was too long ago.
  [[nodiscard]] const http::Identity* known(const std::string& key) const;

  kube::Client& client_;
  const Clock& clock_;
  AccessOptions options_;
  kube::Reviews reviews_;
  std::map<std::string, AgentPod> agents_;                 // by the pod's name
  std::map<std::string, Known> known_;                     // by the token's SHA-256
  std::map<std::string, std::shared_ptr<Asking>> asking_;  // likewise
};

}  // namespace faultline::controller
