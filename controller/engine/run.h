// SPDX-License-Identifier: Apache-2.0
// One run: a state machine that knows no clock, network or disk. Inputs are ticks, contacts,
// batches, stop; outputs are what each node should do and how far the run is. Not thread-safe.
//
//   step        state       nodes are told   ends when every node ...       or after
//   kMeasuring  Pending     baseline         reported `measuring`           a time-out: Failed
//   kBaseline   Baseline    baseline                                        phases.baseline
//   kArming     Baseline    fault            reported `armed`               a time-out: Failed
//   kFault      Injecting   fault                                           phases.fault
//   kDisarming  Injecting   recovery         reported `disarmed`            a time-out: Failed
//   kRecovery   Recovering  recovery                                        phases.recovery
//   kClosing    as before   nothing          reported `closed`, and what    a time-out: Failed, of
//                                            the monitoring saw is there    the monitoring: a gap
//   kOver       the ending
//
// Without a baseline (0s) a run begins with kArming, still Pending, and is measured from then on.
//
// A stop or a failure sets the ending at once. Where a fault may be armed it goes on with
// kDisarming and a short recovery, so that the record shows whether the effects went away; else
// with kClosing.
//
// A node that was not heard for a lease is lost: the kernel has ended its faults by then. An agent
// that was started anew is another instance: before the faults it joins again, after them it gets
// nothing of this run, because counters that begin anew would overwrite those of the old one.
//
// Ages are by the steady clock. The end of a phase is also kept in UTC (PhaseMark::until), for a
// controller that goes on with the run: what cannot be told then counts as passed, so that no
// restart, clock step or leader whose clock is behind lengthens a fault (decision 0023).
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/run_record.h"
#include "controller/engine/clock_estimate.h"
#include "controller/engine/write_guard.h"

namespace faultline::controller {

struct RunTimes {
  std::chrono::milliseconds lease{3000};
  std::chrono::milliseconds answer{10'000};        // for each of the reports above
  std::chrono::milliseconds early_recovery{2000};  // at most, after a stop or a failure
  std::chrono::milliseconds monitoring{10'000};    // for what it is asked at the end of a run
};

enum class RunStep {
  kMeasuring,
  kBaseline,
  kArming,
  kFault,
  kDisarming,
  kRecovery,
  kClosing,
  kOver
};

// Events of one fault since the batch before, for /metrics. Those of surprises of game days have no
// other name than kHiddenFault, also when they are over.
inline constexpr const char* kHiddenFault = "hidden";
struct FaultDelta {
  std::string fault;
  std::uint64_t matched = 0, injected = 0;
};

// `kNone`: what is armed is taken down without measuring what follows.
enum class Recovery { kShort, kNone };

// What decided how a run ends: its phases were over; stop() or fail(); what an agent said, or did
// not say in time; the lease of a node.
enum class EndedBy { kPhases, kCaller, kAgents, kLease };

class Run {
 public:
  // `head` has run, experiment (seed chosen), requestedBy, pods, matching and nodes (info only).
  Run(api::RunRecord head, RunTimes times, Instant now);
  // A run that an earlier controller did not finish; `last_seen`: its last sign of life. `full` has
  // all that was stored. When that was within the lease, and the run was not ending, it goes on
  // where it was: agents that still hold the lease never stopped, and those that do not will say
  // so. Else it only waits for the agents to report the end. `successor`: why there is another
  // controller, "the controller was restarted".
  static Run taken_over(const api::RunRecord& full, std::optional<api::RunState> ending,
                        UtcTime last_seen, RunTimes times, Instant now,
                        const std::string& successor);
  static Run interrupted(api::RunRecord head, std::optional<api::RunState> ending,
                         UtcTime last_seen, RunTimes times, Instant now,
                         const std::string& successor = "the controller was restarted");

  // ---- inputs
  void tick(Instant now);
  // Something was heard of a node; a node that is not part of the run is ignored.
  void contact(const std::string& node, const std::string& instance, Instant now);
  // Timestamps are on the controller's clock. Call contact() before.
  std::vector<FaultDelta> batch(const std::string& node, const std::string& instance,
                                const api::RunBatch& batch, Instant now);
  void stop(std::string reason, Recovery recovery, Instant now);  // -> Aborted
  void fail(std::string reason, Recovery recovery, Instant now);  // -> Failed
  // With `follow: true`: a target is gone for good; another pod takes a place. `info`: of its node.
  void leave(const std::string& pod, Instant now);
  void join(const api::PodRef& pod, const api::NodeInfo& info, std::int64_t matching, Instant now);
  // What a node of this run sent and may not; becomes one gap that says how many.
  void refused(const std::string& node, const Refused& refused, Instant now);
  // Something that the report should say of the run. What begins with the same words, up to the
  // first colon, is said once.
  void remark(api::Gap gap);
  // The run has a monitoring that is followed: `known` is what was seen of it before the run, and
  // the run is not over before followed() was called, or RunTimes::monitoring has passed. Call it
  // before the first tick.
  void follow_monitoring(api::MonitoringRecord known);
  // All that was seen of the monitoring. Nobody follows it any more.
  void followed(api::MonitoringRecord seen, Instant now);
  // What other runs hit now, by pod. A control pod of this run that is hit is no control pod any
  // more; an observed one stays and is remarked.
  void others_hit(const std::map<std::string, std::string>& runs, Instant now);
  // Whom the faults' selectors of peers stand for now. Nodes are told when that has changed.
  void peers(std::vector<api::PeerAddresses> now);
  // The offset by which the node's timestamps are moved: the first that is known holds for the
  // whole run, unless it turns out to be wrong, which is a gap.
  double clock_offset(const std::string& node, const ClockOffset& known, Instant now);

  // ---- outputs
  [[nodiscard]] std::optional<api::DesiredRun> desired(const std::string& node,
                                                       const std::string& instance,
                                                       Instant now) const;
  [[nodiscard]] RunStep step() const { return step_; }
  [[nodiscard]] bool over() const { return step_ == RunStep::kOver; }
  // Everything but what is in batches: injections, windows, events and gaps of nodes are empty.
  [[nodiscard]] const api::RunRecord& head() const { return head_; }
  [[nodiscard]] std::optional<api::RunState> ending() const { return ending_; }
  [[nodiscard]] EndedBy ended_by() const { return ended_by_; }
  [[nodiscard]] api::RunSummary summary(Instant now) const;
  // The head with the newest injections, and the windows and gaps of the last `kRecent` seconds of
  // the fault.
  [[nodiscard]] api::RunRecord recent() const;
  [[nodiscard]] SteadyTime next_deadline() const;  // max(): none
  [[nodiscard]] bool has_node(const std::string& node) const { return members_.contains(node); }
  // Raised by each change of what nodes should do, and of what is in head().
  [[nodiscard]] std::uint64_t desired_version() const { return desired_version_; }
  [[nodiscard]] std::uint64_t head_version() const { return head_version_; }

  static constexpr std::chrono::seconds kRecent{5};

 private:
  struct Member {
    std::string instance;  // empty until heard of
    bool measuring = false, armed = false, disarmed = false, closed = false, lost = false;
    bool told_to_end = false;  // the agent, while faults were armed
    SteadyTime last_contact;
    UtcTime last_contact_utc;
    SteadyTime measuring_by;         // when it must have reported `measuring`
    std::optional<std::size_t> gap;  // in head_.gaps, open
    bool clock_known = false;
    std::size_t refused = 0, refused_told = 0;  // entries
    std::size_t refused_gap = 0;                // in head_.gaps, once some were told
  };
  struct InjectionKey {
    std::string pod;
    std::int64_t index = 0;
    friend auto operator<=>(const InjectionKey&, const InjectionKey&) = default;
  };

  // An earlier controller followed the monitoring from `since` on, and nobody does any more.
  void lose_monitoring(const std::string& successor, UtcTime since, Instant now);
  void resume(const api::RunRecord& full, UtcTime last_seen, Instant now);
  // Of the phase that the last mark of the history began, empty: it has none.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> length_of(api::RunState state) const;
  void follow_clock(Instant now);
  void advance(Instant now);
  bool advance_once(Instant now);
  void enter(RunStep step, Instant now);
  void mark(api::RunState state, std::string reason, Instant now);
  void end_early(api::RunState ending, std::string reason, Recovery recovery, Instant now,
                 EndedBy by = EndedBy::kAgents);
  void finish(Instant now);
  void bind(const std::string& node, Member& member, const std::string& instance);
  void rebind(const std::string& node, Member& member, const std::string& instance, Instant now);
  void lose(const std::string& node, Member& member, std::string reason, Instant now, EndedBy by);
  void event(const std::string& node, Member& member, const api::RunEvent& event, Instant now);
  void open_gap(const std::string& node, Member& member, std::string reason);
  void close_gap(Member& member, UtcTime at);
  bool every(bool Member::*flag) const;
  [[nodiscard]] std::string missing(bool Member::*flag) const;
  [[nodiscard]] bool any_alive() const;
  // Why, when no fault could be armed on any target.
  [[nodiscard]] std::optional<std::string> all_blocked() const;
  [[nodiscard]] bool in(RunStep first, RunStep last) const {
    return step_ >= first && step_ <= last;
  }
  [[nodiscard]] SteadyTime phase_end(std::chrono::nanoseconds length) const {
    return step_since_ + length;
  }

  api::RunRecord head_;
  RunTimes times_;
  RunStep step_ = RunStep::kMeasuring;
  bool awaits_monitoring_ = false;
  bool patient_ = false;  // of an earlier controller: agents may need long to find this one
  SteadyTime step_since_;
  SteadyTime phase_since_;  // of the state, for the summary
  std::chrono::nanoseconds recovery_length_;
  std::chrono::nanoseconds utc_ahead_;  // of the steady clock, when `until` was written
  std::map<std::string, std::size_t> hit_by_others_;  // observed pods; of head_.gaps, open
  std::optional<api::RunState> ending_;
  EndedBy ended_by_ = EndedBy::kPhases;
  std::map<std::string, Member> members_;
  std::vector<api::PeerAddresses> peers_;  // empty: not known yet, or there are no selectors
  std::map<InjectionKey, api::InjectionStatus> injections_;
  std::map<std::string, api::EffectWindow> newest_;                      // by pod
  std::map<std::string, std::vector<api::EffectWindow>> fault_windows_;  // by node, recent
  std::map<std::string, std::vector<api::Gap>> fault_gaps_;              // likewise
  std::uint64_t desired_version_ = 1;
  std::uint64_t head_version_ = 1;
};

}  // namespace faultline::controller
