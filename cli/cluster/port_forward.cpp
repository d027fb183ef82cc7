// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster/port_forward.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

// The header of glibc 2.36 does not say that its functions are C.
extern "C" {
#include <sys/pidfd.h>
}

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <filesystem>

#include "base/printable.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kEnd{500};

}  // namespace

std::optional<std::uint16_t> forwarded_port(std::string_view line) {
  constexpr std::string_view kStart = "Forwarding from ", kArrow = " -> ";
  if (!line.starts_with(kStart)) return std::nullopt;
  const std::string_view local = line.substr(0, line.find(kArrow));
  if (local.size() == line.size()) return std::nullopt;
  const std::string_view digits = local.substr(local.rfind(':') + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size() || port == 0)
    return std::nullopt;
  return port;
}

Result<std::unique_ptr<PortForward>> PortForward::start(const std::vector<std::string>& argv,
                                                        milliseconds limit) {
  std::unique_ptr<PortForward> forward(new PortForward);
  int output[2];
  if (pipe2(output, O_CLOEXEC | O_NONBLOCK) != 0) return fail(from_errno(errno, "pipe"));
  forward->output_ = Fd(output[0]);
  const Fd writer(output[1]);
  // The child's end waits for us like any other pipe.
  if (fcntl(writer.get(), F_SETFL, 0) != 0) return fail(from_errno(errno, "pipe"));
  // Ctrl-C is for the command, which needs the way to stop its run.
  const auto pid = spawn(argv, writer.get(), Group::kOwn);
  if (!pid) return fail(pid.error());
  forward->pid_ = *pid;
  forward->process_ = Fd(pidfd_open(*pid, 0));
  if (!forward->process_.valid()) return fail(from_errno(errno, "cannot watch " + argv[0]));
  if (auto good = forward->wait_for_port(limit); !good) return fail(good.error());
  return forward;
}

Result<> PortForward::wait_for_port(milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (true) {
    listen();
    if (port_ != 0) return {};
    if (gone_within(milliseconds(0))) {
      listen();
      return fail(Errc::kUnavailable,
                  "kubectl port-forward: " +
                      (last_line_.empty() ? std::string("it ended and said nothing") : last_line_));
    }
    const auto left =
        std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0)
      return fail(Errc::kUnavailable, "kubectl port-forward does not listen after " +
                                          std::to_string(limit.count() / 1000) + " s" +
                                          (last_line_.empty() ? "" : "; it said: " + last_line_));
    // At the end of the output only the process itself is left to wait for.
    std::array<pollfd, 2> polled = {pollfd{process_.get(), POLLIN, 0},
                                    pollfd{output_.get(), POLLIN, 0}};
    if (poll(polled.data(), output_.valid() ? 2 : 1, static_cast<int>(left.count())) < 0)
      return fail(Errc::kUnavailable, "interrupted while kubectl port-forward began");
  }
}

void PortForward::listen() {
  std::array<char, 4096> bytes;
  while (output_.valid()) {
    const ssize_t n = read(output_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) output_.reset();
    if (n <= 0) break;
    unread_.append(bytes.data(), static_cast<std::size_t>(n));
    for (std::size_t end; (end = unread_.find('\n')) != unread_.npos; unread_.erase(0, end + 1)) {
      const std::string line = unread_.substr(0, end);
      if (const auto port = forwarded_port(line); port && port_ == 0) port_ = *port;
      if (!line.empty()) last_line_ = printable(line);
    }
    if (unread_.size() > bytes.size()) unread_.clear();  // no line of kubectl
  }
}

bool PortForward::gone_within(milliseconds limit) const {
  pollfd polled{process_.get(), POLLIN, 0};
  int n = 0;
  while ((n = poll(&polled, 1, static_cast<int>(limit.count()))) < 0 && errno == EINTR) {
  }
  return n > 0;
}

bool PortForward::running() {
  listen();
  return !gone_within(milliseconds(0));
}

PortForward::~PortForward() {
  if (pid_ <= 0) return;
  // What it started, e.g. to authenticate, is in its group.
  kill(-pid_, SIGTERM);
  if (!process_.valid() || !gone_within(kEnd)) kill(-pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Result<std::string> program_in_path(const std::string& name, const std::string& path) {
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find(':', at), path.size());
    std::string found = path.substr(at, end - at);
    // An empty entry is the current folder, from which nobody means to run kubectl.
    if (!found.empty()) {
      found += "/" + name;
      std::error_code ec;
      if (std::filesystem::is_regular_file(found, ec) && access(found.c_str(), X_OK) == 0)
        return found;
    }
    at = end + 1;
  }
  return fail(Errc::kNotFound, "there is no " + name + " in PATH");
}

}  // namespace faultline::cli
