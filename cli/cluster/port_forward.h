// SPDX-License-Identifier: Apache-2.0
// A `kubectl port-forward` of our own: kubectl knows every way to authenticate and how to tunnel
// through an API server. It gets SIGKILL from the kernel when this process dies, however that
// comes. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/process.h"

namespace faultline::cli {

// Of a line of kubectl: "Forwarding from 127.0.0.1:40123 -> 7878" is 40123. Pure.
[[nodiscard]] std::optional<std::uint16_t> forwarded_port(std::string_view line);

class PortForward {
 public:
  // Runs `argv` (argv[0] is a path) until it has told its port. kUnavailable: it ended before, with
  // the last it said; it told nothing within `limit`; a signal came.
  [[nodiscard]] static Result<std::unique_ptr<PortForward>> start(
      const std::vector<std::string>& argv, std::chrono::milliseconds limit);
  // Ends it and waits.
  ~PortForward();
  PortForward(const PortForward&) = delete;
  PortForward& operator=(const PortForward&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // Also takes what it has said, or it would wait for us one day.
  [[nodiscard]] bool running();

 private:
  PortForward() = default;
  Result<> wait_for_port(std::chrono::milliseconds limit);
  void listen();  // to what it has said
  [[nodiscard]] bool gone_within(std::chrono::milliseconds limit) const;

  pid_t pid_ = -1;
  Fd process_;  // pidfd
  Fd output_;
  std::string unread_, last_line_;
  std::uint16_t port_ = 0;
};

// The path of `name` in `path`, a list like $PATH. kNotFound.
[[nodiscard]] Result<std::string> program_in_path(const std::string& name, const std::string& path);

}  // namespace faultline::cli
