// SPDX-License-Identifier: Apache-2.0
#include "kube/error.h"

#include <boost/json.hpp>
#include <charconv>

#include "base/printable.h"
#include "kube/json.h"

namespace faultline::kube {
namespace {

Reason reason_of(std::string_view word, int status) {
  static const std::map<std::string_view, Reason> reasons = {
      {"NotFound", Reason::kNotFound},
      {"AlreadyExists", Reason::kAlreadyExists},
      {"Conflict", Reason::kConflict},
      {"Forbidden", Reason::kForbidden},
      {"Unauthorized", Reason::kUnauthorized},
      {"Expired", Reason::kGone},
      {"Gone", Reason::kGone},
      {"Invalid", Reason::kInvalid},
      {"TooManyRequests", Reason::kTooManyRequests},
      {"Timeout", Reason::kTimeout},
      {"ServerTimeout", Reason::kTimeout}};
  if (const auto known = reasons.find(word); known != reasons.end()) return known->second;
  switch (status) {  // a proxy answered, or an older server that gives no reason
    case 401:
      return Reason::kUnauthorized;
    case 403:
      return Reason::kForbidden;
    case 404:
      return Reason::kNotFound;
    case 409:
      return Reason::kConflict;
    case 410:
      return Reason::kGone;
    case 422:
      return Reason::kInvalid;
    case 429:
      return Reason::kTooManyRequests;
    case 504:
      return Reason::kTimeout;
    default:
      return Reason::kOther;
  }
}

Errc code_of(Reason reason, int status) {
  switch (reason) {  // no default: a new reason must be given its code here
    case Reason::kNotFound:
    case Reason::kGone:
      return Errc::kNotFound;
    case Reason::kAlreadyExists:
    case Reason::kConflict:
      return Errc::kConflict;
    case Reason::kForbidden:
    case Reason::kUnauthorized:
      return Errc::kDenied;
    case Reason::kInvalid:
      return Errc::kInvalid;
    case Reason::kTooManyRequests:
    case Reason::kTimeout:
      return Errc::kUnavailable;
    case Reason::kNone:
    case Reason::kOther:
      break;
  }
  if (status == 502 || status == 503) return Errc::kUnavailable;
  return status >= 400 && status < 500 ? Errc::kInvalid : Errc::kInternal;
}

}  // namespace

ApiError error_of(const boost::json::object& status, std::string_view what) {
  ApiError error;
  error.status = static_cast<int>(number_at(status, "code").value_or(0));
  const std::string_view word = text_at(status, "reason");
  error.reason = reason_of(word, error.status);
  error.code = code_of(error.reason, error.status);
  std::string message = printable_prose(text_at(status, "message"));
  if (message.empty()) message = printable(word);
  if (message.empty()) message = "the API server answered " + std::to_string(error.status);
  error.message = std::string(what) + ": " + message;
  if (const auto* details = object_at(status, "details")) {
    if (const auto seconds = number_at(*details, "retryAfterSeconds"); seconds && *seconds > 0)
      error.retry_after = std::chrono::seconds(*seconds);
    if (const auto* causes = array_at(*details, "causes"))
      for (const auto& cause : *causes)
        if (cause.is_object() &&
            (text_at(cause.as_object(), "reason") == "ResourceVersionTooLarge" ||
             text_at(cause.as_object(), "message") == "Too large resource version"))
          error.version_too_large = true;
  }
  return error;
}

ApiError error_of(int status, std::string_view body,
                  const std::map<std::string, std::string>& headers, std::string_view what) {
  boost::json::object object;
  if (auto parsed = parse_object(body); parsed && text_at(*parsed, "kind") == "Status")
    object = std::move(*parsed);
  object["code"] = status;
  ApiError error = error_of(object, what);
  if (const auto header = headers.find("retry-after"); header != headers.end()) {
    int seconds = 0;
    const std::string& text = header->second;
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    // A date is allowed too; API servers never send one.
    if (bad == std::errc{} && end == text.data() + text.size() && seconds >= 0)
      error.retry_after = std::chrono::seconds(seconds);
  }
  return error;
}

}  // namespace faultline::kube
