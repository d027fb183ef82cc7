// SPDX-License-Identifier: Apache-2.0
// Who a caller is by the tokens of the state folder. Thread-safe.
#pragma once

#include <string>

#include "http/server.h"

namespace faultline::controller {

// Role "agent" or "person" by the token; nobody without one of them.
[[nodiscard]] http::Authenticator token_authenticator(std::string agent, std::string person);

// Role "notifier" is Alertmanager, which shows the token of notifications; of whoever else `others`
// say. `notifier` empty: there is none.
[[nodiscard]] http::Authenticator with_notifier(std::string notifier, http::Authenticator others);

}  // namespace faultline::controller
