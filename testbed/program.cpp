// SPDX-License-Identifier: Apache-2.0
#include "testbed/program.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

namespace faultline::testbed {

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

Child launch(std::vector<std::string> words, Output output) {
  std::fflush(stdout);
  return Child([&]() -> int {
    setpgid(0, 0);
    become(words, output);
  });
}

bool has_ended(const Child& child) {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid != 0;
}

bool wait_until(const std::function<bool()>& done, std::chrono::milliseconds limit) {
  for (const auto end = std::chrono::steady_clock::now() + limit;
       std::chrono::steady_clock::now() < end;) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace faultline::testbed
