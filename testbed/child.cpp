// SPDX-License-Identifier: Apache-2.0
#include "testbed/child.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>

namespace faultline::testbed {

Child::Child(const std::function<int()>& body) : pid_(fork()) {
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int status = 99;
  try {
    status = body();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "child: %s\n", e.what());
  }
  std::fflush(nullptr);
  _exit(status);  // never the test's own destructors
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  wait();
}

int Child::wait() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void Child::signal(int number) const { kill(pid_, number); }

}  // namespace faultline::testbed
