// SPDX-License-Identifier: Apache-2.0
// Credential plugins of a kubeconfig: programs that print an ExecCredential
// (client.authentication.k8s.io/v1 or v1beta1).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace faultline::kube {

struct ExecPlugin {
  std::string api_version;
  std::string command;  // a name to be found in PATH, or a path
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
  std::string install_hint;  // for when there is no such program
  std::string cluster_json;  // spec.cluster of what it is told, or empty
  std::chrono::milliseconds timeout{30'000};
};

struct ExecCredential {
  std::string token;
  std::string certificate_pem, key_pem;
  std::optional<UtcTime> expires;
};

// What a plugin printed. kInvalid: not an ExecCredential of `api_version`, or one without token and
// certificate. Pure.
[[nodiscard]] Result<ExecCredential> parse_exec_credential(std::string_view text,
                                                           std::string_view api_version);

// Runs it without input; it and its children are killed at the time-out or when the coroutine is
// destroyed. kDenied: it failed, with the last line it wrote to stderr.
[[nodiscard]] boost::asio::awaitable<Result<ExecCredential>> run_exec_plugin(ExecPlugin plugin);

}  // namespace faultline::kube
