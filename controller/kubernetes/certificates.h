// SPDX-License-Identifier: Apache-2.0
// The controller's TLS in a cluster, without a person doing anything: an authority made at the
// first start (or taken from a Secret that is there already, e.g. of cert-manager), a certificate
// that is renewed, and its authority made known to agents (a ConfigMap) and to the API server
// (caBundle of the webhooks). Any number of controllers do this beside each other: what is written
// is written only if nobody else was first. Not thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "controller/kubernetes/authority.h"
#include "kube/client.h"

namespace faultline::controller {

struct CertificatesOptions {
  std::string ns = "faultline";
  std::string secret = "faultline-tls";     // ca.crt, tls.crt, tls.key; ca.key if we are to issue
  std::string config_map = "faultline-ca";  // ca.crt
  std::string webhooks = "faultline";       // name of both webhook configurations; empty: none
  Subject subject;                          // of the server's certificate
  std::string certificate_file, key_file;   // written for the HTTP server, which reads them again
  std::chrono::hours authority_valid{24 * 365 * 10}, certificate_valid{24 * 90};
  // A new authority is made known for so long before a certificate of it is used: kubelets take
  // about a minute and a half to bring a ConfigMap into their pods.
  std::chrono::seconds spread{180};
};

class Certificates {
 public:
  // References outlive it.
  Certificates(kube::Client& client, const Clock& clock, CertificatesOptions options);

  // Reads, makes or renews, writes the files and tells the cluster. Call at start, and every few
  // minutes. Errors: the API server's words, or what is wrong with the Secret; the files stay as
  // they were.
  boost::asio::awaitable<Result<>> maintain();

 private:
  struct Stored {
    KeyPair authority;  // its key may be empty: then we issue nothing
    KeyPair server;
    std::string version;  // resourceVersion; empty: there is no Secret
  };
  boost::asio::awaitable<Result<Stored>> read();
  boost::asio::awaitable<Result<Stored>> renewed(Stored stored);
  boost::asio::awaitable<Result<>> publish();
  boost::asio::awaitable<Result<>> publish_to_webhooks(std::string plural);
  Result<> serve(const KeyPair& pair);

  kube::Client& client_;
  const Clock& clock_;
  CertificatesOptions options_;
  std::vector<std::string> authorities_;  // made known, the newest first; at most two
  SteadyTime newest_since_;
  std::string served_;  // the certificate in the file
  bool told_confined_ = false;
};

}  // namespace faultline::controller
