// SPDX-License-Identifier: Apache-2.0
// The text of a file that may change at any time (a mounted ConfigMap). Not thread-safe.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace faultline::controller {

class WatchedText {
 public:
  // `what`: the file in words for messages, "the policy".
  WatchedText(std::string path, std::string what)
      : path_(std::move(path)), what_(std::move(what)) {}

  // The text when it is another one than at the last call, or could not be read then; nothing when
  // it is the same. Errors (the file cannot be read): once until it can be read again.
  Result<std::optional<std::string>> look();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_, what_;
  std::optional<std::string> text_;  // as read last
  bool unreadable_ = false;
};

}  // namespace faultline::controller
