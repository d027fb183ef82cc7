// SPDX-License-Identifier: Apache-2.0
// The device that packets wait in, or are cut in: a veth pair of ours, with fq on its near end. The
// far end is in a network namespace that nothing holds but our descriptor, so the kernel takes
// namespace and pair away when the process dies, however it does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/kernel/fd.h"
#include "agent/kernel/ids.h"
#include "agent/kernel/netlink.h"
#include "agent/kernel/receive_steering.h"
#include "agent/kernel/tc.h"
#include "base/result.h"

namespace faultline::agent {

// Not thread-safe.
class EdtPair {
 public:
  struct Options {
    std::uint32_t packets;     // how many fq may hold; 0: there is no fq, and nothing waits
    std::uint32_t queue_bits;  // of a packet's hash, that choose its queue in fq
    bool take_no_gso = false;  // the near end cuts GSO packets
    // What leaves fq keeps its order by hash: fq is emptied by whichever CPU comes by, and each has
    // a queue of its own behind the pair.
    bool keep_order = false;
  };
  // `fl-e...` in this thread's network namespace; nothing goes through it before open(). Errors:
  // kNotFound when the kernel has no fq, else what it said.
  static Result<EdtPair> create(const Options& options);
  EdtPair(EdtPair&& o) noexcept = default;
  EdtPair& operator=(EdtPair&&) = delete;
  ~EdtPair();  // removes it; from any namespace

  // What comes in at the far end goes to the program `turn`, what comes in at the near end to
  // `back`, and both ends are up from now on, not talking of their own accord. In the namespace
  // that it was made in. Call it once. Errors: what the kernel said.
  Result<> open(TcMeans means, int turn, int back);

  [[nodiscard]] IfIndex near_end() const { return near_; }

 private:
  EdtPair() = default;
  Result<> configure(const Options& options);

  Fd netns_, home_;  // of the far end, of the near end
  IfIndex near_{};
  bool keeps_order_ = false;
  std::vector<Link> links_;
  ReceiveSteering steering_;
};

}  // namespace faultline::agent
