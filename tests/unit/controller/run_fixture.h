// SPDX-License-Identifier: Apache-2.0
// One run of the state machine on nodes that the tests play.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>

#include "controller/engine/run.h"
#include "fixtures.h"

namespace faultline::controller::test {

using OneRun = Run;  // testing::Test has a Run of its own
using api::RunEventKind;
using api::RunPhase;
using api::RunState;
using testing::ElementsAre;
using testing::HasSubstr;

// One run with phases of 10 s, 30 s and 10 s on the given nodes; each has one target.
class RunTest : public testing::Test {
 protected:
  void begin(const std::vector<std::string>& nodes, const std::string& more = "") {
    api::RunRecord head{.run = "slow-1", .experiment = experiment(more)};
    head.matching = static_cast<std::int64_t>(nodes.size());
    for (const std::string& node : nodes) {
      head.pods.push_back({pod("shop", "payments-" + node, node), api::PodRole::target});
      head.nodes.push_back({.node = node});
    }
    run_.emplace(std::move(head), RunTimes{}, clock_.now());
    nodes_ = nodes;
  }

  // Every node is heard, then time goes on; in steps, as agents sync at least once a second.
  void wait(std::chrono::nanoseconds d, std::vector<std::string> silent = {}) {
    for (; d > seconds(0); d -= std::min<std::chrono::nanoseconds>(d, milliseconds(500))) {
      clock_.after(std::min<std::chrono::nanoseconds>(d, milliseconds(500)));
      for (const std::string& node : nodes_)
        if (std::ranges::find(silent, node) == silent.end())
          run_->contact(node, "i-" + node, clock_.now());
      run_->tick(clock_.now());
    }
  }
  void report(const std::string& node, RunEventKind kind,
              std::vector<api::InjectionStatus> injections = {}) {
    api::RunBatch batch{.run = "slow-1"};
    batch.injections = std::move(injections);
    batch.events = {event(kind, clock_.now().utc)};
    run_->contact(node, "i-" + node, clock_.now());
    run_->batch(node, "i-" + node, batch, clock_.now());
  }
  void report_all(RunEventKind kind) {
    for (const std::string& node : nodes_) report(node, kind);
  }
  void until_fault() {
    report_all(RunEventKind::measuring);
    wait(seconds(10));
    report_all(RunEventKind::armed);
    ASSERT_EQ(run_->step(), RunStep::kFault);
  }
  [[nodiscard]] std::optional<RunPhase> told(const std::string& node = "n1") const {
    const auto desired = run_->desired(node, "i-" + node, clock_.now());
    return desired ? std::optional(desired->phase) : std::nullopt;
  }
  [[nodiscard]] std::vector<RunState> states() const {
    std::vector<RunState> out;
    for (const api::PhaseMark& mark : run_->head().history) out.push_back(mark.state);
    return out;
  }
  [[nodiscard]] const std::string& reason() const { return run_->head().stateReason; }

  HandClock clock_;
  std::vector<std::string> nodes_;
  std::optional<OneRun> run_;
};

}  // namespace faultline::controller::test
