// SPDX-License-Identifier: Apache-2.0
// cpu.usage (cores) from the cgroup's cpu.stat, and cpu.runqueue (seconds) from
// <proc>/<pid>/task/<tid>/schedstat of every process in the cgroup and its children: the growth of
// run_delay over the growth of the number of timeslices. What a thread did between the last take()
// and its end is not seen by cpu.runqueue: where that is more than a tenth of the CPU time that the
// cgroup used, it is a gap. Needs no BPF program and costs the pod nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>

#include "agent/effects/effect.h"

namespace faultline::agent {

class CpuCollector final : public Collector {
 public:
  // `cgroup` is the cgroup2 directory, `proc` is /proc outside of tests; `clock` outlives this.
  CpuCollector(const Clock& clock, std::filesystem::path cgroup, std::filesystem::path proc);
  void take(std::vector<api::EffectSample>& samples, std::vector<api::Gap>& gaps) override;

 private:
  struct Schedstat {
    std::uint64_t ran_ns = 0;
    std::uint64_t wait_ns = 0;
    std::uint64_t slices = 0;
  };
  using Threads = std::map<std::uint64_t, Schedstat>;  // by tid
  // Empty when cpu.stat or the process lists cannot be read.
  [[nodiscard]] std::optional<std::uint64_t> read_usage_us() const;
  [[nodiscard]] std::optional<Threads> read_threads() const;

  const Clock& clock_;
  std::filesystem::path cgroup_, proc_;
  SteadyTime last_;
  std::optional<std::uint64_t> usage_us_;
  std::optional<Threads> threads_;
};

}  // namespace faultline::agent
