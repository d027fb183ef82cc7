// SPDX-License-Identifier: Apache-2.0
// The token by which a webhook is let in: Alertmanager's, or a chat's. Not thread-safe, but for
// what the shared token is read by: it is on the same event loop.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "controller/watched_text.h"

namespace faultline::controller {

class NotifierToken {
 public:
  NotifierToken() = default;  // nobody is let in
  // Of a file that only its owner can read. Errors: http::load_token().
  static Result<NotifierToken> of_file(const std::string& path);
  // The same; made where it is not there.
  static Result<NotifierToken> own(const std::string& path);
  // Of a mounted Secret, which may come, change and go: nobody is let in while it is not there.
  // Call look() at once, and from time to time.
  // `what`: for messages.
  static NotifierToken of_secret(const std::string& path,
                                 const std::string& what = "the token of notifications");

  // Reads a Secret's file again. kInvalid, once until it changes: there is no token in it.
  Result<> look();
  // Empty: nobody is let in. It changes in place.
  [[nodiscard]] std::shared_ptr<const std::string> token() const { return token_; }
  [[nodiscard]] const std::string& file() const { return file_; }

  static constexpr std::size_t kShortest = 16;  // characters of a Secret's token

 private:
  std::shared_ptr<std::string> token_ = std::make_shared<std::string>();
  std::string file_;
  std::optional<WatchedText> secret_;
};

}  // namespace faultline::controller
