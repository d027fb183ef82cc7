// SPDX-License-Identifier: Apache-2.0
// request.* of the services of one pod: what has come to those that packet_flow's programs count in
// since it was read last. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "agent/kernel/histogram_reader.h"
#include "api/sync.h"
#include "flow_abi.h"

namespace faultline::agent {

[[nodiscard]] api::EffectSample counter_sample(std::string metric,
                                               std::map<std::string, std::string> labels,
                                               std::uint64_t growth);

class FlowServices {
 public:
  // fl_flow_pod.services, mapped as long as this lives.
  explicit FlowServices(std::span<fl_flow_service, FL_BANKS * FL_FLOW_SERVICES> shared)
      : shared_(shared) {}
  // Appends what was counted, in both banks or in the first, and returns how many requests came to
  // an end.
  std::uint64_t take(bool both_banks, std::vector<api::EffectSample>& samples);

 private:
  // What was read of a service in one bank, and what it has grown by.
  struct Last {
    HistogramGrowth latency, duration;
    std::uint64_t failed = 0, cut_off = 0, abandoned = 0, unanswered = 0, early = 0;
    std::array<std::uint64_t, 8> responses{};
  };
  struct Growth {
    api::Histogram latency, duration;
    std::uint64_t failed = 0, cut_off = 0, abandoned = 0, unanswered = 0, early = 0;
    std::array<std::uint64_t, 8> responses{};
  };

  static void add_growth(fl_flow_service& service, Last& last, Growth& sum);
  std::uint64_t take_service(std::uint32_t index, std::uint32_t name, bool both_banks,
                             std::vector<api::EffectSample>& samples);

  std::span<fl_flow_service, FL_BANKS * FL_FLOW_SERVICES> shared_;
  std::map<std::uint32_t, std::array<Last, FL_BANKS>> last_;
};

}  // namespace faultline::agent
