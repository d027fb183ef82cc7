// SPDX-License-Identifier: Apache-2.0
// The device that packets wait in, or are cut in: a veth pair of ours, with fq on its near end. The
// far end is in a network namespace that nothing holds but our descriptor, so the kernel takes
// namespace and pair away when the process dies, however it does.
#pragma once

#include <cstdint>
#include <string>

#include "agent/kernel/fd.h"
#include "agent/kernel/ids.h"
#include "base/result.h"

namespace faultline::agent {

// Not thread-safe.
class EdtPair {
 public:
  struct Options {
    std::uint32_t packets;     // how many fq may hold; 0: there is no fq, and nothing waits
    std::uint32_t queue_bits;  // of a packet's hash, that choose its queue in fq
    bool take_no_gso = false;  // the near end cuts GSO packets
  };
  // `fl-e...` in this thread's network namespace, both ends up and not talking of their own accord.
  // Errors: kNotFound when the kernel has no fq, else what it said.
  static Result<EdtPair> create(const Options& options);
  EdtPair(EdtPair&& o) noexcept = default;
  EdtPair& operator=(EdtPair&&) = delete;
  ~EdtPair();  // removes it; from any namespace

  [[nodiscard]] IfIndex near_end() const { return near_; }
  [[nodiscard]] IfIndex far_end() const { return far_; }
  // Path by which this process may enter the far end's namespace.
  [[nodiscard]] std::string far_netns() const;

 private:
  EdtPair() = default;
  Result<> configure(const Options& options);

  Fd netns_, home_;  // of the far end, of the near end
  IfIndex near_{}, far_{};
};

}  // namespace faultline::agent
