// SPDX-License-Identifier: Apache-2.0
// Who signs the client certificates of the cluster's people: what the API server accepts it
// publishes (kube-system/extension-apiserver-authentication), and we accept the same. Not
// thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "kube/client.h"

namespace faultline::controller {

class ClientAuthority {
 public:
  // `file`: written for the HTTP server (ServerTls::client_ca_file), which reads it again. The
  // client outlives this.
  ClientAuthority(kube::Client& client, std::string file)
      : client_(client), file_(std::move(file)) {}

  // Call at start, and every few minutes. Where the cluster publishes none, or we may not read it,
  // the file goes and nobody is known by a certificate; the log says why, once. Errors: the API
  // server did not answer, or the file cannot be written; then it stays as it was.
  boost::asio::awaitable<Result<>> maintain();

 private:
  Result<> keep(const std::string& pem, const std::string& why_none);

  kube::Client& client_;
  std::string file_;
  bool begun_ = false;
  std::string kept_, told_;
};

}  // namespace faultline::controller
