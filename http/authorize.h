// SPDX-License-Identifier: Apache-2.0
// Whether a request may go to its route. Internal to http/. Pure and thread-safe.
#pragma once

#include <optional>

#include "http/router.h"

namespace faultline::http {

// What a request is refused with, if it is: by what the authenticator said ...
[[nodiscard]] std::optional<Response> refusal(const Error& said);
// ... or by `request.who`, whom the route may not allow.
[[nodiscard]] std::optional<Response> refusal(const Route& route, const Request& request);

}  // namespace faultline::http
