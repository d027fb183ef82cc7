// SPDX-License-Identifier: Apache-2.0
#include "kube/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
extern "C" {  // glibc 2.36 forgot it
#include <sys/pidfd.h>

#include <algorithm>
}

namespace faultline::kube {
namespace asio = boost::asio;
using asio::awaitable;
using asio::posix::stream_descriptor;
namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kMaxOutput = 1 << 20;

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return;
    read = fds[0];
    write = fds[1];
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    if (read >= 0) close(read);
    close_write();
  }
  int take_read() { return std::exchange(read, -1); }
  void close_write() {
    if (write >= 0) close(write);
    write = -1;
  }
};

// Kills the group and reaps the child.
struct Running {
  explicit Running(pid_t child) : pid(child) {}
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() { end(); }
  int end() {
    if (pid <= 0) return status;
    kill(-pid, SIGKILL);  // not yet reaped, so the number is still its own
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    pid = -1;
    return status;
  }
  pid_t pid;
  int status = 0;
};

Result<pid_t> spawn(const std::vector<std::string>& words,
                    const std::vector<std::pair<std::string, std::string>>& environment, int out,
                    int err) {
  std::vector<std::string> env;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    bool ours = false;
    for (const auto& [name, value] : environment)
      ours |= text.size() > name.size() && text.starts_with(name) && text[name.size()] == '=';
    if (!ours) env.emplace_back(text);
  }
  for (const auto& [name, value] : environment) env.push_back(name + "=" + value);
  std::vector<char*> argv, envp;
  for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  for (auto& entry : env) envp.push_back(entry.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  sigset_t none, standard;
  sigemptyset(&none);
  sigemptyset(&standard);
  sigaddset(&standard, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &standard);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(
      &attributes,
      static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  pid_t pid = -1;
  const int error =
      posix_spawnp(&pid, words[0].c_str(), &actions, &attributes, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return fail(from_errno(error, "cannot run " + words[0]));
  return pid;
}

// Both outputs end when the last process that holds them does; a child that the program left in the
// background is killed as soon as the program itself has ended.
awaitable<void> collect(stream_descriptor& from, std::string& text) {
  std::array<char, 4096> bytes;
  for (;;) {
    const auto [ec, n] = co_await from.async_read_some(asio::buffer(bytes), kTuple);
    if (ec) co_return;
    text.append(bytes.data(), std::min(n, kMaxOutput - std::min(kMaxOutput, text.size())));
  }
}

}  // namespace

awaitable<Result<ProcessOutput>> run_process(
    std::vector<std::string> words, std::vector<std::pair<std::string, std::string>> environment,
    std::chrono::milliseconds timeout) {
  const auto executor = co_await asio::this_coro::executor;
  // What the collecting coroutines use must outlive this one when it is destroyed under way.
  struct State {
    explicit State(const asio::any_io_executor& ex) : out(ex), err(ex), ended(ex) {}
    stream_descriptor out, err, ended;
    ProcessOutput output;
    int collecting = 2;
    bool expired = false;
  };
  const auto state = std::make_shared<State>(executor);
  Pipe out, err;
  if (out.read < 0 || err.read < 0) co_return fail(from_errno(errno, "cannot make a pipe"));
  const auto pid = spawn(words, environment, out.write, err.write);
  if (!pid) co_return fail(pid.error());
  Running child(*pid);
  out.close_write();
  err.close_write();
  const int fd = pidfd_open(*pid, PIDFD_NONBLOCK);
  if (fd < 0) co_return fail(from_errno(errno, "cannot watch " + words[0]));
  state->ended.assign(fd);
  state->out.assign(out.take_read());
  state->err.assign(err.take_read());

  asio::steady_timer limit(executor, timeout), collected(executor);
  limit.async_wait([weak = std::weak_ptr(state)](const boost::system::error_code& ec) {
    const auto held = weak.lock();
    if (ec || !held) return;
    held->expired = true;
    held->ended.cancel();
  });
  const auto start = [&](stream_descriptor State::*from, std::string ProcessOutput::*text) {
    asio::co_spawn(
        executor,
        [](std::shared_ptr<State> held, stream_descriptor State::*source,
           std::string ProcessOutput::*target) -> awaitable<void> {
          co_await collect((*held).*source, held->output.*target);
        }(state, from, text),
        [state](const std::exception_ptr&) { --state->collecting; });
  };
  start(&State::out, &ProcessOutput::out);
  start(&State::err, &ProcessOutput::err);
  // Without this a destroyed coroutine would leave the two waiting for ever.
  struct Close {
    std::shared_ptr<State> state;
    ~Close() {
      boost::system::error_code ignored;
      state->out.close(ignored);
      state->err.close(ignored);
    }
  } close_at_end{state};

  co_await state->ended.async_wait(stream_descriptor::wait_read, kTuple);
  limit.cancel();
  const int status = child.end();
  if (state->expired)
    co_return fail(Errc::kUnavailable, words[0] + " did not end within " +
                                           std::to_string(timeout.count()) + " ms and was killed");
  // What it wrote before it ended is in the pipes; whoever else could write is killed.
  for (int i = 0; i < 100 && state->collecting > 0; ++i) {
    collected.expires_after(std::chrono::milliseconds(i == 0 ? 0 : 10));
    co_await collected.async_wait(kTuple);
  }
  state->output.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  co_return std::move(state->output);
}

}  // namespace faultline::kube
