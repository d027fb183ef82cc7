// SPDX-License-Identifier: Apache-2.0
#include "demo/program.h"

#include <signal.h>

#include <atomic>
#include <thread>

namespace faultline::demo {
namespace {

using std::chrono::milliseconds;

std::atomic<int> first_signal{0};
std::atomic<int> signals_seen{0};
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int number) {
  int none = 0;
  first_signal.compare_exchange_strong(none, number);
  ++signals_seen;
}

}  // namespace

void watch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
}

int signal_seen() { return first_signal; }

void check_signals() {
  if (first_signal != 0) throw Interrupted();
}

int finish(testbed::Child& child) {
  int handed_on = 0;
  while (!testbed::has_ended(child)) {
    if (signals_seen > handed_on) {
      ++handed_on;
      child.signal(first_signal);
    }
    std::this_thread::sleep_for(milliseconds(20));
  }
  const int status = child.wait();
  check_signals();
  return status;
}

bool wait_for(const std::function<bool()>& done, milliseconds limit) {
  return testbed::wait_until(
      [&] {
        check_signals();
        return done();
      },
      limit);
}

void pause(milliseconds time) {
  wait_for([] { return false; }, time);
}

}  // namespace faultline::demo
