// SPDX-License-Identifier: Apache-2.0
#include "controller/settings.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controller/authenticators.h"

namespace faultline::controller {
namespace {

constexpr std::chrono::seconds kLookAtFiles{2};

}  // namespace

Settings::Settings(boost::asio::io_context& loop, const Options& options, Audit audit)
    : options_(options),
      audit_(std::move(audit)),
      policy_file_(options.policy),
      monitoring_file_(options.monitoring),
      timer_(loop) {}

Result<> Settings::read_tokens(const std::string& own) {
  if (auto token = read_notifier(own); !token) return token;
  return read_chat();
}

// Without --notifications-token there is a token of our own making where there is a monitoring and
// no cluster: nothing outside could be told of it in a cluster. There it is in a Secret.
Result<> Settings::read_notifier(const std::string& own) {
  const std::string& path = options_.notifications_token;
  if (path.empty() &&
      (options_.kubernetes || (options_.endpoints.empty() && options_.monitoring.empty())))
    return {};
  if (options_.kubernetes) {
    notifier_ = NotifierToken::of_secret(path);
    reload("notifications", notifier_.look());
    return {};
  }
  auto token = path.empty() ? NotifierToken::own(own) : NotifierToken::of_file(path);
  if (!token) return fail(std::move(token.error()));
  notifier_ = std::move(*token);
  return {};
}

// Closed unless somebody gave it a token.
Result<> Settings::read_chat() {
  if (options_.chat_token.empty()) return {};
  if (options_.kubernetes) {
    chat_ = NotifierToken::of_secret(options_.chat_token, "the token of the chat");
    reload("chat", chat_.look());
    return {};
  }
  auto token = NotifierToken::of_file(options_.chat_token);
  if (!token) return fail(std::move(token.error()));
  chat_ = std::move(*token);
  return {};
}

http::Authenticator Settings::with_webhooks(http::Authenticator others) const {
  return with_notifier(notifier_.token(), with_token("chat", chat_.token(), std::move(others)));
}

Result<> Settings::open(Service& service) {
  service_ = &service;
  if (auto ruled = read_policy(); !ruled) return ruled;
  monitor(options_.endpoints);
  return read_monitoring();
}

void Settings::rules(const std::function<void(Rules&)>& change) {
  change(rules_);
  service_->rules(rules_);
}

Result<> Settings::read_policy() {
  if (options_.policy.empty()) return {};
  auto policy = policy_file_.look();
  if (!policy) return fail(std::move(policy.error()));
  if (!*policy) return {};
  rules([&](Rules& changed) {
    changed.policy = std::move(**policy);
    changed.origin = options_.kubernetes ? "ConfigMap " + options_.ns + "/faultline-policy"
                                         : "the policy " + options_.policy;
  });
  audit_({.via = "policy", .verb = "load", .allowed = true, .reason = rules_.origin});
  return {};
}

void Settings::monitor(std::vector<api::MonitoringEndpoint> endpoints) {
  rules([&](Rules& changed) {
    changed.has_prometheus = std::ranges::any_of(endpoints, [](const auto& endpoint) {
      return endpoint.kind == api::SourceKind::prometheus;
    });
  });
  service_->monitoring(std::move(endpoints));
}

Result<> Settings::read_monitoring() {
  if (options_.monitoring.empty()) return {};
  auto config = monitoring_file_.look();
  if (!config) return fail(std::move(config.error()));
  if (!*config) return {};
  std::vector<api::MonitoringEndpoint> all = options_.endpoints;
  all.insert(all.end(), (*config)->monitoring.begin(), (*config)->monitoring.end());
  if (auto good = api::names_differ(all); !good) return good;
  monitor(std::move(all));
  service_->destinations(std::move((*config)->events));
  audit_({.via = "monitoring", .verb = "load", .allowed = true, .reason = options_.monitoring});
  return {};
}

void Settings::reload(const char* what, const Result<>& read) {
  if (read) return;
  spdlog::error("the {} stays as it was: {}", what, read.error().message);
  audit_({.via = what, .verb = "load", .allowed = false, .reason = read.error().message});
}

boost::asio::awaitable<void> Settings::watch() {
  if (options_.policy.empty() && options_.monitoring.empty() && options_.chat_token.empty())
    co_return;
  while (!ended_) {
    timer_.expires_after(kLookAtFiles);
    boost::system::error_code error;
    co_await timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, error));
    if (error || ended_) co_return;
    reload("policy", read_policy());
    reload("monitoring", read_monitoring());
    reload("notifications", notifier_.look());
    reload("chat", chat_.look());
  }
}

void Settings::end() {
  ended_ = true;
  timer_.cancel();
}

}  // namespace faultline::controller
