// SPDX-License-Identifier: Apache-2.0
// What the agent says to the controller and what it learns, without any network: which request
// comes next, and what an answer, or its absence, changes. Not thread-safe.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "agent/link/outbox.h"
#include "api/sync.h"
#include "base/clock.h"

namespace faultline::agent {

class Conversation {
 public:
  // `instance`: random per process.
  Conversation(std::string instance, api::NodeInfo info)
      : instance_(std::move(instance)), info_(std::move(info)) {}

  struct Situation {
    std::optional<std::chrono::nanoseconds> lease;  // the shortest of all runs; empty: idle
    bool wants_answer = false;                      // the answer must come at once
  };
  // The request to be sent now. `now` becomes its sentAt.
  [[nodiscard]] api::SyncRequest request(const Situation& situation, UtcTime now);
  // The answer to `request`, which arrived at `arrived`. False: it is of a controller that was the
  // leader before another one whose answer is known; nothing was taken from it.
  [[nodiscard]] bool answered(const api::SyncRequest& request, const api::SyncResponse& response,
                              UtcTime arrived);

  // False: the same as before.
  bool pods(std::vector<api::PodRef> pods);
  void add(std::vector<api::RunBatch> batches);
  // The controller does not know what it must know: its next answer should not be waited for.
  [[nodiscard]] bool news() const {
    return !info_known_ || pods_ != known_pods_ || !outbox_.empty();
  }
  [[nodiscard]] const Outbox& outbox() const { return outbox_; }
  [[nodiscard]] const std::string& instance() const { return instance_; }

  static constexpr double kIdleWait = 20;              // seconds
  static constexpr double kRunningWait = 0.5;          // or a quarter of the lease
  static constexpr std::size_t kMaxRequest = 1 << 20;  // bytes of batches in one request

 private:
  std::string instance_;
  api::NodeInfo info_;
  bool info_known_ = false;
  std::optional<std::vector<api::PodRef>> pods_, known_pods_;
  std::uint64_t revision_ = 0;
  std::uint64_t term_ = 0;
  std::optional<double> clock_offset_, clock_round_trip_;
  Outbox outbox_;
};

}  // namespace faultline::agent
