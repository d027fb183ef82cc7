// SPDX-License-Identifier: Apache-2.0
// What may change while the controller runs: the policy, where the monitoring is and who is told of
// runs, and the tokens of webhooks. They stand in files, which are mounted ConfigMaps and Secrets
// in a cluster, and are looked at again every two seconds. What is wrong is an error at start;
// later it is told, and the last good one holds. Not thread-safe: all is on one event loop.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <string>
#include <vector>

#include "controller/audit.h"
#include "controller/monitoring_file.h"
#include "controller/notifier_token.h"
#include "controller/options.h"
#include "controller/policy_file.h"
#include "controller/routes/service.h"
#include "http/server.h"

namespace faultline::controller {

class Settings {
 public:
  using Audit = std::function<void(AuditEntry)>;

  // `options` must outlive it. `audit` is told of each text that was read or refused.
  Settings(boost::asio::io_context& loop, const Options& options, Audit audit);

  // The tokens of webhooks, before there is a service. `own` is the file of the token that the
  // controller makes where nobody gave one. Errors: NotifierToken::of_file().
  Result<> read_tokens(const std::string& own);
  // The file of the token that Alertmanager shows. Empty: there is none.
  [[nodiscard]] const std::string& notifications_token_file() const { return notifier_.file(); }
  // Lets the webhooks in by their tokens, as these are by then; of others `others` say.
  [[nodiscard]] http::Authenticator with_webhooks(http::Authenticator others) const;

  // Reads the policy and the monitoring, and gives them to the service, which must outlive watch().
  // kInvalid: the first that is wrong; the controller must not run under rules that nobody wrote.
  Result<> open(Service& service);
  // The rules of runs, which the cluster changes, too.
  [[nodiscard]] const Rules& rules() const { return rules_; }
  void rules(const std::function<void(Rules&)>& change);

  // Looks at the files again until end(). At once when there is none that could change.
  boost::asio::awaitable<void> watch();
  void end();

 private:
  Result<> read_notifier(const std::string& own);
  Result<> read_chat();
  Result<> read_policy();
  Result<> read_monitoring();
  void monitor(std::vector<api::MonitoringEndpoint> endpoints);
  void reload(const char* what, const Result<>& read);

  const Options& options_;
  Audit audit_;
  PolicyFile policy_file_;
  MonitoringFile monitoring_file_;
  NotifierToken notifier_, chat_;
  boost::asio::steady_timer timer_;
  Rules rules_;
  Service* service_ = nullptr;
  bool ended_ = false;
};

}  // namespace faultline::controller
