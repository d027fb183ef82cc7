// SPDX-License-Identifier: Apache-2.0
// The table in which a line keeps what travels with its packets (bpf/include/delay_abi.h).
#pragma once

#include <bpf/libbpf.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdint>

#include "base/result.h"
#include "delay_abi.h"

namespace faultline::agent {

// How many packets a line may hold at once whose delays are rarely longer than `usual`: what one
// thread can move in that time, within FL_DELAY_LEAST_SLOTS and FL_DELAY_MOST_SLOTS.
inline std::uint32_t delay_slots(std::chrono::nanoseconds usual) {
  constexpr double kPacketsPerSecond = 400'000;
  const double packets = std::chrono::duration<double>(usual).count() * kPacketsPerSecond;
  return std::bit_ceil(static_cast<std::uint32_t>(
      std::clamp(packets, double{FL_DELAY_LEAST_SLOTS}, double{FL_DELAY_MOST_SLOTS})));
}

// Gives an opened object its table, before it is loaded. `longest`: no packet waits longer. Errors:
// what libbpf said.
template <class T>
Result<> set_delay_slots(T& skeleton, std::uint32_t slots, std::chrono::nanoseconds longest) {
  constexpr std::chrono::seconds kOnItsWay{5};  // through the kernel's queues, on a busy machine
  auto& config = skeleton.rodata->fl_config;
  config.slots = slots;
  config.lost_after_ns = static_cast<std::uint64_t>((longest + kOnItsWay).count());
  const int rc = bpf_map__set_max_entries(skeleton.maps.fl_delay_slots, slots);
  if (rc != 0) return fail(from_libbpf(rc, "size the table of packets that wait"));
  return {};
}

}  // namespace faultline::agent
