// SPDX-License-Identifier: Apache-2.0
// A policy in a file that may change at any time (a mounted ConfigMap). Not thread-safe.
#pragma once

#include <optional>
#include <string>

#include "api/policy.h"
#include "base/result.h"
#include "controller/watched_text.h"

namespace faultline::controller {

class PolicyFile {
 public:
  explicit PolicyFile(std::string path) : text_(std::move(path), "the policy") {}

  // The policy when it is another one than at the last call; nothing when it is the same. Errors
  // (the file cannot be read, or is wrong): once for each of its texts; the last good one holds.
  Result<std::optional<api::Policy>> look();
  [[nodiscard]] const std::string& path() const { return text_.path(); }

 private:
  WatchedText text_;
};

}  // namespace faultline::controller
