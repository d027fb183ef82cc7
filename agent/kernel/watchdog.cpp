// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/watchdog.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <mutex>
#include <string>

#include "agent/kernel/fd.h"
#include "agent/kernel/undo_journal.h"

namespace faultline::agent {
namespace {

constexpr const char* kWord = "--undo-watchdog";  // then the descriptors of owner and answer
constexpr const char* kSelf = "/proc/self/exe";

struct Watchdog {
  std::mutex mutex;
  bool possible = false;  // main() has called run_as_watchdog()
  pid_t owner = 0;        // a forked child has its parent's memory, but not its watchdog
  pid_t pid = 0;
};

Watchdog& watchdog() {
  static Watchdog one;
  return one;
}

int descriptor(const char* text) {
  int fd = -1;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), fd);
  return error == std::errc() && *end == '\0' ? fd : -1;
}

int watch(int owner, int answer) {
  ::prctl(PR_SET_NAME, "fl-undo", 0, 0, 0);
  ::fcntl(owner, F_SETFD, FD_CLOEXEC);
  if (::chdir("/") != 0 || ::write(answer, "r", 1) != 1) return 1;
  ::close(answer);
  pollfd ended{.fd = owner, .events = POLLIN, .revents = 0};
  while (::poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
  UndoJournal::here().sweep();
  return 0;
}

// Between fork and exec only what is async-signal-safe.
[[noreturn]] void become(char* const* arguments, int owner, int answer) {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);  // stays so: Ctrl-C is for the owner
  ::setsid();
  ::fcntl(owner, F_SETFD, 0);
  ::fcntl(answer, F_SETFD, 0);
  // Who reads what we print must not wait for the watchdog's end.
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {0, 1, 2})
    if (nowhere >= 0) ::dup2(nowhere, fd);
  ::execv(kSelf, arguments);
  ::_exit(127);
}

Result<pid_t> start() {
  const Fd owner(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!owner.valid()) return fail(from_errno(errno, "pidfd_open"));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(from_errno(errno, "pipe"));
  const Fd answer(ends[0]);
  Fd write_end(ends[1]);
  std::string name = "faultline-undo", word = kWord, owner_text = std::to_string(owner.get()),
              answer_text = std::to_string(write_end.get());
  const std::array<char*, 5> arguments{name.data(), word.data(), owner_text.data(),
                                       answer_text.data(), nullptr};
  const pid_t pid = ::fork();
  if (pid < 0) return fail(from_errno(errno, "fork"));
  if (pid == 0) become(arguments.data(), owner.get(), write_end.get());
  write_end.reset();
  char ready = 0;
  ssize_t got = 0;
  while ((got = ::read(answer.get(), &ready, 1)) < 0 && errno == EINTR) {
  }
  if (got == 1) return pid;
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return fail(Errc::kInternal, std::string("cannot run ") + kSelf + " as watchdog");
}

}  // namespace

std::optional<int> run_as_watchdog(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], kWord) == 0)
    return watch(descriptor(argv[2]), descriptor(argv[3]));
  watchdog().possible = true;
  return std::nullopt;
}

Result<> ensure_watchdog() {
  Watchdog& one = watchdog();
  const std::scoped_lock guard(one.mutex);
  if (one.owner == ::getpid() && one.pid > 0) {
    if (::waitpid(one.pid, nullptr, WNOHANG) == 0) return {};
    one.pid = 0;
  }
  if (!one.possible)
    return fail(Errc::kInternal, "this program has no watchdog (run_as_watchdog in main)");
  UndoJournal::here().sweep();
  const auto pid = start();
  if (!pid) return fail(pid.error().with_context("no watchdog"));
  one.owner = ::getpid();
  one.pid = *pid;
  return {};
}

pid_t watchdog_pid() {
  Watchdog& one = watchdog();
  const std::scoped_lock guard(one.mutex);
  return one.owner == ::getpid() ? one.pid : 0;
}

}  // namespace faultline::agent
