// SPDX-License-Identifier: Apache-2.0
// A child process awaited on the event loop. Internal to kube/. Not thread-safe.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace faultline::kube {

struct ProcessOutput {
  int status = -1;  // exit code, or 128 + signal
  std::string out, err;
};

// `words[0]` is found in PATH. Input is empty; at most 1 MiB of each output is kept. It runs in a
// process group of its own, which is killed at the end, at the time-out and when the coroutine is
// destroyed. kNotFound: no such program; kUnavailable: time-out.
[[nodiscard]] boost::asio::awaitable<Result<ProcessOutput>> run_process(
    std::vector<std::string> words, std::vector<std::pair<std::string, std::string>> environment,
    std::chrono::milliseconds timeout);

}  // namespace faultline::kube
