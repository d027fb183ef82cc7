// SPDX-License-Identifier: Apache-2.0
// One run on this node: the collectors of its pods, the faults of its targets, its lease, and what
// it has to tell. Level-triggered: desire() says what is wanted, reconcile() makes it true, as
// often as one likes. Owned by Reconciler. Not thread-safe.
//
// Order, so that windows are true (docs/decisions/0027-exact-edges.md): collectors run before a
// fault is armed. A fault is armed with a lease that is over; when all hang in their places, the
// lease begins, and the window of before is cut after that. When faults go, the window is cut, then
// all stop injecting, which are stores, and then they are taken down. So a window of the fault
// phase holds only time in which the pod's faults acted. The time within the phase in which they
// did not counts to no phase, and is a gap; what comes after they ended for good is recovery.
//
// Where a fault is due at once (no baseline was asked for, the pod came back within the fault) it
// is armed first: hanging up collectors takes several grace periods of the kernel, and the time
// until they measure is a gap.
//
// Beginning to measure a pod, and arming its faults, takes the kernel's verifier its time. Where
// there are many pods that is done some at a time, so that whoever owns this can talk with the
// controller in between: go_on() does the next ones. Faults begin together when the last is armed.
// To take down the faults of a pod, and to end its measuring, waits for the kernel, too, and is
// done likewise, the faults first; nothing is armed or measured anew before all of that is done.
//
// Faults that ended by their lease or at the end of their phase are not armed again in this run,
// whatever a later answer says: it may be of a controller whose clock is wrong.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/link/injection.h"
#include "agent/link/lease.h"
#include "agent/link/measurement.h"
#include "agent/link/residue.h"

namespace faultline::agent {

using PodMap = std::map<std::string, Pod>;  // by namespace/name

// What only ever grows, for /metrics.
struct AgentCounts {
  std::uint64_t leases_expired = 0, gaps = 0, blocked = 0, pod_restarts = 0, residue = 0;
  std::uint64_t helper_errors = 0, lost = 0;  // of runs that are over
  AgentCounts& operator+=(const AgentCounts& more);
};

// References outlive the run.
struct RunDeps {
  const Clock& clock;
  const FeatureProbe& features;
  std::function<const FaultType*(std::string_view)> find_fault;
  std::span<const CollectorType* const> collectors;
  ResidueLedger& ledger;
  AgentCounts& counts;
  NetnsId host_netns{};  // of the node itself; 0: unknown
  // How long this machine has slept since it was started. Its steady clock stood still meanwhile.
  std::function<std::chrono::nanoseconds()> slept;
  // A fault was armed or disarmed on this pod: everybody who measures it must know.
  std::function<void(const std::string& pod)> faults_changed;
  // Does anybody but this run measure the pod?
  std::function<bool(const std::string& pod, const std::string& run)> measured_by_others;
  // Does anybody but this run hold objects of the kernel?
  std::function<bool(const std::string& run)> others;
  // Another run with this pod as a target, empty: none.
  std::function<std::string(const std::string& pod, const std::string& run)> taken_by;
  bool may_probe_tls = false;
};

class Run {
 public:
  // `unseen_since`: where the run is already in its fault phase, it may have lacked its faults
  // since then.
  Run(const RunDeps& deps, api::DesiredRun desired, UtcTime unseen_since);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // The newest words of the controller. A change of phase takes effect here as far as things end:
  // faults go before anything else is done.
  void desire(api::DesiredRun desired);
  // An answer holds the run; desire() said what is in it.
  void renew(AnswerTimes times);
  // For so long nobody called anything of this.
  void was_away(std::chrono::nanoseconds time);
  // Ends what the kernel has ended already. Call before renew().
  void check_lease();
  void reconcile(const PodMap& pods);
  // What reconcile() left for later, the next ones of it. Call it soon while busy().
  void go_on(const PodMap& pods);
  [[nodiscard]] bool busy() const {
    return taking_down_ || !ending_.empty() ||
           ((arming_ || measuring_) && !closing_ && !suspended_);
  }
  // Windows, lease, the end of closing. A few times in a window.
  void tick();
  // What this run has made in the kernel until now is its own: call it before others make anything.
  // To find it means to look at every descriptor of this process, so a run that is alone does that
  // when its pods have all begun or before something ends, not at each of its steps.
  void claim();
  // Takes everything down: all faults end now, and are taken down some at a time, as the
  // measurements are; over() some ticks later, when the residue is known. `tell`: false when the
  // agent ends and another will carry on, and then all is taken down when this returns.
  void close(bool tell);
  [[nodiscard]] bool over() const { return over_; }
  [[nodiscard]] bool closing() const { return closing_; }

  // What happened since the last call; nothing: empty.
  [[nodiscard]] std::optional<api::RunBatch> drain();

  // It is a surprise of a game day: nothing of it is logged, and its counts are those of the agent
  // when it is over. What it tells the controller is not less.
  [[nodiscard]] bool quiet() const { return quiet_; }
  void faults_changed(const std::string& pod);
  [[nodiscard]] const std::string& id() const { return desired_.run; }
  [[nodiscard]] std::size_t armed() const;
  // What is armed injects, as long as the lease holds.
  [[nodiscard]] bool acting() const { return armed() > 0 && !before_; }
  [[nodiscard]] const Lease& lease() const { return lease_; }
  // Faults are wanted and the lease is over: only another answer helps.
  [[nodiscard]] bool wants_answer() const { return wants_answer_ && !closing_; }
  [[nodiscard]] bool targets(const std::string& pod) const;
  [[nodiscard]] bool measures(const std::string& pod) const;
  // Sums over all its faults, for /metrics.
  [[nodiscard]] FaultCounters totals() const;

  static constexpr std::chrono::seconds kWindow{1};
  static constexpr std::chrono::milliseconds kStep{50};  // without a pause, and one pod more
  static constexpr std::chrono::seconds kSuspendAfter{
      30};                                               // in which it would have taken an answer
  static constexpr std::chrono::seconds kPeersAway{10};  // until a fault is blocked
  static constexpr std::chrono::milliseconds kResidueTime{1000};  // the kernel frees some later

 private:
  struct Place {
    api::RunPod pod;
    std::optional<Pod> here;
    std::unique_ptr<Measurement> measurement;
    std::vector<std::unique_ptr<Injection>> injections;
    std::optional<PodTraffic> before;  // of its baseline
    bool known = false;                // was here at least once
    std::optional<UtcTime> unseen;     // not measured since
    bool fault_first = false;          // and that is because its faults came first
    bool begins = false;               // something was armed that is to begin
    bool connected = false;            // told by tell_connected()
  };
  using Places = std::map<std::string, Place>;

  // The time that one reconcile() or go_on() may take, which begins now.
  class Step {
   public:
    explicit Step(const Clock& clock) : clock_(clock), end_(clock.steady() + kStep) {}
    [[nodiscard]] bool over() const { return clock_.steady() >= end_; }

   private:
    const Clock& clock_;
    SteadyTime end_;
  };

  void adopt_pods();
  void work(const PodMap& pods);
  void begin_some(const PodMap& pods, const Step& step);
  void settle(Place& place, const PodMap& pods);
  void measure_some(const Step& step);
  [[nodiscard]] TlsProbes tls_probes() const;
  void measure(Place& place);
  // Its windows end; the measurement itself is ended by end_some().
  void stop_measuring(Place& place);
  void end_some(const Step& step);
  // Faults that end_all(), end_place() have ended, pod by pod.
  void take_down_some(const Step& step);
  void take_down(Place& place);
  static bool has_ended(const Place& place);  // and is not taken down
  // Of a run that measures no more: faults, then measurements.
  void let_go_some();
  void arm_some(const PodMap& pods, const Step& step);
  // True: something was armed that was not.
  bool arm_place(Place& place, const PodMap& pods);
  bool arm_one(Place& place, Injection& injection, const PodMap& pods);
  // What was armed acts from now on, and the windows of before end.
  void begin_faults();
  // The faults of `place` stop injecting, and the window that they acted in is cut.
  void halt(Place& place, std::string why = {});
  // The same for good, of `place` or of all places. take_down_some() takes them down.
  void end_place(Place& place, std::string why = {});
  void end_all(std::string why = {});
  void end_window(Place& place, KtimeNs at);
  // Of the window that ends now; empty: it belongs to none.
  [[nodiscard]] std::optional<api::RunPhase> phase_of(const Place& place) const;
  // All targets of the run are on this node.
  [[nodiscard]] bool all_targets_here() const;
  void renew_all();
  // Only these containers are hit; empty: whole pods.
  [[nodiscard]] const std::vector<std::string>& container_names() const {
    return desired_.experiment.spec.target.containerNames;
  }
  void follow_containers(Place& place, const PodMap& pods);
  [[nodiscard]] std::optional<std::string> refusal_of(const Place& place) const;
  // Ended and taken down.
  void disarm_place(Place& place, std::string why = {});
  void tell_faults_changed(const std::string& pod);
  void block(const Place& place, Injection& injection, std::string reason, bool for_peers = false);
  // Whom the selectors of the fault's filter stand for now.
  [[nodiscard]] PeerSets peers_of(const Injection& injection, const api::NetworkFilter& filter,
                                  const PodMap& pods) const;
  void end_one(Place& place, Injection& injection, std::string reason, bool for_peers = false);
  // Blocks what has been armed without any peer for kPeersAway.
  void block_the_alone();
  void suspend();
  void cut(Place& place);
  void cut(Place& place, std::optional<api::RunPhase> phase);
  void cut_all();
  // Tells each control pod that exchanges packets with a target or an observed pod of this node,
  // once.
  void tell_connected();
  void add_gap(api::Gap gap);
  void flush_gaps(const std::string& pod);
  void close_idle_gap();
  void event(api::RunEventKind kind, std::string pod, std::string text);
  void go_on_closing();
  void check_residue();
  void count_sleep();
  [[nodiscard]] bool fault_is_due() const;
  // Faults may be armed now.
  [[nodiscard]] bool may_arm() const;
  [[nodiscard]] UtcTime utc_of(SteadyTime t) const;

  const RunDeps& deps_;
  api::DesiredRun desired_;
  const bool quiet_;
  AgentCounts held_back_;  // of a quiet run that is not over
  AgentCounts& counts_;
  api::RunPhase phase_;
  // The fault phase is wanted, and its faults do not act yet: the open windows are of this one.
  std::optional<api::RunPhase> before_;
  Places places_;
  std::vector<Place> leaving_;  // wanted no more, with faults that are to be taken down
  std::vector<std::unique_ptr<Measurement>> ending_;  // nobody asks for these any more
  Lease lease_;
  SteadyTime last_answer_, next_cut_;
  bool measuring_told_ = false, armed_told_ = false, disarmed_told_ = false;
  bool arming_ = false, measuring_ = false;  // pods are left for go_on()
  bool taking_down_ = false;                 // faults have ended and are not taken down yet
  bool disarmed_due_ = false;                // close() has ended faults, and that is not told yet
  bool working_ = false;                     // within work(), which claims at its end
  bool unclaimed_ = false;                   // the ledger does not know yet what was made
  bool suspended_ = false, wants_answer_ = false, closing_ = false, over_ = false, tell_ = true;
  bool peers_given_ = false;  // the controller resolves them
  bool faults_over_ = false;  // for good: the lease or the phase ended them
  std::chrono::nanoseconds slept_{0};
  // Since the last answer: the longest time in which nobody called anything of this, and all such
  // times that are worth telling.
  std::chrono::nanoseconds away_{0}, all_away_{0};
  SteadyTime closing_since_;
  std::optional<UtcTime> idle_since_;  // faults are wanted and not armed since
  std::string idle_reason_;
  std::optional<std::string> refusal_;
  // A gap that goes on from window to window is told once, when it ends or the phase does.
  std::map<std::string, std::vector<api::Gap>> open_gaps_;  // by pod
  api::RunBatch out_;
};

// Would what is attached to the one also be attached to the other?
[[nodiscard]] bool same_attachments(const Pod& a, const Pod& b);

}  // namespace faultline::agent
