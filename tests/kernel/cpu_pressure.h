// SPDX-License-Identifier: Apache-2.0
// What the tests of cpuPressure have in common. Their bounds are ratios, and wide: other programs
// run on the machine.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "agent/kernel/own_processes.h"
#include "agent/targets/controller_dirs.h"
#include "testbed/arm.h"
#include "testbed/cgroup_limits.h"
#include "testbed/emulated.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;

inline api::CpuPressure workers(std::int64_t count, double load = 100) {
  return {.workers = count, .percent = std::nullopt, .load = load};
}
inline api::CpuPressure percent(double of) { return {.workers = {}, .percent = of, .load = 100}; }

// Workers in the cgroup and below it that have not ended.
inline std::vector<pid_t> workers_in(const std::string& cgroup) {
  std::vector<pid_t> found;
  for (const pid_t pid : agent::processes_below(cgroup)) {
    std::string name;
    std::ifstream("/proc/" + std::to_string(pid) + "/comm") >> name;
    const std::string state = agent::read_state("/proc", pid);
    if (name == agent::kOwnProcessName && !state.empty() && state != "Z" && state != "X")
      found.push_back(pid);
  }
  return found;
}

inline bool eventually(const std::function<bool()>& holds, std::chrono::milliseconds within = 5s) {
  const auto end = std::chrono::steady_clock::now() + within;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

class CpuPressure : public testing::Test {
 protected:
  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"}, b_{net_, "b"};
};

}  // namespace faultline::test
