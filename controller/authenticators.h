// SPDX-License-Identifier: Apache-2.0
// Who a caller is by the tokens of the state folder. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "http/server.h"

namespace faultline::controller {

// Role "agent" or "person" by the token; nobody without one of them.
[[nodiscard]] http::Authenticator token_authenticator(std::string agent, std::string person);

// Role "notifier" is Alertmanager, which shows the token of notifications; of whoever else `others`
// say. `notifier` empty: nobody shows it. It may change in place, on the server's thread.
[[nodiscard]] http::Authenticator with_notifier(std::shared_ptr<const std::string> notifier,
                                                http::Authenticator others);
// The same for any role that a token of its own is for: "chat" writes notes of game days.
[[nodiscard]] http::Authenticator with_token(std::string role,
                                             std::shared_ptr<const std::string> token,
                                             http::Authenticator others);

}  // namespace faultline::controller
