// SPDX-License-Identifier: Apache-2.0
#include "controller/authenticators.h"

#include <utility>

#include "http/token.h"

namespace faultline::controller {

http::Authenticator with_token(std::string role, std::shared_ptr<const std::string> token,
                               http::Authenticator others) {
  return [role = std::move(role), token = std::move(token), others = std::move(others)](
             const http::Request& request) -> boost::asio::awaitable<Result<http::Identity>> {
    http::Identity who;
    if (!token->empty() && http::same_token(http::bearer(request), *token)) {
      who.role = role;
      co_return who;
    }
    co_return co_await others(request);
  };
}

http::Authenticator with_notifier(std::shared_ptr<const std::string> notifier,
                                  http::Authenticator others) {
  return with_token("notifier", std::move(notifier), std::move(others));
}

http::Authenticator token_authenticator(std::string agent, std::string person) {
  return [agent = std::move(agent), person = std::move(person)](
             const http::Request& request) -> boost::asio::awaitable<Result<http::Identity>> {
    const std::string token = http::bearer(request);
    http::Identity who;
    if (token.empty()) co_return who;
    if (http::same_token(token, agent)) who.role = "agent";
    if (http::same_token(token, person)) who.role = "person";
    co_return who;
  };
}

}  // namespace faultline::controller
