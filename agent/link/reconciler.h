// SPDX-License-Identifier: Apache-2.0
// Makes desired state true on this node: all runs, from the newest answer of the controller and the
// newest list of pods. Level-triggered; knows no network. Not thread-safe.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/link/run.h"
#include "api/sync.h"
#include "base/slept.h"

namespace faultline::agent {

class Reconciler {
 public:
  struct Deps {
    const Clock& clock;
    const FeatureProbe& features;
    std::function<const FaultType*(std::string_view)> find_fault;
    std::span<const CollectorType* const> collectors;
    const KernelObjects& kernel;
    NetnsId host_netns{};
    // Others than runs who measure pods.
    std::function<void(const std::string& pod)> faults_changed;
    std::function<std::chrono::nanoseconds()> slept = machine_slept;  // as RunDeps::slept
    bool may_probe_tls = false;                                       // AgentOptions::may_probe_tls
  };
  explicit Reconciler(Deps deps);
  Reconciler(const Reconciler&) = delete;
  Reconciler& operator=(const Reconciler&) = delete;

  // The pods of this node as they are now.
  void pods(const std::vector<Pod>& pods);
  // An answer, which holds the whole desired state.
  void answer(const std::vector<api::DesiredRun>& runs, AnswerTimes times);
  // Time passes: leases, windows, residue, and what was left for later. Every 50 ms or so while
  // active(), sooner while busy().
  void tick();
  // Pods are left to be measured or armed: there was no time for all at once.
  [[nodiscard]] bool busy() const;
  // What is to be told, by run. Reads the counters of all faults.
  [[nodiscard]] std::vector<api::RunBatch> drain();
  // The agent ends: everything is taken down. Another agent may carry on, so no run is told to be
  // closed.
  void shutdown();

  [[nodiscard]] bool active() const { return !runs_.empty(); }
  // The shortest lease of a run with armed faults.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> armed_lease() const;
  // Some of these inject.
  [[nodiscard]] bool acting() const;
  // The shortest lease of all runs.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> lease() const;
  [[nodiscard]] bool wants_answer() const;
  [[nodiscard]] std::size_t size() const { return runs_.size(); }
  // For /metrics, which more people read than may know of a quiet run: without these until they are
  // over.
  struct Shown {
    std::size_t runs = 0, armed = 0;  // runs that are up, and their faults that act
    AgentCounts counts;               // with those of the runs that are up
  };
  [[nodiscard]] Shown shown() const;
  [[nodiscard]] ResidueLedger& ledger() { return ledger_; }

 private:
  // Something was called.
  void turn();
  void pass();
  Run* find(const std::string& id);
  bool refuse_again(const std::string& run);

  Deps deps_;
  ResidueLedger ledger_;
  AgentCounts counts_;
  RunDeps run_deps_;
  PodMap pods_;
  SteadyTime turned_;   // last
  UtcTime last_heard_;  // when an answer last came; before that, when the agent started
  std::vector<std::unique_ptr<Run>> runs_;
  std::vector<api::RunBatch> last_words_;  // of runs that are over
  // Runs that were taken down here. None of them begins again: who asks for it is a controller that
  // does not know it yet, or whose clock is wrong.
  struct Ended {
    std::string run;
    bool quiet = false;
    SteadyTime told;  // when that was last said
  };
  std::deque<Ended> ended_;
};

}  // namespace faultline::agent
