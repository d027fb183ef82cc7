// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/timing_thread.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <chrono>
#include <thread>

#include "base/clock.h"

namespace faultline::agent::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

bool is_real_time() { return ::sched_getscheduler(0) == SCHED_RR; }

// How many turns of a thread that computes for `time`, without and with real-time priority.
std::pair<int, int> computes(TimingThread& timing, milliseconds time) {
  const SystemClock clock;
  std::pair<int, int> turns{};
  for (const auto end = steady_clock::now() + time; steady_clock::now() < end;) {
    timing.turn(clock.ktime());
    EXPECT_EQ(timing.real_time(), is_real_time());
    ++(is_real_time() ? turns.second : turns.first);
  }
  return turns;
}

TEST(TimingThread, HasItsPriorityForAShareOfACpuAndGetsItBack) {
  bool permitted = false;
  std::pair<int, int> busy, idle;
  std::thread([&] {
    TimingThread timing("fl-test");
    permitted = timing.real_time();
    if (!permitted) return;
    busy = computes(timing, milliseconds(500));
    for (int i = 0; i < 60; ++i) {
      std::this_thread::sleep_for(milliseconds(5));
      timing.turn(SystemClock().ktime());
      if (i >= 30) ++(is_real_time() ? idle.second : idle.first);
    }
  }).join();
  if (!permitted) GTEST_SKIP() << "needs: the right to real-time priority";
  EXPECT_GT(busy.first, 0) << "it never gave its priority back";
  EXPECT_GT(busy.second, 0);
  EXPECT_EQ(idle.first, 0) << "a thread that mostly waits has it all the time";
}

}  // namespace
}  // namespace faultline::agent::test
