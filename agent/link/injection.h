// SPDX-License-Identifier: Apache-2.0
// One fault on one pod, through all its armings: a pod that restarts, or a lease that ran out and
// came back, gives it another ArmedFault, and the totals go on. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/faults/fault.h"
#include "agent/targets/pod.h"

namespace faultline::agent {

// The seed of one fault on one pod, the same on every machine and in every version: FNV-1a (64 bit)
// over the run's seed (8 bytes, little endian), the pod's id ("namespace/name"), a zero byte and
// the fault's index in the experiment (8 bytes, little endian), then the finalizer of splitmix64 so
// that neighbouring seeds share no bits. Never 0.
[[nodiscard]] std::uint64_t injection_seed(std::uint64_t run_seed, std::string_view pod,
                                           std::uint64_t index);

class Injection {
 public:
  enum class State {
    kIdle,      // was never armed
    kArmed,     // injects until its deadline
    kEnded,     // injects no more and never again; its object is still to be taken down
    kBlocked,   // cannot be armed at this place, reason()
    kDisarmed,  // was armed, is no more; may be armed again
  };

  Injection(api::PodRef pod, std::size_t index, std::string fault, const Clock& clock);

  // Disarms what is armed, and arms anew: on the whole pod, or where containers are given on these.
  // With a deadline that is over, so that nothing is hit until begin(). An error leaves nothing
  // armed; the caller blocks then.
  Result<> arm(const FaultType& type, const api::Fault& fault, const Pod& place,
               const ArmContext& context, const std::vector<Container>& containers = {});
  // False: it is blocked already. `for_peers`: because nobody is its peer, which may change.
  bool block(std::string reason, bool for_peers = false);
  // Another place, another chance.
  void unblock();
  // What is armed acts from now on: a plain store. Nothing when it does already.
  void begin(KtimeNs deadline);
  // The peers of what is armed are these from now on, without arming anew. An error leaves it
  // armed; the caller blocks then. Nothing when it is not armed.
  Result<> follow(const PeerSets& peers);
  // Moves the end of what has begun.
  void renew(KtimeNs deadline);
  // Ends injecting with a plain store, until begin(). `why`: in words, where the fault did not end
  // as was planned.
  void halt(std::string why = {});
  // The same for good. disarm() follows, which may take tens of milliseconds; until then status()
  // tells it as armed. Nothing when it is not armed.
  void end(std::string why = {});
  // Final counters, then the end of the object. Nothing when there is none.
  void disarm(std::string why = {});
  // Reads the counters; a failed read keeps the old ones and is counted in read_errors().
  void refresh();

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }
  [[nodiscard]] const std::string& fault() const { return fault_; }
  [[nodiscard]] std::size_t index() const { return index_; }
  [[nodiscard]] std::uint64_t read_errors() const { return read_errors_; }
  // Totals over all armings. Never smaller than at an earlier call.
  [[nodiscard]] FaultCounters totals() const;
  [[nodiscard]] api::InjectionStatus status();
  // Did anything that status() tells change since take_changed() was last called?
  [[nodiscard]] bool take_changed();
  // How long the kernel let it act, over all armings: from begin() to its end or its deadline.
  [[nodiscard]] std::chrono::nanoseconds acted() const;
  // The peers' addresses it is armed with.
  [[nodiscard]] const PeerSets& peers() const { return peers_; }
  [[nodiscard]] bool blocked_for_peers() const {
    return state_ == State::kBlocked && blocked_for_peers_;
  }
  // Since when it is armed and nobody is its peer; nothing: somebody is, or it has no peers.
  [[nodiscard]] std::optional<SteadyTime> alone_since() const { return alone_since_; }

 private:
  api::PodRef pod_;
  std::size_t index_;
  std::string fault_;
  const Clock& clock_;
  State state_ = State::kIdle;
  std::string reason_, mechanism_;
  std::unique_ptr<ArmedFault> armed_;
  PeerSets peers_;
  bool blocked_for_peers_ = false;
  std::optional<SteadyTime> alone_since_;
  FaultCounters before_;   // of the armings that are over
  FaultCounters current_;  // of this one
  std::uint64_t read_errors_ = 0;
  bool changed_ = false;
  api::Timestamp armed_at_, disarmed_at_, first_at_, last_at_;
  KtimeNs last_;              // what last_at_ was made of
  KtimeNs begun_, deadline_;  // of what acts now; begun_ 0: nothing does
  std::chrono::nanoseconds acted_before_{0};
  std::string ended_by_;
};

}  // namespace faultline::agent
