// SPDX-License-Identifier: Apache-2.0
// What an API server says no with. Pure and thread-safe.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "base/result.h"

namespace faultline::kube {

// metav1.StatusReason, as far as callers decide by it.
enum class Reason {
  kNone,  // no answer of an API server: see the message
  kNotFound,
  kAlreadyExists,
  kConflict,
  kForbidden,
  kUnauthorized,
  kGone,             // "Expired" or "Gone": the resourceVersion or continue token is too old
  kInvalid,          // refused by validation or by a webhook: 422
  kTooManyRequests,  // also after all tries with Retry-After
  kTimeout,          // "Timeout" or "ServerTimeout"
  kOther,
};

// An Error with the HTTP status and reason beside it; slices to an Error (`fail(answer.error())`).
struct ApiError : Error {
  int status = 0;  // HTTP status; 0: there was no answer
  Reason reason = Reason::kNone;
  std::optional<std::chrono::seconds> retry_after;
  bool version_too_large = false;  // the server has not yet reached the resourceVersion asked for
};

template <class T = void>
class [[nodiscard]] Answer : public tl::expected<T, ApiError> {
 public:
  using tl::expected<T, ApiError>::expected;
};

inline tl::unexpected<ApiError> api_fail(ApiError error) {
  return tl::unexpected<ApiError>(std::move(error));
}
inline tl::unexpected<ApiError> api_fail(Error error) {
  return tl::unexpected<ApiError>(ApiError{std::move(error), 0, Reason::kNone, {}, false});
}
inline tl::unexpected<ApiError> api_fail(Errc code, std::string message) {
  return api_fail(Error{code, std::move(message), 0});
}

// The error of an answer with `status` >= 300. `body` may be a Status object or anything a proxy
// wrote; `headers` have names in lower case. `what` ("list pods") comes before the message.
[[nodiscard]] ApiError error_of(int status, std::string_view body,
                                const std::map<std::string, std::string>& headers,
                                std::string_view what);
// The error of a Status object, e.g. that of a watch event of type ERROR.
[[nodiscard]] ApiError error_of(const boost::json::object& status, std::string_view what);

}  // namespace faultline::kube
