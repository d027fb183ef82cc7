// SPDX-License-Identifier: Apache-2.0
// An agent's real side of the conversation (agent/link/conversation.h) on a real connection,
// without a kernel behind it: it says at once that it measures, has armed, has disarmed. For
// measuring what many agents cost a controller, and what disturbs them; not thread-safe, many of
// them share one loop. Whoever includes it links faultline_agent_link.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/link/conversation.h"
#include "api/codec.h"
#include "http/client.h"

namespace faultline::testbed {

struct AgentFigures {
  std::uint64_t syncs = 0, failures = 0;
};

class SimulatedAgent {
 public:
  static constexpr int kPods = 10;  // of each node

  // Talks as soon as `loop` runs, which it must outlive, as `figures` must. `controller`: where to
  // and with which token.
  SimulatedAgent(boost::asio::io_context& loop, const http::ClientOptions& controller, int number,
                 bool injects, AgentFigures& figures)
      : figures_(figures),
        node_("node-" + std::to_string(number)),
        conversation_("instance-" + std::to_string(number), info(node_)),
        client_(loop.get_executor(), patient(controller)) {
    for (int i = 0; i < kPods; ++i) pods_.push_back(pod("web-" + std::to_string(i)));
    if (injects) pods_.front().labels["hit"] = "yes";
    conversation_.pods(pods_);
    boost::asio::co_spawn(loop, talk(), boost::asio::detached);
  }

  // Another pod in the place of one: told at once.
  void change_pod(std::uint64_t serial) {
    pods_.back() = pod("web-" + std::to_string(serial));
    conversation_.pods(pods_);
    if (polling_) client_.close();
  }
  void stop() {
    stopping_ = true;
    client_.close();
  }
  [[nodiscard]] bool known() const { return known_; }
  [[nodiscard]] bool injects() const { return phase_ == api::RunPhase::fault; }
  // When the answer came that took its fault away.
  [[nodiscard]] std::chrono::steady_clock::time_point ended() const { return ended_; }

 private:
  static http::ClientOptions patient(http::ClientOptions options) {
    options.connect_timeout = std::chrono::seconds(20);
    return options;
  }
  static api::NodeInfo info(const std::string& node) {
    api::NodeInfo info;
    info.name = node;
    info.kernel = "6.18";
    info.cpus = 2;
    info.faults = {{"networkLoss", true, "tcx", ""}};
    return info;
  }
  [[nodiscard]] api::PodRef pod(const std::string& name) const {
    api::PodRef pod;
    pod.namespace_ = "shop";
    pod.name = node_ + "-" + name;
    pod.node = node_;
    pod.labels = {{"app", "web"}, {"pod-template-hash", "7757bfbb48"}};
    return pod;
  }

  boost::asio::awaitable<void> talk() {
    while (!stopping_) {
      agent::Conversation::Situation situation;
      if (phase_) situation.lease = std::chrono::seconds(3);
      api::SyncRequest request = conversation_.request(situation, std::chrono::system_clock::now());
      polling_ = request.waitSeconds > 1;
      std::string body = api::to_json_text(request);
      auto reply = co_await client_.request("POST", "/api/v1/nodes/" + node_ + "/sync",
                                            std::move(body), std::chrono::seconds(60));
      const bool interrupted = std::exchange(polling_, false) && !reply;
      if (stopping_) co_return;
      if (interrupted) continue;
      auto answer = reply && reply->status == 200
                        ? api::from_json_text<api::SyncResponse>(reply->body)
                        : Result<api::SyncResponse>(fail(Errc::kUnavailable, "no answer"));
      if (!answer) {
        ++figures_.failures;
        boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor,
                                        std::chrono::milliseconds(200));
        co_await timer.async_wait(boost::asio::use_awaitable);
        continue;
      }
      ++figures_.syncs;
      known_ = known_ || !answer->sendInfo;
      (void)conversation_.answered(request, *answer, std::chrono::system_clock::now());
      obey(*answer);
    }
  }

  void obey(const api::SyncResponse& answer) {
    const api::DesiredRun* wanted = answer.runs.empty() ? nullptr : &answer.runs.front();
    const auto before = phase_;
    if (wanted != nullptr && (!before || run_ != wanted->run)) {
      run_ = wanted->run;
      tell(api::RunEventKind::measuring);
    }
    phase_ = wanted != nullptr ? std::optional(wanted->phase) : std::nullopt;
    if (before == api::RunPhase::fault && phase_ != api::RunPhase::fault) {
      ended_ = std::chrono::steady_clock::now();
      tell(api::RunEventKind::disarmed);
    }
    if (before != api::RunPhase::fault && phase_ == api::RunPhase::fault)
      tell(api::RunEventKind::armed);
    if (before && !phase_) tell(api::RunEventKind::closed);
  }
  void tell(api::RunEventKind kind) {
    api::RunBatch batch;
    batch.run = run_;
    api::RunEvent event;
    event.kind = kind;
    event.at = {std::chrono::system_clock::now()};
    batch.events.push_back(std::move(event));
    std::vector<api::RunBatch> batches;
    batches.push_back(std::move(batch));
    conversation_.add(std::move(batches));
  }

  AgentFigures& figures_;
  std::string node_, run_;
  agent::Conversation conversation_;
  http::Client client_;
  std::vector<api::PodRef> pods_;
  std::optional<api::RunPhase> phase_;
  std::chrono::steady_clock::time_point ended_{};
  bool known_ = false, polling_ = false, stopping_ = false;
};

}  // namespace faultline::testbed
