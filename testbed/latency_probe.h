// SPDX-License-Identifier: Apache-2.0
// Latency as others see it: ping, and datagrams that carry the time they were sent.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "agent/kernel/fd.h"
#include "testbed/udp.h"

namespace faultline::testbed {

struct Samples {
  std::vector<double> ms;  // in the order of arrival
  int lost = 0;
  int reordered_within_flow = 0;    // arrivals after a later one of the same flow
  int reordered_between_flows = 0;  // arrivals after a later one of another flow
  [[nodiscard]] double median() const;
  [[nodiscard]] double mean() const;
  [[nodiscard]] double deviation() const;
  [[nodiscard]] double max() const;
};

// Round trips by ping(8), 10 ms apart. Throws when an answer is missing.
Samples ping(const std::string& address, int count);

// One-way times of `count` datagrams, `gap` apart, sent by turns on `flows`. Waits `patience` for
// stragglers. `during`, if given, is called on the sending thread after half of them.
Samples one_way(const std::vector<agent::Fd>& flows, const agent::Fd& receiver, int count,
                std::chrono::microseconds gap,
                std::chrono::milliseconds patience = std::chrono::milliseconds(500),
                const std::function<void()>& during = {});
Samples one_way(agent::Fd sender, const agent::Fd& receiver, int count,
                std::chrono::microseconds gap);

}  // namespace faultline::testbed
