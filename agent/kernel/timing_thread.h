// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>

#include <system_error>

namespace faultline::agent {

// For a thread whose timed waits must end on time: its name, at most 15 characters, and the lowest
// real-time priority. On a busy node that is the difference between 0.1 ms and 4 ms late
// (docs/decisions/0007); where it is not permitted, the usual one has to do.
inline void be_timing_thread(const char* name) {
  ::pthread_setname_np(::pthread_self(), name);
  sched_param priority{};
  priority.sched_priority = 1;
  if (const int error = ::pthread_setschedparam(::pthread_self(), SCHED_RR, &priority))
    spdlog::debug("{}: no real-time priority: {}", name, std::generic_category().message(error));
  // The default lets every timed wait be 50 us late.
  ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

}  // namespace faultline::agent
