// SPDX-License-Identifier: Apache-2.0
#include "demo/program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <thread>

namespace faultline::demo {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

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

void become(const std::vector<std::string>& words, const Output& output) {
  const int nothing = open("/dev/null", O_RDWR);
  dup2(nothing, STDIN_FILENO);
  if (!output.file.empty()) {
    const int file = open(output.file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0) std::perror(output.file.c_str());
    if (file < 0) _exit(126);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
  }
  close_range(3, ~0U, 0);
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  std::perror(argv[0]);
  _exit(127);
}

testbed::Child launch(std::vector<std::string> words, Output output) {
  std::fflush(stdout);
  return testbed::Child([&]() -> int {
    setpgid(0, 0);
    become(words, output);
  });
}

bool has_ended(const testbed::Child& child) {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid != 0;
}

int finish(testbed::Child& child) {
  int handed_on = 0;
  while (!has_ended(child)) {
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
  for (const auto end = steady_clock::now() + limit; steady_clock::now() < end;) {
    check_signals();
    if (done()) return true;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return false;
}

void pause(milliseconds time) {
  wait_for([] { return false; }, time);
}

}  // namespace faultline::demo
