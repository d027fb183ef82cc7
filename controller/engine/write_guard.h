// SPDX-License-Identifier: Apache-2.0
// What an agent may write into a run: of its own node's pods in it, faults that it has, times that
// can be, and no more than a budget. All else is taken out of a batch before it is stored, so that
// whoever has an agent's token cannot rewrite what others measured. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "api/run_record.h"
#include "controller/engine/clock_estimate.h"

namespace faultline::controller {

// What was taken out. `why`: of the first of them.
struct Refused {
  std::size_t entries = 0;
  std::string why;
  void add(const char* reason, std::size_t n = 1);
};

// Of one run. A node may write, in bytes as estimate() counts them: kBurst at once, and kRate for
// each second of the run and each pod of its own.
class WriteGuard {
 public:
  WriteGuard(const api::RunRecord& head, Instant now);
  // Pods may have joined; cheap where none has.
  void know(const api::RunRecord& head);
  // No more is given for time that passes from now on.
  void over(Instant now);

  [[nodiscard]] bool has(const std::string& node) const { return nodes_.contains(node); }
  // The batch's timestamps are on the controller's clock.
  Refused keep_own(const std::string& node, api::RunBatch& batch, Instant now) const;
  // It was stored, and was not before.
  void charge(const std::string& node, const api::RunBatch& batch);

  static constexpr std::uint64_t kBurst = 16 << 20, kRate = 64 << 10;  // bytes
  static constexpr std::size_t kMostRemarks = 5000;  // events and gaps of a node in a run
  // A window of one pod has at most so many samples, a histogram so many buckets, a name or a text
  // so many bytes.
  static constexpr std::size_t kMostSamples = 20'000, kMostBuckets = 4096, kLongestText = 4096;
  // A timestamp that is off by more is no clock that was set.
  static constexpr std::chrono::hours kClockError{24};

  [[nodiscard]] static std::uint64_t estimate(const api::RunBatch& batch);

 private:
  struct Node {
    std::map<std::string, api::RunPod> pods;
    std::uint64_t used = 0;
    std::size_t remarks = 0;
  };
  [[nodiscard]] std::uint64_t allowance(const Node& node, Instant now) const;

  std::vector<std::string> faults_;
  std::map<std::string, Node> nodes_;
  std::size_t pods_known_ = 0, nodes_known_ = 0;
  UtcTime began_utc_;
  SteadyTime began_, over_ = SteadyTime::max();
};

}  // namespace faultline::controller
