// SPDX-License-Identifier: Apache-2.0
#include "http/authorize.h"

#include <algorithm>

namespace faultline::http {
namespace {

Response unknown(std::string why) {
  Response response = problem(401, std::move(why));
  response.headers["WWW-Authenticate"] = "Bearer realm=\"faultline\"";
  return response;
}

}  // namespace

std::optional<Response> refusal(const Error& said) {
  switch (said.code) {  // no default: a new Errc must be thought about here
    case Errc::kUnavailable:
    case Errc::kDenied:
    case Errc::kInternal:
      return problem(said);
    case Errc::kInvalid:
    case Errc::kNotFound:
    case Errc::kUnsupported:
    case Errc::kConflict:
      break;
  }
  return unknown(said.message);
}

std::optional<Response> refusal(const Route& route, const Request& request) {
  if (request.who.role.empty())
    return unknown(request.headers.contains("authorization")
                       ? "the token is not known here"
                       : "a token is needed: Authorization: Bearer TOKEN");
  if (std::find(route.allowed.begin(), route.allowed.end(), request.who.role) ==
      route.allowed.end())
    return problem(403, "the token of " + request.who.role + " may not do this");
  return std::nullopt;
}

}  // namespace faultline::http
