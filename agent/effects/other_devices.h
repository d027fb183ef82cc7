// SPDX-License-Identifier: Apache-2.0
// Traffic of a pod on devices that no network fault hits and no effect sees: lo (an application and
// its cache in one pod) and those that are aside (a tunnel, a second network). Tells how much of it
// there was, from the devices' own counters. Needs no BPF program and costs the pod nothing.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "agent/effects/effect.h"

namespace faultline::agent {

// Gap::metric of such packets: no metric is missing, for none is defined of those devices.
inline constexpr std::string_view kUnhookedPackets = "net.devices";

// Packets of each device, those of lo once. `text` is /proc/net/dev; lines that are none are left
// out.
[[nodiscard]] std::map<std::string, std::uint64_t> packets_by_device(std::string_view text);

class OtherDevices final : public Collector {
 public:
  explicit OtherDevices(const Pod& pod);

  // A gap for each such device that carried more than a few packets since the last call.
  void take(std::vector<api::EffectSample>& samples, std::vector<api::Gap>& gaps) override;

 private:
  // Enters the pod's network namespace for it and keeps nothing of it, so that a pod that ends
  // takes its devices with it. Empty: they cannot be read.
  [[nodiscard]] std::map<std::string, std::uint64_t> read() const;

  std::string netns_path_;
  std::map<std::string, std::string> why_not_;  // by device: why it is not hit
  std::map<std::string, std::uint64_t> before_;
};

}  // namespace faultline::agent
