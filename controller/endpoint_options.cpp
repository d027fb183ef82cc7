// SPDX-License-Identifier: Apache-2.0
#include "controller/endpoint_options.h"

#include <sys/stat.h>

#include "kube/credentials.h"

namespace faultline::controller {
namespace {

// A pipe would keep the event loop waiting for somebody who writes.
Result<std::string> read_whole(const std::string& path) {
  struct stat known {};
  if (stat(path.c_str(), &known) == 0 && !S_ISREG(known.st_mode))
    return fail(Errc::kInvalid, path + " is no regular file");
  return kube::read_file(path);
}

// A password or token in a file, without the line end that editors add.
Result<std::string> secret(const std::string& path) {
  auto text = read_whole(path);
  if (!text) return text;
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  return text;
}

Result<> read_tls(const api::SourceTls& from, http::ClientTls& to) {
  const auto read = [](const std::string& path, std::string& pem) -> Result<> {
    if (path.empty()) return {};
    auto text = read_whole(path);
    if (!text) return fail(std::move(text.error()));
    pem = std::move(*text);
    return {};
  };
  if (auto ca = read(from.caFile, to.ca_pem); !ca) return ca;
  if (auto certificate = read(from.certFile, to.certificate_pem); !certificate) return certificate;
  to.server_name = from.serverName;
  return read(from.keyFile, to.key_pem);
}

// What both have: how to be let in.
template <class T>
Result<observe::SourceOptions> options_of(const T& one, std::string url) {
  observe::SourceOptions options{.name = one.name, .url = std::move(url)};
  options.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(one.timeout.value);
  if (!one.bearerTokenFile.empty()) {
    auto token = secret(one.bearerTokenFile);
    if (!token) return fail(std::move(token.error()));
    options.bearer_token = std::move(*token);
  }
  if (one.basic) {
    auto password = secret(one.basic->passwordFile);
    if (!password) return fail(std::move(password.error()));
    options.user = one.basic->username;
    options.password = std::move(*password);
  }
  if (one.tls) {
    options.tls.emplace();
    if (auto tls = read_tls(*one.tls, *options.tls); !tls) return fail(std::move(tls.error()));
  }
  return options;
}

}  // namespace

Result<observe::SourceOptions> read_options(const api::MonitoringEndpoint& endpoint) {
  auto options = options_of(endpoint, endpoint.url);
  if (!options) return options;
  if (auto good = observe::check(*options); !good) return fail(std::move(good.error()));
  return options;
}

Result<observe::SourceOptions> read_options(const api::EventDestination& destination) {
  std::string url = destination.url;
  if (!destination.urlFile.empty()) {
    auto read = secret(destination.urlFile);
    if (!read) return fail(std::move(read.error()));
    url = std::move(*read);
  }
  auto options = options_of(destination, std::move(url));
  const bool webhook = destination.kind == api::DestinationKind::webhook;
  if (options) options->takes_query = webhook;
  // The words of a check quote the address, which a file keeps secret.
  if (options && !observe::check(*options))
    return fail(Errc::kInvalid, destination.name + ": " +
                                    (destination.urlFile.empty() ? "url" : destination.urlFile) +
                                    ": expected http://HOST or https://HOST with a path, without " +
                                    (webhook ? "user" : "user and query") +
                                    "; certificates only with https");
  return options;
}

}  // namespace faultline::controller
