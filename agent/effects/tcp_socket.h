// SPDX-License-Identifier: Apache-2.0
// connect.* and tcp.rtt, tcp.retransmits of the pod's sockets, by sockops and connect hooks on its
// cgroup; other cgroups pay nothing.
//
//   connect.attempts   connect() on a TCP socket, counted when the kernel asks the cgroup's hooks
//   connect.failures   {errno}: what a hook put (socketError), or the socket's own error when the
//                      handshake failed (ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH ...). "unknown": the
//                      kernel or a hook that runs after ours refused at once (no route, no free
//                      port), which is known half a second late. An errno is reported from when it
//                      first occurred.
//   connect.abandoned  the program closed the socket before there was an answer: no failure
//   connect.resets     established, and then reset by the peer before a byte went either way
//   connect.errors     failed of all that opened or failed in the window: a connect that still
//                      waits or was abandoned is in neither
//   connect.latency    first SYN to established
//   tcp.rtt            the path's, without what the peer takes: handshakes, and round trips whose
//                      acknowledgement the peer may not keep back (fl_round_trip()). A window in
//                      which there were only others is a gap
//   tcp.retransmits    segments, SYNs included, SYN-ACKs not
//
// Connections that were there before are looked at by sock_diag at each take(), for the growth of
// retransmissions, of which what falls between the last take() and the connection's end is not
// seen. They give no round trips.
//
// MPTCP sockets are not seen. A connect that was under way when measuring began gives no latency,
// and no failure.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/effects/cut.h"
#include "agent/effects/effect.h"
#include "agent/effects/tcp_diag.h"
#include "agent/kernel/histogram_reader.h"
#include "agent/kernel/link.h"
#include "agent/kernel/skeleton.h"
#include "effect_abi_tcp.h"
#include "tcp_socket.skel.h"

namespace faultline::agent {

class TcpSocketCollector final : public Collector {
 public:
  // Errors: kUnsupported with the kernel's words where it has no sockops or connect hooks; what
  // loading or attaching said.
  static Result<std::unique_ptr<TcpSocketCollector>> start(const Pod& pod,
                                                           const CollectContext& context);
  void take(std::vector<api::EffectSample>& samples, std::vector<api::Gap>& gaps) override;
  // Moves the connect hooks behind those of the pod's faults: a hook sees only what those before it
  // did. (Hooks of cgroups above the pod's run after all of the pod's.)
  Result<> faults_changed() override;
  void cut_at(KtimeNs at) override { cut_.at(at); }
  void cut_has_come() override { cut_.come(); }

 private:
  using Hooks = std::array<Link, 2>;  // connect4, connect6

  TcpSocketCollector(const Clock& clock, const Pod& pod, Skeleton<tcp_socket_bpf> skeleton);
  Result<> attach();
  Result<Hooks> attach_hooks();
  Result<> find_old_connections();
  void end_move();
  void forget_fresh();
  void take_old(std::uint64_t& retransmits, std::uint64_t& used, std::vector<api::Gap>& gaps);
  void take_round_trips(const fl_tcp_counts& now, std::uint64_t old_used,
                        std::vector<api::EffectSample>& samples, std::vector<api::Gap>& gaps);
  // Both banks; of the second what was read last where it is not a part of this reading.
  [[nodiscard]] fl_tcp_counts read_banks();
  // The growth of one of fl_tcp_hists, of the banks that are read.
  [[nodiscard]] Result<api::Histogram> take_hist(std::uint32_t which,
                                                 std::array<HistogramGrowth, FL_BANKS>& growth);
  Result<> give_up_unsent();
  void take_failures(const fl_tcp_counts& now, std::vector<api::EffectSample>& samples);
  void take_losses(const fl_tcp_counts& now, std::vector<api::Gap>& gaps);

  const Clock& clock_;
  std::string cgroup_path_, netns_path_;
  Skeleton<tcp_socket_bpf> skeleton_;
  Link sockops_;
  Hooks hooks_;
  bool behind_ = true;    // hooks_ run after those of the pod's faults
  bool moved_ = false;    // the hooks were there twice since the last take()
  bool starting_ = true;  // until the first take()
  fl_tcp_counts before_{};
  CutSwitch cut_;
  fl_tcp_counts second_bank_{};                          // as read last
  std::array<HistogramGrowth, FL_BANKS> rtt_, connect_;  // by bank
  std::set<std::uint32_t> errors_seen_;
  std::map<std::uint64_t, TcpDiagSocket> old_;  // by cookie: as of the last look
  std::string old_unseen_;  // why connections from before are not measured; empty: they are
};

}  // namespace faultline::agent
