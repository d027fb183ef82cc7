// SPDX-License-Identifier: Apache-2.0
// All that a controller does in a cluster beside its runs: its certificate, who asks, admission,
// leadership, experiments, and what it knows of namespaces. One event loop, one thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "controller/kubernetes/access.h"
#include "controller/kubernetes/admission.h"
#include "controller/kubernetes/certificates.h"
#include "controller/kubernetes/client_authority.h"
#include "controller/kubernetes/day_admission.h"
#include "controller/kubernetes/day_operator.h"
#include "controller/kubernetes/leadership.h"
#include "controller/kubernetes/operator.h"
#include "controller/kubernetes/proofs.h"
#include "controller/kubernetes/run_control.h"
#include "controller/kubernetes/run_events.h"
#include "controller/kubernetes/services.h"
#include "http/server.h"
#include "kube/config.h"
#include "kube/informer.h"
#include "kube/leader.h"

namespace faultline::controller {

struct ClusterOptions {
  std::string ns = "faultline";                  // ours
  std::string service = "faultline-controller";  // by which agents and the API server reach us
  std::string identity;                          // of this process: the pod's name
  std::string address;                           // where others reach it, 10.0.0.7:7878; or empty
  std::string state_dir;                         // for the certificate's files
  std::string tls_certificate, tls_key;          // both empty: made and renewed by us, in a Secret
  AdmissionOptions admission;
  std::function<void(AuditEntry)> audit;  // what is decided and changed here
  // How long finished Experiments are kept that do not say it; nothing: without end.
  std::function<std::optional<std::chrono::seconds>()> kept_for;
  // Labels of all namespaces, again after each change.
  std::function<void(const std::map<std::string, std::map<std::string, std::string>>&)> namespaces;
  Services::Changed services;
};

class ClusterSide {
 public:
  // `clock` outlives it.
  ClusterSide(boost::asio::any_io_executor executor, kube::Config config, const Clock& clock,
              ClusterOptions options);
  ~ClusterSide();
  ClusterSide(const ClusterSide&) = delete;
  ClusterSide& operator=(const ClusterSide&) = delete;

  // Before the server listens: certificate and key of admission are there. Tries again until it is,
  // or `until`.
  boost::asio::awaitable<Result<>> prepare(SteadyTime until);
  [[nodiscard]] http::ServerTls tls() const;
  [[nodiscard]] http::Authenticator authenticator();
  void add_routes(http::Server& server) {
    admission_.add_routes(server);
    day_admission_.add_routes(server);
  }
  [[nodiscard]] Access& access() { return access_; }

  // Takes part in the election; while it leads, experiments become runs, and GameDays days. `ended`
  // is called when it leads no more without having been told to end.
  enum class End {
    kDeposed,    // another one leads: it must not be disturbed
    kLostTouch,  // with the API server: nobody leads, and nobody could stop a run
  };
  Result<> start(RunControl& runs, DayControl& days, std::function<void(End)> ended);
  // Gives the leadership back.
  boost::asio::awaitable<void> stop();
  // One that lost touch goes on answering agents, until another one is seen.
  [[nodiscard]] Leadership leadership() const;
  [[nodiscard]] const kube::Config& config() const { return client_.config(); }
  // Empty: in order. Else why not, in one line, for /readyz.
  [[nodiscard]] std::string not_ready() const;

 private:
  boost::asio::awaitable<Result<>> maintain();
  boost::asio::awaitable<void> certificate_loop();
  boost::asio::awaitable<void> know_clients();
  boost::asio::awaitable<void> lead();
  boost::asio::awaitable<Result<>> admitted(boost::json::object object, api::Experiment experiment);
  boost::asio::awaitable<Result<>> still_may(api::Experiment experiment);
  boost::asio::awaitable<Result<Asker>> day_admitted(boost::json::object object, api::GameDay day);
  void audit(AuditEntry entry);
  void tell_namespaces();

  boost::asio::any_io_executor executor_;
  kube::Client client_;
  const Clock& clock_;
  ClusterOptions options_;
  Access access_;
  Proofs proofs_;
  Admission admission_;
  DayAdmission day_admission_;
  Certificates certificates_;
  ClientAuthority client_authority_;
  kube::Informer namespaces_;
  Services services_;
  kube::LeaderElector elector_;
  std::unique_ptr<Operator> operator_;
  std::unique_ptr<DayOperator> day_operator_;
  std::unique_ptr<RunEvents> run_events_;
  RunControl* runs_ = nullptr;
  DayControl* days_ = nullptr;
  std::function<void(End)> ended_;
  boost::asio::steady_timer certificate_timer_;
  bool stopping_ = false, lost_touch_ = false;
  std::string certificate_error_, client_authority_error_;
};

}  // namespace faultline::controller
