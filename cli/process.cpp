// SPDX-License-Identifier: Apache-2.0
#include "cli/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/printable.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

constexpr std::size_t kLimit = 4 << 20;

// In the child, after fork(): only calls that are safe there. Never returns.
[[noreturn]] void become(char* const* argv, int output, int errors, int report, pid_t parent,
                         Group group) {
  // SIGKILL, not SIGTERM: it is for the case that nobody is left who could insist. A fault hangs on
  // the agent's unpinned BPF links and so ends with it; a process that does not end on SIGTERM
  // would keep it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it died before the call above
  if (group == Group::kOwn) setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD}) std::signal(signal, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
      dup2(errors, STDERR_FILENO) >= 0) {
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);  // Asio's sockets are not closed by themselves
    execv(argv[0], argv);
  }
  const int error = errno;
  if (write(report, &error, sizeof error) < 0) _exit(126);
  _exit(127);
}

Result<pid_t> fork_and_exec(const std::vector<std::string>& argv, int output, int errors,
                            Group group = Group::kOurs) {
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  int report[2];  // closed by a successful execve(), else it carries the error
  if (pipe2(report, O_CLOEXEC) != 0) return fail(from_errno(errno, "pipe"));
  const Fd report_read(report[0]);
  Fd report_write(report[1]);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return fail(from_errno(errno, "cannot start " + argv[0]));
  if (pid == 0) become(words.data(), output, errors, report_write.get(), parent, group);
  report_write.reset();
  int error = 0;
  ssize_t n = 0;
  while ((n = read(report_read.get(), &error, sizeof error)) < 0 && errno == EINTR) {
  }
  if (n != sizeof error) return pid;
  waitpid(pid, nullptr, 0);
  Error failed = from_errno(error, "cannot start " + argv[0]);
  failed.code = Errc::kUnavailable;
  return fail(failed);
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}
int Fd::release() {
  const int fd = fd_;
  fd_ = -1;
  return fd;
}
void Fd::reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Result<pid_t> spawn(const std::vector<std::string>& argv, int output, Group group) {
  return fork_and_exec(argv, output, output, group);
}

std::string Ended::words() const {
  if (WIFSIGNALED(status)) {
    const char* name = sigabbrev_np(WTERMSIG(status));
    return "was killed by " +
           (name ? "SIG" + std::string(name) : "signal " + std::to_string(WTERMSIG(status)));
  }
  return "exited with code " + std::to_string(WEXITSTATUS(status));
}

Result<Captured> run_captured(const std::vector<std::string>& argv,
                              std::chrono::milliseconds limit) {
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0) return fail(from_errno(errno, "pipe"));
  std::array<Fd, 2> readers;
  readers[0] = Fd(out[0]);
  Fd out_write(out[1]);
  if (pipe2(err, O_CLOEXEC) != 0) return fail(from_errno(errno, "pipe"));
  readers[1] = Fd(err[0]);
  Fd err_write(err[1]);
  const auto pid = fork_and_exec(argv, out_write.get(), err_write.get());
  if (!pid) return fail(pid.error());
  out_write.reset();
  err_write.reset();

  Captured captured;
  const std::array<std::string*, 2> texts{&captured.output, &captured.errors};
  const auto end = std::chrono::steady_clock::now() + limit;
  bool late = false;
  while (!late && (readers[0].valid() || readers[1].valid())) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    late = left.count() <= 0;
    std::array<pollfd, 2> polled{};
    for (std::size_t i = 0; i < 2; ++i) polled[i] = {readers[i].get(), POLLIN, 0};
    if (late || poll(polled.data(), 2, static_cast<int>(left.count())) <= 0) continue;
    for (std::size_t i = 0; i < 2; ++i) {
      if (polled[i].revents == 0) continue;
      char bytes[65536];
      const ssize_t n = read(readers[i].get(), bytes, sizeof bytes);
      if (n <= 0)
        readers[i].reset();
      else if (texts[i]->size() < kLimit)
        texts[i]->append(bytes, static_cast<std::size_t>(n));
    }
  }
  if (late) kill(*pid, SIGKILL);
  while (waitpid(*pid, &captured.ended.status, 0) < 0 && errno == EINTR) {
  }
  if (late)
    return fail(Errc::kUnavailable,
                argv[0] + " did not end within " + std::to_string(limit.count() / 1000) + " s");
  return captured;
}

Result<std::string> program_in(const std::string& folder, const std::string& name) {
  std::string path = folder + "/" + name;
  if (access(path.c_str(), X_OK) == 0) return path;
  return fail(Errc::kUnavailable, "there is no " + name + " beside this program, in " + folder +
                                      " (build it, or give "
                                      "--controller URL of one that runs)");
}

std::string tail_lines(const std::string& text, std::size_t lines) {
  const std::vector<std::string> all = split_lines(text);
  std::string out;
  for (std::size_t i = all.size() > lines ? all.size() - lines : 0; i < all.size(); ++i)
    out += (out.empty() ? "" : "\n") + std::string("  | ") + printable(all[i]);
  return out;
}

}  // namespace faultline::cli
