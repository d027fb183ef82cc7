// SPDX-License-Identifier: Apache-2.0
// Waiting by EDT ("edt"): packets wait in the kernel, in fq on a device of ours
// (bpf/include/edt.bpf.h). What is measured and how it ends is as with the delay line;
// docs/decisions/0011-edt.md says when it is chosen and what it costs. Here is what
// networkLatency's and networkBandwidth's programs have in common; edt_latency.cpp and
// edt_bandwidth.cpp load them.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/faults/edt/edt_pair.h"
#include "agent/faults/fault.h"
#include "agent/kernel/link.h"
#include "agent/kernel/net_filter.h"
#include "agent/kernel/tc.h"
#include "delay_abi.h"

namespace faultline::agent {

inline constexpr const char* kEdtMechanism = "edt";

// No packet waits longer at once, so all are out that long after the lease has ended.
inline constexpr std::chrono::milliseconds kEdtHop{40};
// The same of a narrow link, whose packets wait once. Below what disarm() waits.
inline constexpr std::chrono::milliseconds kEdtLongestLink{150};

// Descriptors of a loaded object, which outlives the line.
struct EdtObject {
  int to, from, turn, back;    // programs
  int counters, given, added;  // maps fl_counters, fl_delay_counters, fl_edt_added
  int peers, exceptions;       // maps fl_peers, fl_exceptions
  fl_lease* lease;             // mapped
};

// `T`: the struct of a skeleton whose object includes edt.bpf.h.
template <class T>
EdtObject edt_object(T& skeleton) {
  return {.to = bpf_program__fd(skeleton.progs.fl_edt_to),
          .from = bpf_program__fd(skeleton.progs.fl_edt_from),
          .turn = bpf_program__fd(skeleton.progs.fl_edt_turn),
          .back = bpf_program__fd(skeleton.progs.fl_edt_return),
          .counters = bpf_map__fd(skeleton.maps.fl_counters),
          .given = bpf_map__fd(skeleton.maps.fl_delay_counters),
          .added = bpf_map__fd(skeleton.maps.fl_edt_added),
          .peers = bpf_map__fd(skeleton.maps.fl_peers),
          .exceptions = bpf_map__fd(skeleton.maps.fl_exceptions),
          .lease = &skeleton.bss->fl_lease};
}

// The pair and the links of one object. Not thread-safe.
class EdtLine {
 public:
  // What went into the pair, and what of it was dropped there on purpose.
  struct Taken {
    std::uint64_t packets = 0, dropped = 0;
  };
  // Asked only after what has come back was counted.
  using ReadTaken = std::function<Result<Taken>(const fl_counters& counters)>;

  EdtLine(EdtPair pair, const EdtObject& object, ReadTaken taken)
      : pair_(std::move(pair)), object_(object), taken_(std::move(taken)) {}
  EdtLine(EdtLine&&) noexcept = default;
  EdtLine& operator=(EdtLine&&) = delete;
  ~EdtLine() { detach(); }  // before the device

  // Puts the filter's addresses into the object's tries; before attach(). `made`: as
  // FilterMaps::fill().
  Result<> fill(const api::NetworkFilter& filter, const NetFilter& made);
  // As ArmedFault::follow().
  Result<> follow(const PeerSets& peers) { return addresses_.follow(peers); }
  // Arms until `deadline`. `devices`: as DelayLineOrder's.
  Result<> attach(TcMeans means, api::Direction direction, const std::vector<IfIndex>& devices,
                  KtimeNs deadline);
  void renew(KtimeNs deadline);
  // matched, injected, errors, first_injected, last_injected (the last that came back), lost (known
  // after disarm()), added_latency.
  [[nodiscard]] Result<FaultCounters> read() const;
  // Waits until all are out, then detaches. Errors: packets that did not come out, with their
  // number.
  Result<> disarm();

 private:
  struct State {
    FaultCounters counters;
    Taken taken;
    std::uint64_t returned = 0;
    [[nodiscard]] std::uint64_t missing() const;
  };
  [[nodiscard]] Result<State> state() const;
  void detach();

  EdtPair pair_;
  EdtObject object_;
  ReadTaken taken_;
  FilterMaps addresses_;
  std::vector<Link> links_;
  std::uint64_t lost_ = 0;
};

// What every object's fl_config says.
fl_line_config edt_config(const EdtPair& pair, const std::vector<IfIndex>& devices);

// `devices`: as DelayLineOrder's. In the host's network namespace. Errors: what the kernel said.
Result<std::unique_ptr<ArmedFault>> arm_edt(const api::NetworkLatency& spec,
                                            const std::vector<IfIndex>& devices,
                                            const ArmContext& context);
Result<std::unique_ptr<ArmedFault>> arm_edt(const api::NetworkBandwidth& spec,
                                            const std::vector<IfIndex>& devices,
                                            const ArmContext& context);

}  // namespace faultline::agent
