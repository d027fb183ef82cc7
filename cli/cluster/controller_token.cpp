// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster/controller_token.h"

#include <boost/json.hpp>

#include "cli/cluster/blocking.h"
#include "kube/base64.h"
#include "kube/client.h"
#include "kube/json.h"

namespace faultline::cli {
namespace {

constexpr std::string_view kAccount = "system:serviceaccount:";
constexpr int kLifetime = 600;  // seconds; the least that the API server gives
constexpr std::chrono::minutes kRenew{5};
constexpr std::size_t kLongestToken = 64 << 10;

// The second of the three parts of a JSON Web Token.
std::optional<boost::json::object> claims_of(std::string_view token) {
  if (token.size() > kLongestToken) return std::nullopt;
  const auto first = token.find('.');
  if (first == token.npos) return std::nullopt;
  const auto second = token.find('.', first + 1);
  if (second == token.npos) return std::nullopt;
  std::string part(token.substr(first + 1, second - first - 1));
  for (char& c : part) c = c == '-' ? '+' : c == '_' ? '/' : c;
  part.append((4 - part.size() % 4) % 4, '=');
  const auto text = kube::base64_decode(part);
  return text ? kube::parse_object(*text) : std::nullopt;
}

}  // namespace

std::optional<Account> account_of(std::string_view token) {
  const auto claims = claims_of(token);
  if (!claims) return std::nullopt;
  std::string_view subject = kube::text_at(*claims, "sub");
  if (!subject.starts_with(kAccount)) return std::nullopt;
  subject.remove_prefix(kAccount.size());
  const auto colon = subject.find(':');
  if (colon == subject.npos || colon == 0 || colon + 1 == subject.size()) return std::nullopt;
  return Account{std::string(subject.substr(0, colon)), std::string(subject.substr(colon + 1))};
}

Result<std::string> ask_controller_token(const kube::Config& config, const Account& account) {
  const kube::ResourceRef ref{.group = "",
                              .version = "v1",
                              .plural = "serviceaccounts",
                              .ns = account.ns,
                              .name = account.name,
                              .subresource = "token"};
  if (auto good = ref.check(); !good) return fail(good.error());
  const std::string who = account.ns + "/" + account.name;
  boost::json::object request{
      {"apiVersion", "authentication.k8s.io/v1"},
      {"kind", "TokenRequest"},
      {"spec",
       {{"audiences", boost::json::array{boost::json::value(kControllerAudience)}},
        {"expirationSeconds", kLifetime}}}};
  boost::asio::io_context io(1);
  kube::Client client(io.get_executor(), config, {.request_timeout = std::chrono::seconds(10)});
  const auto answer = wait_for(client.raw("POST", ref.path(), boost::json::serialize(request)), io);
  if (!answer && answer.error().reason == kube::Reason::kForbidden)
    return fail(Errc::kDenied,
                config.origin + ": the ServiceAccount " + who +
                    " needs a token for the controller alone, and may not make one: it needs the "
                    "right to create serviceaccounts/token, named " +
                    account.name + ", in namespace " + account.ns);
  if (!answer) return fail(answer.error().with_context(config.origin));
  const auto* status = kube::object_at(*answer, "status");
  std::string token(status == nullptr ? std::string_view() : kube::text_at(*status, "token"));
  if (token.empty())
    return fail(Errc::kInternal, config.origin + ": the API server's TokenRequest has no token");
  return token;
}

Result<std::string> ControllerToken::for_bearer(const kube::Config& config,
                                                const std::string& bearer) {
  const auto now = std::chrono::steady_clock::now();
  if (!made_.empty() && from_ == bearer && now < renew_) return made_;
  const auto account = account_of(bearer);
  if (!account)
    return fail(Errc::kDenied,
                config.origin +
                    ": its token is for the API server, which makes none for the controller of it, "
                    "and the controller is not shown this one. What needs no controller: kubectl "
                    "get flx, kubectl delete experiment, faultline run; else use a client "
                    "certificate or a ServiceAccount's token");
  auto made = ask_controller_token(config, *account);
  if (!made) return made;
  made_ = *made;
  from_ = bearer;
  renew_ = now + kRenew;
  return made;
}

}  // namespace faultline::cli
