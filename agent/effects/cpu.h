// SPDX-License-Identifier: Apache-2.0
// What the pod's cgroup and its processes say of CPU time. Needs no BPF program and costs the pod
// nothing.
//
// cpu.usage (cores) from the cgroup's cpu.stat, less what processes of ours in it used, so that it
// is the pod's own. cpu.runqueue (seconds) from <proc>/<pid>/task/<tid>/schedstat of every process
// in the cgroup and its children but ours: the growth of run_delay over the growth of the number of
// timeslices. What a thread did between the last take() and its end is not seen by cpu.runqueue:
// where that is more than a tenth of the CPU time that the cgroup used, it is a gap.
// cpu.throttled and cpu.throttled_time from cpu.stat of the cgroup and those below it, where they
// have a limit; a limit of a cgroup above is not looked at. cpu.pressure from cpu.pressure; nothing
// where the kernel has none.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>

#include "agent/effects/effect.h"
#include "agent/kernel/own_processes.h"

namespace faultline::agent {

class CpuCollector final : public Collector {
 public:
  // `cgroup` is the cgroup2 directory; `limits` (empty: nothing is known of them) the one with the
  // files of the controller cpu, which is another beside cgroup v1. `proc` is /proc outside of
  // tests. `clock` and `own` outlive this.
  CpuCollector(const Clock& clock, std::filesystem::path cgroup, std::filesystem::path limits,
               std::filesystem::path proc, const OwnProcesses& own);
  void take(std::vector<api::EffectSample>& samples, std::vector<api::Gap>& gaps) override;

 private:
  struct Schedstat {
    std::uint64_t ran_ns = 0;
    std::uint64_t wait_ns = 0;
    std::uint64_t slices = 0;
  };
  using Threads = std::map<std::uint64_t, Schedstat>;  // by tid
  struct Throttling {
    std::uint64_t periods = 0, throttled = 0;
    double seconds = 0;
  };
  struct Look {
    SteadyTime at;
    std::optional<std::uint64_t> usage_us;  // of the whole cgroup
    std::chrono::nanoseconds own{0};        // of that, ours
    std::optional<Threads> threads;
    std::map<std::filesystem::path, Throttling> throttling;  // by cgroup
    std::optional<std::uint64_t> pressure_us;
  };
  [[nodiscard]] Look look() const;
  // Empty when cpu.stat or the process lists cannot be read.
  [[nodiscard]] std::optional<std::uint64_t> read_usage_us() const;
  [[nodiscard]] std::optional<Threads> read_threads() const;
  void read_throttling(const std::filesystem::path& dir, Look& into) const;

  const Clock& clock_;
  std::filesystem::path cgroup_, limits_, proc_;
  const OwnProcesses& own_;
  Look last_;
};

}  // namespace faultline::agent
