// SPDX-License-Identifier: Apache-2.0
// A TAP of ours in this thread's network namespace: the door through which packets come to user
// space and go back. It exists as long as its descriptor does, so it dies with the process.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "agent/kernel/fd.h"
#include "agent/kernel/tc.h"
#include "base/result.h"

namespace faultline::agent {

class TapDevice {
 public:
  // Largest packet a read gives: 64 KiB of segments to be, their headers, and the vnet header.
  static constexpr std::size_t kMaxPacket = 65536 + 512;
  static constexpr std::size_t kVnetHeader = 10;  // struct virtio_net_hdr

  // `fl-d<n>`, with checksum and segmentation offloads so that large segments stay whole, not
  // talking of its own accord. `queue_packets`: how many may wait for our read(). Nothing goes
  // through it before open().
  static Result<TapDevice> create(std::uint32_t queue_packets);
  // What we write into it goes to the program `back`; the device is up from now on. In the
  // namespace that it was made in. Call it once. Errors: what the kernel said.
  Result<> open(TcMeans means, int back);

  [[nodiscard]] int fd() const { return fd_.get(); }  // non-blocking
  [[nodiscard]] std::uint32_t index() const { return index_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  // Packets the kernel threw away because nobody read fast enough. Errors: as netlink says.
  [[nodiscard]] Result<std::uint64_t> dropped() const;

 private:
  TapDevice() = default;
  Result<> configure(std::uint32_t queue_packets);

  Fd fd_, netlink_;
  Link back_;
  std::uint32_t index_ = 0;
  std::string name_;
};

}  // namespace faultline::agent
