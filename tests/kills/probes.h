// SPDX-License-Identifier: Apache-2.0
// Independent stopwatches: processes that use the pod all the time and write down when a fault was
// felt. They know nothing of what any program of ours says.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "testbed/child.h"
#include "testbed/test_pod.h"

namespace faultline::kills {

using Steady = std::chrono::steady_clock;

// One use of the pod: when it began, and whether a fault changed it.
struct Sample {
  Steady::time_point at;
  bool felt = false;
};

// What a probe has written so far; the newest kRoom are kept.
struct Diary {
  static constexpr std::uint64_t kRoom = 1 << 16;
  std::atomic<std::uint64_t> count{0};
  Sample samples[kRoom];
  std::atomic<std::uint64_t> felt{0};  // of all
  void add(Sample sample);
};

enum class Feels { kPackets, kConnects, kCalls, kSlowCalls };

class Probes {
 public:
  // Starts all of them. `pod` and `network` outlive it.
  Probes(const testbed::TestPod& pod, const testbed::TestNetwork& network);
  // Samples of a kind that began in [from, to), in that order.
  [[nodiscard]] std::vector<Sample> between(Feels kind, Steady::time_point from,
                                            Steady::time_point to) const;
  // How many failed connects or calls there have been altogether.
  [[nodiscard]] std::uint64_t felt(Feels kind) const { return diary(kind).felt; }
  // A sample is written at the latest this long after it began.
  static constexpr std::chrono::milliseconds kLate{1200};

 private:
  [[nodiscard]] const Diary& diary(Feels kind) const;
  testbed::Shared<Diary> packets_, connects_, calls_, slow_calls_;
  std::vector<testbed::Child> children_;
};

}  // namespace faultline::kills
