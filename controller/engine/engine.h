// SPDX-License-Identifier: Apache-2.0
// All nodes and all runs that are not over, without network or disk. Whoever feeds it takes the
// changes after each call: which nodes have a new desired state, which runs moved, which must be
// stored. Not thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/node_status.h"
#include "api/plan.h"
#include "controller/engine/run.h"
#include "controller/engine/targets.h"
#include "controller/engine/write_guard.h"

namespace faultline::controller {

struct EngineOptions {
  RunTimes times;
  // Revisions count up from here. Must be above those of an earlier controller: agents remember
  // them. Microseconds since the epoch do.
  std::uint64_t first_revision = 1;
  std::function<std::uint64_t()> random;  // for seeds; any value
};

struct Changes {
  std::set<std::string> nodes;  // their syncs must be answered now
  std::set<std::string> runs;   // their summaries say something new
};

class Engine {
 public:
  explicit Engine(EngineOptions options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // ---- nodes
  // A sync arrived. Errors: kInvalid (a name that is none), kConflict (another agent took over the
  // node's name; its batches are still good). True: the agent must send info and pods.
  Result<bool> hello(const std::string& node, const api::SyncRequest& request, Instant now);
  void answered(const std::string& node, const std::string& instance, Instant now);
  // While a sync of the node is held open it counts as connected.
  void hold(const std::string& node);
  void release(const std::string& node);
  [[nodiscard]] bool is_current(const std::string& node, const std::string& instance) const;
  [[nodiscard]] std::uint64_t revision(const std::string& node) const;
  [[nodiscard]] std::vector<api::DesiredRun> desired(const std::string& node,
                                                     const std::string& instance,
                                                     Instant now) const;
  // Moves the batch's timestamps to our clock. Call hello() before.
  void correct(const std::string& node, api::RunBatch& batch, Instant now);
  // Takes out of corrected batches what the node may not write (write_guard.h); the run is told of
  // what its own nodes sent too much. A batch of a run that is not under way, nor was until
  // kLateBatches ago, or in which the node has no part, is of the run "" afterwards.
  Refused admit(const std::string& node, std::vector<api::NumberedBatch>& batches, Instant now);
  // Corrected batches that are stored and were not before.
  std::vector<FaultDelta> apply(const std::string& node, const std::string& instance,
                                const std::vector<api::NumberedBatch>& batches, Instant now);
  [[nodiscard]] std::vector<api::NodeStatus> nodes(Instant now) const;
  [[nodiscard]] std::size_t connected(Instant now) const;

  // ---- runs
  // What holds for experiments from now on; those under way go on.
  void rules(Rules rules) { rules_ = std::move(rules); }
  [[nodiscard]] const Rules& rules() const { return rules_; }
  // The cluster's Services, by which peers are reached, too; again after each change.
  void services(std::vector<KnownService> services, Instant now);
  // Errors: those of resolve(). Seed 0 is replaced by one that is chosen now.
  [[nodiscard]] Result<api::RunPlan> plan(api::Experiment experiment, Instant now) const;
  // Why an experiment can never run here, whatever pods there are: kDenied (the policy),
  // kUnsupported (what this controller cannot do at all, or none of the connected agents can).
  [[nodiscard]] Result<> never_runs(const api::Experiment& experiment, Instant now) const;
  // Reserves the pods; the run begins with begin(), when it is stored, or is given up with drop().
  // `requested_by` is who asked, `uid` the Experiment's in the cluster, or empty. Also
  // kUnsupported and kConflict: see require_supported() and as_agreed().
  Result<api::RunRecord> prepare(api::Experiment experiment, const std::string& requested_by,
                                 Instant now, const std::string& uid = {});
  // `monitoring`: what was seen of it before, when it is followed (Run::follow_monitoring()).
  void begin(const std::string& run, Instant now,
             std::optional<api::MonitoringRecord> monitoring = {});
  void drop(const std::string& run);
  void adopt(Run run);  // of an earlier controller
  // This controller leads from now on: revisions go on above those of the one before.
  void begin_term(Instant now);

  // `run`: its id, or an experiment's name. kNotFound: no such run is under way.
  Result<api::RunSummary> stop(const std::string& run, const std::string& reason, Recovery recovery,
                               Instant now);
  std::vector<api::RunSummary> stop_all(const std::string& reason, Recovery recovery, Instant now);
  void fail_all(const std::string& reason, Instant now);
  // All that was seen of the monitoring; a run that is over is left as it is.
  void followed(const std::string& run, api::MonitoringRecord seen, Instant now);
  // The monitoring of a run that was taken over is followed from now on, as begin() has it.
  void follow_again(const std::string& run, api::MonitoringRecord known);
  void tick(Instant now);
  [[nodiscard]] SteadyTime next_deadline() const;

  // Runs in memory: under way, or over and not yet stored. By id, then by name (the newest).
  [[nodiscard]] const Run* find(const std::string& run) const;
  [[nodiscard]] std::vector<api::RunSummary> summaries(Instant now) const;  // newest first
  // Of runs that are not over; good until the engine is called again.
  [[nodiscard]] std::vector<const api::RunRecord*> active_heads() const;
  [[nodiscard]] std::size_t active() const;  // not over
  [[nodiscard]] std::map<api::RunState, std::size_t> by_state() const;

  // ---- what changed
  [[nodiscard]] Changes take_changes();
  [[nodiscard]] std::vector<std::string> unsaved() const;
  // The head with this version is stored. A run that is over is forgotten then.
  void saved(const std::string& run, std::uint64_t head_version);

  // For how long nodes may still send what they had measured, after the end of a run.
  static constexpr std::chrono::minutes kLateBatches{2};

 private:
  struct Node;
  struct Entry {
    std::optional<api::RunRecord> prepared;  // until begin()
    std::unique_ptr<Run> run;
    std::uint64_t desired_seen = 0, head_seen = 0, head_saved = 0;
    SteadyTime abort_check, follow_check, peers_check;
    // From when on this controller resolves peers. max(): it took the run over, and has not ticked.
    SteadyTime peers_from = SteadyTime::min();
    std::string follow_refusal;  // as told last
    bool over_seen = false;
    std::unique_ptr<WriteGuard> guard;  // from the first batch on
  };

  [[nodiscard]] Cluster cluster(const api::Experiment& experiment, Instant now) const;
  [[nodiscard]] Hits hits() const;
  void tell_hits(Instant now);
  void forget_over(Instant now);
  WriteGuard* guard_of(const std::string& run, Instant now);
  [[nodiscard]] bool is_connected(const Node& node, Instant now) const;
  [[nodiscard]] std::uint64_t seed_for(std::uint64_t asked) const;
  [[nodiscard]] std::string new_run_id(const std::string& name, UtcTime now) const;
  Entry* active_entry(const std::string& run);
  void follow(Entry& entry, Instant now);
  void resolve_peers_of(Entry& entry, Instant now);
  void resolve_all_peers(Instant now);
  void settle(Entry& entry);
  void settle_all();

  EngineOptions options_;
  Rules rules_;
  std::vector<KnownService> services_;
  bool services_known_ = false;
  std::uint64_t last_revision_;
  std::map<std::string, std::unique_ptr<Node>> nodes_;
  std::map<std::string, std::uint64_t> revisions_;  // by node
  std::map<std::string, Entry> runs_;               // by id
  struct Over {
    std::unique_ptr<WriteGuard> guard;
    SteadyTime until = SteadyTime::max();  // set by the next tick
  };
  std::map<std::string, Over> over_;  // by id, a while after they were stored
  mutable std::set<std::string> used_ids_;
  Changes changes_;
  bool hits_changed_ = false;
};

}  // namespace faultline::controller
