// SPDX-License-Identifier: Apache-2.0
// The agent: pods, runs and observation on one event loop, which may be in the kernel for seconds;
// the link to the controller and the agent's own small HTTP servers on another (link_thread.h).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "agent/link/agent_metrics.h"
#include "agent/link/kernel_objects.h"
#include "agent/link/link_thread.h"
#include "agent/link/observer.h"
#include "agent/link/reconciler.h"
#include "agent/targets/target_source.h"
#include "http/server.h"

namespace faultline::agent {

struct AgentOptions {
  LinkOptions link;
  std::optional<api::Selector> observe;
  struct Listen {
    std::string address;
    std::uint16_t port = 0;
  };
  std::optional<Listen> listen;  // for /metrics
  std::optional<Listen> probes;  // for /healthz and /readyz, which `listen` serves as well
  bool may_probe_tls = false;    // where a run asks for it; TlsProbes of agent/effects/effect.h
};

class Agent {
 public:
  // `source`, `clock` and `features` outlive the agent, and so does `loop`, whose thread calls all.
  Agent(boost::asio::io_context& loop, const Clock& clock, const FeatureProbe& features,
        TargetSource& source, api::NodeInfo info, AgentOptions options);
  ~Agent();

  // Errors: the token file, the address to listen on.
  Result<> start();
  [[nodiscard]] std::uint16_t port() const { return server_ ? server_->port() : 0; }
  [[nodiscard]] std::uint16_t probe_port() const { return probes_ ? probes_->port() : 0; }
  // Every fault is disarmed before the first suspension; then the controller has a second to take
  // what is left to tell. Afterwards the loop has nothing left to do.
  boost::asio::awaitable<void> end();

  // The source has news: it is polled soon, and not only when its turn comes.
  void pods_changed();

  static constexpr std::chrono::milliseconds kTick{50};       // while a run is up
  static constexpr std::chrono::milliseconds kBreath{5};      // between pods that are begun
  static constexpr std::chrono::milliseconds kPodsBusy{250};  // between looks at the pods
  static constexpr std::chrono::milliseconds kPodsAway{50};   // while a pod of the file is away
  static constexpr std::chrono::milliseconds kPodsIdle{2000};
  static constexpr std::chrono::milliseconds kFlush{1000};
  static constexpr std::chrono::seconds kSick{120};  // its loop has not turned, says /healthz

 private:
  boost::asio::awaitable<void> tick_loop();
  boost::asio::awaitable<void> pods_loop();
  boost::asio::awaitable<void> observe_loop();
  void look_at_pods();
  void give_pods();
  void source_wrong(std::string error);
  void answered(const api::SyncResponse& response, AnswerTimes times);
  OwnerNews news();
  Result<std::unique_ptr<http::Server>> serve(const AgentOptions::Listen& listen, bool metrics);
  struct Shown {
    AgentFigures figures;  // without those of the link
    std::string of_pods;
  };
  [[nodiscard]] AgentFigures figures() const;
  boost::asio::awaitable<Shown> shown();
  // These are called on the link's thread.
  boost::asio::awaitable<std::string> metrics_text();
  [[nodiscard]] std::string not_ready() const;
  boost::asio::awaitable<void> end_link();

  boost::asio::io_context& loop_;
  const Clock& clock_;
  TargetSource& source_;
  AgentOptions options_;
  LiveKernelObjects kernel_;
  Reconciler reconciler_;
  std::unique_ptr<Observer> observer_;
  LinkThread link_;
  std::unique_ptr<http::Server> server_, probes_;  // on the link's thread
  boost::asio::steady_timer tick_timer_, pods_timer_, observe_timer_;
  bool ending_ = false, pods_news_ = false;
  std::string source_error_;
  mutable std::mutex mutex_;      // of what follows
  std::string source_not_ready_;  // source_error_, for the link's thread
  std::vector<MissingPod> missing_told_;
};

}  // namespace faultline::agent
