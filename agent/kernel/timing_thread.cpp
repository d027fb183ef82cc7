// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/timing_thread.h"

#include <pthread.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>

#include <ctime>
#include <system_error>

namespace faultline::agent {
namespace {

using std::chrono::nanoseconds;

// 0, or what the kernel said.
int set_policy(bool real_time) {
  sched_param priority{};
  priority.sched_priority = real_time ? 1 : 0;
  return ::pthread_setschedparam(::pthread_self(), real_time ? SCHED_RR : SCHED_OTHER, &priority);
}

nanoseconds used() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

bool is_past(KtimeNs now, KtimeNs since, nanoseconds time) {
  return now.ns - since.ns >= static_cast<std::uint64_t>(time.count());
}

}  // namespace

TimingThread::TimingThread(const char* name) {
  ::pthread_setname_np(::pthread_self(), name);
  if (const int error = set_policy(true))
    spdlog::debug("{}: no real-time priority: {}", name, std::generic_category().message(error));
  else
    permitted_ = real_time_ = true;
  used_before_ = used();
  // The default lets every timed wait be 50 us late.
  ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

void TimingThread::turn(KtimeNs now) {
  if (!permitted_ || !is_past(now, looked_, std::chrono::milliseconds(1))) return;
  looked_ = now;
  if (is_past(now, period_, kPeriod)) {
    period_ = now;
    used_before_ = used();
    if (!real_time_) real_time_ = set_policy(true) == 0;
  } else if (real_time_ && used() - used_before_ >= kShare) {
    real_time_ = set_policy(false) != 0;
  }
}

}  // namespace faultline::agent
