// SPDX-License-Identifier: Apache-2.0
// What a person proves to the controller who they are with. A token that is good for the API server
// is never shown to it: whoever reads the controller's memory could act as that person everywhere.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "kube/config.h"

namespace faultline::cli {

// The audience of tokens for the controller alone; the API server refuses them.
inline constexpr const char* kControllerAudience = "faultline-controller";

struct Account {
  std::string ns, name;
};

// Of whom a token of a ServiceAccount says it is. Nothing: it is another token, or none that can be
// read. The signature is not looked at: only the API server is told what is found here. Pure.
[[nodiscard]] std::optional<Account> account_of(std::string_view token);

// Asks the API server (TokenRequest) for a token of `account` for the controller alone, good for
// ten minutes. Errors: kDenied, with the right that is needed; those of the API server.
[[nodiscard]] Result<std::string> ask_controller_token(const kube::Config& config,
                                                       const Account& account);

// Keeps such a token while it is fresh. Not thread-safe.
class ControllerToken {
 public:
  // `bearer`: the token for the API server, not empty. kDenied: none for the controller can be made
  // of it, as of an OIDC token; the error says what there is instead.
  [[nodiscard]] Result<std::string> for_bearer(const kube::Config& config,
                                               const std::string& bearer);

 private:
  std::string made_, from_;
  std::chrono::steady_clock::time_point renew_;
};

}  // namespace faultline::cli
