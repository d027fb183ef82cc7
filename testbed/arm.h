// SPDX-License-Identifier: Apache-2.0
// Arming a fault as the agent does, with a lease of its own.
#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "agent/faults/fault.h"

namespace faultline::testbed {

inline KtimeNs in(std::chrono::nanoseconds from_now) {
  return {SystemClock().ktime().ns + static_cast<std::uint64_t>(from_now.count())};
}

struct ArmOptions {
  std::uint64_t seed = 42;
  std::chrono::nanoseconds lease = std::chrono::minutes(2);
  agent::PeerSets peers{};
  const agent::FeatureProbe* features = nullptr;  // borrowed for the call; nullptr: this kernel's
};

inline Result<std::unique_ptr<agent::ArmedFault>> try_arm(api::FaultSpec spec,
                                                          const agent::Pod& pod,
                                                          const ArmOptions& options = {}) {
  static const SystemClock clock;
  static const agent::FeatureProbe own;
  const agent::FeatureProbe& features = options.features != nullptr ? *options.features : own;
  const api::Fault fault{std::move(spec)};
  const agent::FaultType* type = agent::find_fault(fault.name());
  if (type == nullptr) throw std::runtime_error("no such fault");
  return type->arm(fault, pod, {clock, features, options.seed, in(options.lease), options.peers});
}

// As try_arm(); throws when it is refused.
inline std::unique_ptr<agent::ArmedFault> arm(api::FaultSpec spec, const agent::Pod& pod,
                                              const ArmOptions& options = {}) {
  auto armed = try_arm(std::move(spec), pod, options);
  if (!armed) throw std::runtime_error(armed.error().message);
  return std::move(*armed);
}

inline agent::FaultCounters counters(const agent::ArmedFault& fault) {
  auto read = fault.read();
  if (!read) throw std::runtime_error(read.error().message);
  return *read;
}

}  // namespace faultline::testbed
