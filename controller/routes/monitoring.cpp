// SPDX-License-Identifier: Apache-2.0
#include "controller/routes/monitoring.h"

#include <algorithm>

#include "base/quoted.h"
#include "controller/observe/rule_test.h"
#include "kube/credentials.h"

namespace faultline::controller {
namespace {

constexpr std::size_t kMostReceivers = 200;

// A password or token in a file, without the line end that editors add.
Result<std::string> secret(const std::string& path) {
  auto text = kube::read_file(path);
  if (!text) return text;
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  return text;
}

Result<> read_tls(const api::SourceTls& from, http::ClientTls& to) {
  const auto read = [](const std::string& path, std::string& pem) -> Result<> {
    if (path.empty()) return {};
    auto text = kube::read_file(path);
    if (!text) return fail(std::move(text.error()));
    pem = std::move(*text);
    return {};
  };
  if (auto ca = read(from.caFile, to.ca_pem); !ca) return ca;
  if (auto certificate = read(from.certFile, to.certificate_pem); !certificate) return certificate;
  to.server_name = from.serverName;
  return read(from.keyFile, to.key_pem);
}

Result<observe::SourceOptions> options_of(const api::MonitoringEndpoint& endpoint) {
  observe::SourceOptions options{.name = endpoint.name, .url = endpoint.url};
  options.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(endpoint.timeout.value);
  if (!endpoint.bearerTokenFile.empty()) {
    auto token = secret(endpoint.bearerTokenFile);
    if (!token) return fail(std::move(token.error()));
    options.bearer_token = std::move(*token);
  }
  if (endpoint.basic) {
    auto password = secret(endpoint.basic->passwordFile);
    if (!password) return fail(std::move(password.error()));
    options.user = endpoint.basic->username;
    options.password = std::move(*password);
  }
  if (endpoint.tls) {
    options.tls.emplace();
    if (auto tls = read_tls(*endpoint.tls, *options.tls); !tls) return fail(std::move(tls.error()));
  }
  if (auto good = observe::check(options); !good) return fail(std::move(good.error()));
  return options;
}

}  // namespace

bool Monitoring::has_prometheus() const {
  return std::ranges::any_of(endpoints_, [](const api::MonitoringEndpoint& endpoint) {
    return endpoint.kind == api::SourceKind::prometheus;
  });
}

Result<observe::MonitoringSources> Monitoring::sources() const {
  observe::MonitoringSources out;
  for (const api::MonitoringEndpoint& endpoint : endpoints_) {
    auto options = options_of(endpoint);
    if (!options)
      return fail(options.error().with_context("the monitoring's source " + endpoint.name));
    (endpoint.kind == api::SourceKind::prometheus ? out.prometheus : out.alertmanager)
        .push_back(std::move(*options));
  }
  out.observed_receivers.assign(receivers_.begin(), receivers_.end());
  if (!receivers_.contains(kOwnReceiver)) out.observed_receivers.emplace_back(kOwnReceiver);
  return out;
}

boost::asio::awaitable<Result<std::shared_ptr<void>>> Monitoring::turn(std::string caller) {
  std::string what = "questions to the monitoring";
  co_return co_await turns_.take(std::move(caller), std::move(what));
}

boost::asio::awaitable<Result<std::shared_ptr<observe::Watcher>>> Monitoring::begin(
    api::Experiment experiment, std::string caller) {
  auto from = sources();
  if (!from) co_return fail(std::move(from.error()));
  const auto mine = co_await turn(std::move(caller));
  if (!mine) co_return fail(mine.error());
  auto watcher = std::make_shared<observe::Watcher>(executor_, std::move(*from),
                                                    std::move(experiment), clock_);
  co_await watcher->begin();
  co_return watcher;
}

boost::asio::awaitable<Result<std::vector<observe::Series>>> Monitoring::samples(
    std::string source, std::string expr, double from, double to, std::string caller) {
  const auto endpoint = std::ranges::find_if(endpoints_, [&](const api::MonitoringEndpoint& one) {
    return one.name == source && one.kind == api::SourceKind::prometheus;
  });
  if (endpoint == endpoints_.end())
    co_return fail(Errc::kNotFound, "the Prometheus of that run, " + in_quotes(source) +
                                        ", is no source of this controller any more");
  auto options = options_of(*endpoint);
  if (!options) co_return fail(options.error().with_context("the monitoring's source " + source));
  const auto mine = co_await turn(std::move(caller));
  if (!mine) co_return fail(mine.error());
  observe::Prometheus client(executor_, std::move(*options), clock_);
  co_return co_await observe::samples_of(client, std::move(expr), from, to);
}

void Monitoring::heard_of(const std::string& receiver) {
  if (receivers_.size() < kMostReceivers) receivers_.insert(receiver);
}

}  // namespace faultline::controller
